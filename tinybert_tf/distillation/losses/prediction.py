"""Soft cross-entropy of the logits, with a temperature and an optional hard-label term."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.base import DistillationLoss, check_reduction, global_mean, global_mean_of
from tinybert_tf.errors import InputError


class PredictionLoss(DistillationLoss):
    """Cross-entropy between the teacher's and the student's softened predictions (arXiv 1909.10351, equation 10).

    `(1 - w) T^2 CE(softmax(z_T / T), softmax(z_S / T)) + w CE(y, softmax(z_S))`; T^2 keeps the gradient's size when T
    changes (arXiv 1503.02531, section 2). Logits are `(batch, classes)`, or `(batch, seq_len, classes)` for one
    prediction a token.

    Args:
        temperature: T, above 0.
        hard_label_weight: w, a fraction in [0, 1]; the labels are used where it is not 0. A label below 0 is none.
        reduction: `tokens`: summed over classes, the mean over the batch (over real tokens, where there is a prediction
            a token). `paper`: the authors' code (task_distill.py, `soft_cross_entropy`): the mean over batch and
            classes, that is, divided by the number of classes, and no T^2.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a value out of range; a hard-label term without labels.

    Example:
        >>> import numpy as np
        >>> logits = np.zeros((3, 2))
        >>> round(float(PredictionLoss()(student=logits, teacher=logits)), 4)
        0.6931
    """

    feature = "logits"

    def __init__(
        self,
        temperature: float = 1.0,
        hard_label_weight: float = 0.0,
        reduction: str = "tokens",
        weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(weight=weight, name=name)
        if not 0 < temperature < float("inf"):
            raise InputError(f"{type(self).__name__}: temperature={temperature}; a number above 0 is wanted.")
        if not 0 <= hard_label_weight <= 1:
            raise InputError(
                f"{type(self).__name__}: hard_label_weight={hard_label_weight}; a fraction in [0, 1] is wanted."
            )
        self.temperature = float(temperature)
        self.hard_label_weight = float(hard_label_weight)
        self.reduction = check_reduction(reduction, self)

    def call(self, *, student: Any, teacher: Any, mask: Any, labels: Any = None) -> Any:
        """The loss, a scalar."""
        softened = ops.log_softmax(student / self.temperature, axis=-1)
        soft = -ops.softmax(teacher / self.temperature, axis=-1) * softened  # (..., classes)
        if self.reduction == "paper":
            soft_loss = global_mean_of(soft)
        else:
            soft_loss = self.temperature**2 * _mean_over_predictions(ops.sum(soft, axis=-1), mask)
        if not self.hard_label_weight:
            return soft_loss
        if labels is None:
            raise InputError(f"{self.name}: hard_label_weight={self.hard_label_weight}, and the data has no labels.")
        one_hot = ops.one_hot(labels, student.shape[-1], dtype="float32")
        hard = -ops.sum(one_hot * ops.log_softmax(student, axis=-1), axis=-1)
        labelled = ops.cast(ops.greater_equal(labels, 0), "float32")
        hard_loss = _mean_over_predictions(hard, mask, labelled)
        return (1.0 - self.hard_label_weight) * soft_loss + self.hard_label_weight * hard_loss

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "hard_label_weight": self.hard_label_weight,
            "reduction": self.reduction,
        }


def _mean_over_predictions(losses: Any, mask: Any, counted: Any = 1.0) -> Any:
    """The mean of `(batch,)`, or of `(batch, seq_len)` over real tokens, where `counted` is 1."""
    weights = counted * (mask if len(losses.shape) == 2 else ops.ones_like(losses))
    return global_mean(ops.sum(losses * weights), ops.sum(weights))
