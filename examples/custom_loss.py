"""A loss of your own: the attention's values, compared token by token.

    tinybert distill examples/custom_loss.yaml

The config names this file and the class; nothing is registered. In Python it is used like any other:
`tb.Distiller(teacher, student, losses=[ValueLoss()])`.
"""

from keras import ops

import tinybert_tf as tb


class ValueLoss(tb.DistillationLoss):
    """Mean squared error of values, `(batch, heads, seq_len, head_size)`, over heads of equal size and real tokens."""

    feature = "values"

    def call(self, *, student, teacher, mask):
        """The loss of one mapped pair of layers, a scalar."""
        squared = ops.mean(ops.square(student - teacher), axis=(1, 3))  # (batch, seq_len)
        return ops.sum(squared * mask) / ops.sum(mask)
