"""Flow from layer to layer: FSP matrices, and the Gram matrix, the flow from a layer to itself."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.arithmetic import masked_sum
from tinybert_tf.distillation.losses.base import DistillationLoss


class GramLoss(DistillationLoss):
    """`|G_S - G_T|^2 / d^2`, `G = H^T H / length` over a text's real tokens, for each mapped pair; mean over the batch.

    The matrix of style transfer (Gatys et al., arXiv 1508.06576): which neurons are active together. Hidden
    states are projected to the teacher's width d where widths differ.

    Example:
        >>> import numpy as np
        >>> student, teacher = np.array([[[1.0], [3.0]]]), np.array([[[2.0], [2.0]]])
        >>> float(GramLoss()(student=student, teacher=teacher, mask=np.array([[1, 1]])))  # 5 and 4
        1.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    projected = True

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of one pair, `(total, count)`."""
        return _squared_difference((student, student), (teacher, teacher), mask)


class FSPLoss(DistillationLoss):
    """As `GramLoss`, with `G = H_1^T H_2 / length` from each mapped pair of layers to the next one in the map.

    The flow of solution procedure (Yim et al., "A Gift from Knowledge Distillation", CVPR 2017): how
    a stack of layers changes its input. The squared error is the mean over the matrix.

    Example:
        >>> import numpy as np
        >>> one, two = np.array([[[1.0], [3.0]]]), np.array([[[2.0], [2.0]]])
        >>> float(FSPLoss()(student=(one, one), teacher=(one, two), mask=np.array([[1, 1]])))  # 5 and 4
        1.0
    """

    feature = "hidden_states"
    mean_over = "rows"
    layers = "consecutive"
    projected = True

    def call(self, *, student: Any, teacher: Any, mask: Any) -> Any:
        """The loss of two pairs, one after the other, `(total, count)`."""
        return _squared_difference(student, teacher, mask)


def _squared_difference(student: tuple[Any, Any], teacher: tuple[Any, Any], mask: Any) -> tuple[Any, Any]:
    difference = _flow(*student, mask) - _flow(*teacher, mask)  # (batch, width, width)
    return masked_sum(ops.mean(ops.square(difference), axis=(1, 2)), mask)


def _flow(lower: Any, upper: Any, mask: Any) -> Any:
    total = ops.matmul(ops.transpose(lower * mask[:, :, None], (0, 2, 1)), upper)
    return total / ops.maximum(ops.sum(mask, axis=-1), 1.0)[:, None, None]
