"""Cosine distance of hidden states."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import check_directions, masked_sum, unit
from tinybert_tf.distillation.losses.base import DistillationLoss


class CosineLoss(DistillationLoss):
    """`1 - cos(H_S W, H_T)` for each mapped pair, the mean over real tokens (DistilBERT, arXiv 1910.01108)."""

    feature = "hidden_states"
    projected = True

    def check_shapes(self, student: Any, teacher: Any) -> None:
        """Refuse vectors of different shapes, and of one number, which have no direction.

        Raises:
            InputError: the shapes differ; a width of 1.
        """
        super().check_shapes(student, teacher)
        check_directions(student, self.name)

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        cosine = ops.sum(unit(student) * unit(teacher), axis=-1)  # (batch, seq_len)
        return masked_sum(1.0 - cosine, mask)
