"""The predictions: soft cross-entropy of classes, squared error of scores, and an optional hard-label term."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_mean
from tinybert_tf.distillation.losses.base import check_reduction, global_mean_of
from tinybert_tf.distillation.losses.logits import SoftenedLoss
from tinybert_tf.errors import InputError


class PredictionLoss(SoftenedLoss):
    """Cross-entropy between the teacher's and the student's softened predictions (arXiv 1909.10351, equation 10).

    `(1 - w) T^2 CE(softmax(z_T / T), softmax(z_S / T)) + w CE(y, softmax(z_S))`; T^2 keeps the gradient's size when T
    changes (arXiv 1503.02531, section 2). Logits are `(batch, classes)`, or `(batch, seq_len, classes)` for one
    prediction a token.

    Logits of one column are scores (regression): `(1 - w) (z_T - z_S)^2 + w (y - z_S)^2`. The authors' code trains
    STS-B on its labels alone, w = 1.

    Args:
        temperature: T, above 0; 1 for scores.
        hard_label_weight: w, a fraction in [0, 1]; the labels are used where it is not 0. A class below 0, and a score
            that is NaN, is no label.
        reduction: `tokens`: summed over classes, the mean over the batch (over real tokens, where there is a prediction
            a token). `paper`: the authors' code (task_distill.py, `soft_cross_entropy`): the mean over batch and
            classes, that is, divided by the number of classes, and no T^2.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a value out of range; a hard-label term without labels; a temperature for scores.

    Example:
        >>> import numpy as np
        >>> logits = np.zeros((3, 2))
        >>> round(float(PredictionLoss()(student=logits, teacher=logits)), 4)
        0.6931
    """

    takes_scores = True

    def __init__(
        self,
        temperature: float = 1.0,
        hard_label_weight: float = 0.0,
        reduction: str = "tokens",
        weight: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(temperature=temperature, weight=weight, name=name)
        if not 0 <= hard_label_weight <= 1:
            raise InputError(
                f"{type(self).__name__}: hard_label_weight={hard_label_weight}; a fraction in [0, 1] is wanted."
            )
        self.hard_label_weight = float(hard_label_weight)
        self.reduction = check_reduction(reduction, self)

    @property
    def needs_labels(self) -> bool:
        """Whether there is a hard-label term."""
        return self.hard_label_weight > 0

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse logits of different shapes, and scores to be softened.

        Raises:
            InputError: the shapes differ; a temperature for scores.
        """
        super().check_shapes(student, teacher)
        if student.shape[-1] == 1 and self.temperature != 1.0:
            raise InputError(f"{self.name}: temperature={self.temperature} softens classes; scores take 1.")

    def call(self, *, student: Any, teacher: Any, mask: Any, labels: Any = None) -> Any:
        """The loss, a scalar."""
        soft_term, hard_term = _SCORE_TERMS if student.shape[-1] == 1 else _CLASS_TERMS
        soft = soft_term(student / self.temperature, teacher / self.temperature)  # (..., classes)
        if self.reduction == "paper":
            soft_loss = global_mean_of(soft)
        else:
            soft_loss = self.temperature**2 * masked_mean(ops.sum(soft, axis=-1), mask)
        if not self.needs_labels:
            return soft_loss
        hard, labelled = hard_term(student, labels)
        hard_loss = masked_mean(hard, mask, labelled)
        return (1.0 - self.hard_label_weight) * soft_loss + self.hard_label_weight * hard_loss

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "hard_label_weight": self.hard_label_weight,
            "reduction": self.reduction,
        }


def _soft_cross_entropy(student: Any, teacher: Any) -> Any:
    """Its part of each class, `(..., classes)`."""
    return -ops.softmax(teacher, axis=-1) * ops.log_softmax(student, axis=-1)


def _squared_error(student: Any, teacher: Any) -> Any:
    return ops.square(teacher - student)


def _hard_cross_entropy(student: Any, labels: Any) -> tuple[Any, Any]:
    """The losses of the predictions, and 1 where there is a label."""
    one_hot = ops.one_hot(labels, student.shape[-1], dtype="float32")
    losses = -ops.sum(one_hot * ops.log_softmax(student, axis=-1), axis=-1)
    return losses, ops.cast(ops.greater_equal(labels, 0), "float32")


def _hard_squared_error(student: Any, labels: Any) -> tuple[Any, Any]:
    """The losses of the predictions, and 1 where there is a label."""
    labels = ops.cast(labels, "float32")
    labelled = ops.isfinite(labels)
    # 0 for what is no label: a NaN would come back through the gradient of what is masked out.
    losses = ops.square(ops.where(labelled, labels, 0.0) - student[..., 0])
    return losses, ops.cast(labelled, "float32")


# The soft and the hard term of predictions that are classes, and of those that are scores.
_CLASS_TERMS = (_soft_cross_entropy, _hard_cross_entropy)
_SCORE_TERMS = (_squared_error, _hard_squared_error)
