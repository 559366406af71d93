"""Decoupled knowledge distillation."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import MASKED, kl_divergence, masked_sum
from tinybert_tf.distillation.losses.logits import SoftenedLoss
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.label_losses import known_classes


class DKDLoss(SoftenedLoss):
    """`T^2 (alpha TCKD + beta NCKD)`, the mean over labelled predictions (Zhao et al., arXiv 2203.08679).

    The KL divergence in two parts. TCKD is the divergence of `[p, 1 - p]`, the label's class against all others. NCKD
    is the divergence among the other classes; plain distillation multiplies it by `1 - p_T`, so that it vanishes where
    the teacher is sure. With two classes NCKD is 0.

    Args:
        alpha: weight of the label's class.
        beta: weight of the other classes.
        temperature: T, above 0.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a weight below 0, or both 0, and as `SoftenedLoss`; when called, no labels, or two classes and no
            `alpha`. A label below 0 counts as missing; a class that the logits do not have makes the loss NaN.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[0.0, 1.0, 2.0]])
        >>> float(DKDLoss()(student=logits, teacher=logits, labels=np.array([2])))
        0.0
    """

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        weight: Weight = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(temperature=temperature, weight=weight, name=name)
        for argument, value in (("alpha", alpha), ("beta", beta)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{type(self).__name__}: {argument}={value}; expected a number >= 0.")
        if alpha == beta == 0:
            raise InputError(f"{type(self).__name__}: alpha=0 and beta=0 make a loss of 0; expected one above 0.")
        self.alpha, self.beta = float(alpha), float(beta)

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse logits of different shapes, and those that make the loss constant.

        Raises:
            InputError: the shapes differ; fewer than two classes, or two without the label's class (`alpha`).
        """
        super().check_shapes(student, teacher)
        if student.shape[-1] == 2 and self.alpha == 0:
            raise InputError(f"{self.name}: alpha=0 leaves nothing to learn from two classes; expected alpha > 0.")

    def call(self, *, student: Any, teacher: Any, mask: Any, labels: Any = None) -> Any:
        """The loss, `(total, count)`."""
        known, labelled, factor = known_classes(student, labels)
        target = ops.one_hot(known, student.shape[-1], dtype="float32")
        student, teacher = student / self.temperature, teacher / self.temperature
        of_target = kl_divergence(_target_and_rest(student, target), _target_and_rest(teacher, target))
        among_rest = kl_divergence(student + MASKED * target, teacher + MASKED * target)
        losses = self.temperature**2 * (self.alpha * of_target + self.beta * among_rest)
        return masked_sum(losses * factor, mask, labelled)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


def _target_and_rest(logits: Any, target: Any) -> Any:
    """Logits of two classes, the label's and all others together, `(..., 2)`."""
    rest = ops.logsumexp(logits + MASKED * target, axis=-1)
    return ops.stack([ops.sum(logits * target, axis=-1), rest], axis=-1)
