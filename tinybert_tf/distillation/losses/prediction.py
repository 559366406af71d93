"""The predictions: soft cross-entropy of classes, squared error of scores, and an optional hard-label term."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.losses.arithmetic import MASKED, scaled, sum_of_rows
from tinybert_tf.distillation.losses.base import check_reduction
from tinybert_tf.distillation.losses.logits import SoftenedLoss
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError
from tinybert_tf.trainable.label_losses import check_classes, label_losses


class PredictionLoss(SoftenedLoss):
    """Cross-entropy between the teacher's and the student's softened predictions (arXiv 1909.10351, equation 10).

    `(1 - w) T^2 CE(softmax(z_T / T), softmax(z_S / T)) + w CE(y, softmax(z_S))`; T^2 keeps the gradient's size when T
    changes (arXiv 1503.02531, section 2). The models' `predicts` decides what one prediction is:

    - `classes`: the last axis of `(batch, classes)`, or of `(batch, seq_len, classes)` for one prediction a token;
    - `scores`, logits of one column: `(1 - w) (z_T - z_S)^2 + w (y - z_S)^2`. The authors' code trains STS-B on its
      labels alone, w = 1;
    - `labels`: each of `(batch, labels)` by itself, yes or no: sigmoid in place of softmax;
    - `positions`: each column of `(batch, seq_len, columns)` by itself: softmax over the positions of real tokens.

    Args:
        temperature: T, above 0; 1 for scores.
        hard_label_weight: w, a fraction in [0, 1]; above 0 the loss needs labels. A class, position or yes/no below 0
            and a score of NaN count as missing; a class that the logits do not have makes the loss NaN.
        reduction: `tokens`: the mean over predictions, without those of padding. `paper`: the authors' code
            (task_distill.py, `soft_cross_entropy`): the mean over batch and classes, so divided by the number of
            classes, and no T^2.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: a value out of range; a hard-label term without labels, or with labels of another shape; one class,
            where the loss is constant; a temperature for scores; the paper's reduction for predictions of tokens or
            positions, where it would average padding.

    Example:
        >>> import numpy as np
        >>> logits = np.zeros((3, 2))
        >>> round(float(PredictionLoss()(student=logits, teacher=logits)), 4)
        0.6931
        >>> round(float(PredictionLoss()(student=logits, teacher=logits + 9.0, predicts="labels")), 4)
        0.6931
    """

    compares = None
    takes_scores = True

    def __init__(
        self,
        temperature: float = 1.0,
        hard_label_weight: float = 0.0,
        reduction: str = "tokens",
        weight: Weight = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(temperature=temperature, weight=weight, name=name)
        if not 0 <= hard_label_weight <= 1:
            raise InputError(
                f"{type(self).__name__}: hard_label_weight={hard_label_weight}; expected a fraction in [0, 1]."
            )
        self.hard_label_weight = float(hard_label_weight)
        self.reduction = check_reduction(reduction, self)

    @property
    def needs_labels(self) -> bool:
        """Whether there is a hard-label term."""
        return self.hard_label_weight > 0

    @property
    def num_means(self) -> int:
        """One for the soft predictions; with labels a second one, over the labels that are not missing."""
        return 2 if self.needs_labels else 1

    def mean_over_of(self, student: Any, predicts: str | None = None) -> str:
        """`rows` for positions, which are not predictions of tokens; else as for other losses."""
        return "rows" if predicts == features.POSITIONS else super().mean_over_of(student, predicts)

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse logits of different shapes, and logits of tokens where padding would be averaged.

        Raises:
            InputError: the shapes differ; the paper's reduction for tokens.
        """
        super().check_shapes(student, teacher)
        if self.reduction == "paper" and len(student.shape) > 2:
            raise InputError(f"{self.name}: reduction='paper' is for one prediction a text; expected 'tokens'.")

    def call(self, *, student: Any, teacher: Any, mask: Any, labels: Any = None, predicts: str | None = None) -> Any:
        """The loss: `(total, count)`, and the hard-label term's."""
        kind = _kind_of(student, predicts)
        if kind is _KINDS[features.SCORES] and self.temperature != 1.0:
            raise InputError(f"{self.name}: temperature={self.temperature} softens classes; scores take 1.")
        if predicts == features.CLASSES:
            check_classes(student, self.name)
        student, teacher = kind.predictions(student, mask), kind.predictions(teacher, mask)
        soft = kind.soft(student / self.temperature, teacher / self.temperature)  # (predictions ..., classes)
        counted = kind.counted(soft[..., 0], mask)
        if self.reduction == "paper":
            soft_mean = sum_of_rows(soft)
        else:
            soft_mean = (self.temperature**2 * ops.sum(ops.sum(soft, axis=-1) * counted), ops.sum(counted))
        if not self.needs_labels:
            return soft_mean
        hard, labelled = label_losses(kind.predicts, student, labels)
        hard_mean = (ops.sum(hard * counted), ops.sum(labelled * counted))
        return [scaled(1.0 - self.hard_label_weight, soft_mean), scaled(self.hard_label_weight, hard_mean)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "hard_label_weight": self.hard_label_weight,
            "reduction": self.reduction,
        }


def _soft_cross_entropy(student: Any, teacher: Any) -> Any:
    """The cross-entropy's term of each class, `(..., classes)`."""
    return -ops.softmax(teacher, axis=-1) * ops.log_softmax(student, axis=-1)


def _squared_error(student: Any, teacher: Any) -> Any:
    return ops.square(teacher - student)


def _soft_binary(student: Any, teacher: Any) -> Any:
    """The cross-entropy of each label by itself, `(..., labels, 1)`."""
    return (ops.softplus(student) - ops.sigmoid(teacher) * student)[..., None]


def _over_positions(logits: Any, mask: Any) -> Any:
    """`(batch, seq_len, columns)` as predictions of a position, `(batch, columns, seq_len)`; padding gets no weight."""
    return ops.where(mask[:, None, :] > 0, ops.transpose(logits, (0, 2, 1)), MASKED)


def _each_text_or_token(predictions: Any, mask: Any) -> Any:
    """1 for each text, `(batch,)`; for tokens, `(batch, seq_len)`, 1 for the real ones."""
    return mask if len(predictions.shape) == 2 else ops.ones_like(predictions)


def _all(predictions: Any, mask: Any) -> Any:
    return ops.ones_like(predictions)


@dataclass(frozen=True)
class _Kind:
    """One kind of prediction, and how two of them are compared.

    `predicts`: as in `features`. `soft(student, teacher)`: the loss's term of each class, on the last axis.
    `predictions(logits, mask)`: the logits with one prediction along the last axis. `counted(predictions, mask)`: 1 for
    the predictions that count.
    """

    predicts: str
    soft: Callable[[Any, Any], Any]
    predictions: Callable[[Any, Any], Any] = lambda logits, mask: logits
    counted: Callable[[Any, Any], Any] = _each_text_or_token


_KINDS = {
    each.predicts: each
    for each in (
        _Kind(features.CLASSES, _soft_cross_entropy),
        _Kind(features.SCORES, _squared_error),
        _Kind(features.LABELS, _soft_binary, counted=_all),
        _Kind(features.POSITIONS, _soft_cross_entropy, _over_positions, _all),
    )
}


def _kind_of(logits: Any, predicts: str | None) -> _Kind:
    """The kind of `predicts`; where models have none, one column is a score."""
    if predicts is None:
        predicts = features.SCORES if logits.shape[-1] == 1 else features.CLASSES
    return _KINDS[predicts]
