"""Losses of logits: Kullback-Leibler divergence with a temperature, of standardised logits, and squared error."""

from __future__ import annotations

from typing import Any, ClassVar

from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.losses.arithmetic import TINY, kl_divergence, masked_sum
from tinybert_tf.distillation.losses.base import DistillationLoss
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError


class SoftenedLoss(DistillationLoss):
    """The base of losses that soften logits by a temperature.

    Logits are `(batch, classes)`, or `(batch, seq_len, classes)` for one prediction a token.

    Args:
        temperature: T, above 0; logits are divided by it.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a temperature out of range; logits of one column, scores, where classes are compared.
    """

    feature = "logits"
    compares: ClassVar[tuple[str, ...] | None] = (features.CLASSES,)
    takes_scores: ClassVar[bool] = False

    def __init__(self, temperature: float = 1.0, weight: Weight = 1.0, name: str | None = None) -> None:
        super().__init__(weight=weight, name=name)
        if not 0 < temperature < float("inf"):
            raise InputError(f"{type(self).__name__}: temperature={temperature}; expected a number > 0.")
        self.temperature = float(temperature)

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse logits of different shapes, and scores where they are not taken.

        Raises:
            InputError: the shapes differ; one column.
        """
        if student.shape[-1] == 1 and not self.takes_scores:
            raise InputError(
                f"{self.name} compares classes; found logits of one column, which are scores. `prediction` and "
                f"`logits_mse` compare scores."
            )
        super().check_shapes(student, teacher)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "temperature": self.temperature}


class KLLoss(SoftenedLoss):
    """`T^2 KL(softmax(z_T / T) || softmax(z_S / T))`, the mean over predictions (arXiv 1503.02531, section 2).

    The gradient is that of the cross-entropy with soft targets, `PredictionLoss`; the value is 0 where both agree.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[0.0, 1.0]])
        >>> float(KLLoss(temperature=2.0)(student=logits, teacher=logits))
        0.0
    """

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss, `(total, count)`."""
        divergence = kl_divergence(student / self.temperature, teacher / self.temperature)
        return masked_sum(self.temperature**2 * divergence, mask)


class StandardizedKLLoss(KLLoss):
    """`KLLoss` of standardised logits: `(z - mean(z)) / std(z)` over the classes, on both sides.

    A student then only has to match the order and the relative distances of the teacher's logits, not their size (Sun
    et al., arXiv 2403.01878; their T is 2). `std` divides by the number of classes, as in the paper. Two standardised
    logits are always -1 and 1: the loss is for three classes or more.

    Raises:
        InputError: as `SoftenedLoss`; when called, two classes.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.array([[0.0, 1.0, 2.0]]), np.array([[10.0, 30.0, 50.0]])
        >>> round(float(StandardizedKLLoss()(student=student, teacher=teacher)), 6)
        0.0
    """

    min_width = 3

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss, `(total, count)`."""
        return super().call(student=_standardized(student), teacher=_standardized(teacher), mask=mask)


class LogitsMSELoss(DistillationLoss):
    """`|z_S - z_T|^2 / classes`, the mean over predictions (Ba and Caruana, arXiv 1312.6184).

    Logits as in `SoftenedLoss`, or scores. `KLLoss` becomes this, up to a factor, as T grows (arXiv 2105.08919).

    Example:
        >>> import numpy as np
        >>> float(LogitsMSELoss()(student=np.array([[0.0, 1.0]]), teacher=np.array([[2.0, 1.0]])))
        2.0
    """

    feature = "logits"

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss, `(total, count)`."""
        return masked_sum(ops.mean(ops.square(student - teacher), axis=-1), mask)


def _standardized(logits: Any) -> Any:
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    return centred / ops.sqrt(ops.maximum(ops.mean(ops.square(centred), axis=-1, keepdims=True), TINY))
