"""Mean squared error of raw attention scores, layer by layer."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import sum_of_rows
from tinybert_tf.distillation.losses.base import DistillationLoss, check_reduction
from tinybert_tf.distillation.losses.weights import Weight
from tinybert_tf.errors import InputError


class AttentionLoss(DistillationLoss):
    """`1/h sum_i MSE(A_S^i, A_T^i)` of scores before the softmax, for each mapped pair (arXiv 1909.10351, equation 7).

    Student and teacher are `(batch, heads, seq_len, seq_len)`, QK^T / sqrt(head_size) before mask and softmax; both
    need the same number of heads.

    Args:
        reduction: `tokens`: the squared differences summed over rows and columns that are real tokens, divided by heads
            times the sum over the batch of length squared. `paper`: the authors' code (task_distill.py): -10000 added
            to padded columns, scores of at most -100 set to 0 on both sides, then the mean over everything, padded rows
            and columns included.
        weight: factor in the Distiller's sum.
        name: the name it is logged under.

    Raises:
        InputError: student and teacher have different numbers of heads.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.zeros((1, 2, 3, 3)), np.ones((1, 2, 3, 3))
        >>> float(AttentionLoss()(student=student, teacher=teacher, mask=np.array([[1, 1, 0]])))
        1.0
    """

    feature = "attention_scores"

    def __init__(self, reduction: str = "tokens", weight: Weight = 1.0, name: str | None = None) -> None:
        super().__init__(weight=weight, name=name)
        self.reduction = check_reduction(reduction, self)

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse different numbers of heads.

        Raises:
            InputError: the numbers differ.
        """
        check_heads(self.name, student, teacher, "leave this loss out and use HiddenStateLoss alone")
        super().check_shapes(student, teacher)

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        if self.reduction == "paper":
            padded = (1.0 - mask[:, None, None, :]) * -10000.0
            return sum_of_rows(ops.square(_cleaned(student + padded) - _cleaned(teacher + padded)))
        valid = mask[:, None, :, None] * mask[:, None, None, :]  # (batch, 1, seq_len, seq_len)
        total = ops.sum(ops.square(student - teacher) * valid)
        return total, student.shape[1] * ops.sum(ops.square(ops.sum(mask, axis=-1)))

    @property
    def mean_over(self) -> str:
        """Pairs of real tokens."""
        return super().mean_over if self.reads_padding else "token_pairs"

    @property
    def reads_padding(self) -> bool:
        """The authors' mean is over padding too."""
        return self.reduction == "paper"

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "reduction": self.reduction}


def check_heads(name: str, student: Any, teacher: Any, instead: str) -> None:
    """Refuse `(batch, heads, ...)` of different numbers of heads; `instead` is advice for the message.

    Raises:
        InputError: the numbers differ.
    """
    ours, theirs = student.shape[1], teacher.shape[1]
    if ours != theirs:
        raise InputError(
            f"{name}: the student has {ours} attention heads, the teacher {theirs}, compared head by head. "
            f"Give the student num_attention_heads={theirs}, or {instead}."
        )


def _cleaned(scores: Any) -> Any:
    return ops.where(scores <= -1e2, 0.0, scores)
