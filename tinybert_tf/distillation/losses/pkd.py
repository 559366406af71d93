"""Patient knowledge distillation."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_sum, unit
from tinybert_tf.distillation.losses.base import DistillationLoss


class PKDLoss(DistillationLoss):
    """`| h_S / |h_S| - h_T / |h_T| |^2` of [CLS], for each mapped pair (Sun et al., arXiv 1908.09355).

    Hidden states are `(batch, seq_len, hidden_size)`, projected where widths differ; the mean is over the batch. The
    paper skips the last layer: leave it out of the layer map.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.array([[[2.0, 0.0]]]), np.array([[[0.0, 3.0]]])
        >>> float(PKDLoss()(student=student, teacher=teacher, mask=np.array([[1]])))
        2.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    projected = True
    min_width = 2

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        difference = unit(student[:, 0]) - unit(teacher[:, 0])  # (batch, hidden_size)
        return masked_sum(ops.sum(ops.square(difference), axis=-1), mask)
