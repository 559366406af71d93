"""Neuron selectivity transfer."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_sum, unit
from tinybert_tf.distillation.losses.base import DistillationLoss


class NSTLoss(DistillationLoss):
    """The squared maximum mean discrepancy of neurons' selectivity patterns, for each mapped pair (arXiv 1707.01219).

    A neuron's pattern f is its values over a text's real tokens, scaled to length 1; the kernel is the polynomial one
    that the paper finds best, `k(f, g) = (f . g)^2`:

    `mean k(f_S, f_S') + mean k(f_T, f_T') - 2 mean k(f_S, f_T)`, the mean over the batch. It equals
    `|F_S F_S^T / d_S - F_T F_T^T / d_T|_F^2` with patterns as columns of F, which is what is computed: `(seq_len,
    seq_len)` matrices in place of `(d, d)`. Widths may differ: no projection.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.array([[[2.0], [0.0]]]), np.array([[[0.0, 0.0], [1.0, 5.0]]])
        >>> float(NSTLoss()(student=student, teacher=teacher, mask=np.array([[1, 1]])))
        2.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    any_width = True

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        difference = _kernel(student, mask) - _kernel(teacher, mask)
        return masked_sum(ops.sum(ops.square(difference), axis=(1, 2)), mask)


def _kernel(vectors: Any, mask: Any) -> Any:
    """The mean of `f f^T` over neurons, `(batch, seq_len, seq_len)`."""
    patterns = unit(vectors * mask[:, :, None], axis=1)
    return ops.matmul(patterns, ops.transpose(patterns, (0, 2, 1))) / vectors.shape[-1]
