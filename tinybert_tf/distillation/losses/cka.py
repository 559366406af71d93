"""Centred kernel alignment."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import length
from tinybert_tf.distillation.losses.base import DistillationLoss


class CKALoss(DistillationLoss):
    """`1 - CKA(H_S, H_T)` for each mapped pair; linear CKA (Kornblith et al., arXiv 1905.00414).

    `CKA = |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)`. The rows of X and Y are the batch's real tokens, their columns centred.
    It stays the same when the student's space is turned, scaled or shifted, and widths may differ: no projection. On
    several devices it is the mean of the devices' values, weighted by their real tokens.

    Example:
        >>> import numpy as np
        >>> student = np.array([[[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]])
        >>> turned = np.stack([-student[..., 1], student[..., 0]], axis=-1) * 3 + 5
        >>> abs(round(float(CKALoss()(student=student, teacher=turned, mask=np.array([[1, 1, 1]]))), 5))
        0.0
    """

    feature = "hidden_states"
    any_width = True
    couples_rows = True

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        tokens = ops.sum(mask)
        x, y = _centred(student, mask, tokens), _centred(teacher, mask, tokens)
        alignment = ops.square(length(_covariance(x, y), axis=(0, 1)))
        alignment = alignment / (length(_covariance(x, x), axis=(0, 1)) * length(_covariance(y, y), axis=(0, 1)))
        # Two tokens are always aligned, so they do not count.
        counted = ops.where(tokens > 2, tokens, 0.0)
        return (1.0 - alignment) * counted, counted


def _centred(vectors: Any, mask: Any, tokens: Any) -> Any:
    """`(batch, seq_len, width)`, 0 at padding, divided by the root of the number of tokens: covariances stay small."""
    weights = mask[:, :, None]
    count = ops.maximum(tokens, 1.0)
    mean = ops.sum(vectors * weights, axis=(0, 1)) / count
    return (vectors - mean) * weights / ops.sqrt(count)


def _covariance(x: Any, y: Any) -> Any:
    return ops.einsum("bsi,bsj->ij", x, y)
