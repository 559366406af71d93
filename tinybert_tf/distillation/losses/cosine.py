"""Cosine distance of hidden states."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_sum, unit
from tinybert_tf.distillation.losses.base import DistillationLoss


class CosineLoss(DistillationLoss):
    """`1 - cos(H_S W, H_T)` for each mapped pair, the mean over real tokens (DistilBERT, arXiv 1910.01108)."""

    feature = "hidden_states"
    projected = True
    min_width = 2

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        cosine = ops.sum(unit(student) * unit(teacher), axis=-1)  # (batch, seq_len)
        return masked_sum(1.0 - cosine, mask)
