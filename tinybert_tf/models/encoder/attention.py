"""Multi-head self-attention that can hand out its raw scores, queries, keys and values."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tinybert_tf.models.encoder.dropout import Dropout
from tinybert_tf.models.initializer import encoder_initializer
from tinybert_tf.models.layers.dense import Dense

# Added to the float32 scores of padded columns; exp() of it is exactly 0.
MASKED = -1e9


def as_mask_bias(attention_mask: Any) -> Any:
    """`(batch, seq_len)`, 1 real and 0 padding, to the float32 `(batch, 1, 1, seq_len)` that is added to scores."""
    mask = ops.cast(attention_mask, "float32")
    return (1.0 - mask[:, None, None, :]) * MASKED


class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product self-attention (arXiv 1706.03762, section 3.2), projection included.

    `call(hidden, mask_bias)` takes `(batch, seq_len, hidden_size)` and an additive float32 mask, 0 on real tokens and
    `MASKED` on padding, `(batch, 1, 1, seq_len)`. It returns `(output, intermediates)`, where `intermediates` holds

    - `scores`: `(batch, heads, seq_len, seq_len)`, QK^T / sqrt(head_size) before mask and softmax,
    - `queries`, `keys`, `values`: `(batch, heads, seq_len, head_size)`.

    All four are needed for the output, so handing them out costs nothing; who does not want them drops them.

    With `query_hidden`, `(batch, places, hidden_size)`, these attend to `hidden`, and the output is theirs alone.

    `head_size` is `hidden_size / num_attention_heads`, unless another is given.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        dropout: float,
        initializer_range: float,
        head_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        # No autocast: the mask stays float32. The sub-layers cast what they compute with.
        super().__init__(autocast=False, **kwargs)
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.head_size = hidden_size // num_attention_heads if head_size is None else head_size
        self.width = num_attention_heads * self.head_size

        def dense(units: int, name: str) -> Dense:
            initializer = encoder_initializer(initializer_range)
            return Dense(units, feeds_floats=True, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

        self.query = dense(self.width, "query")
        self.key = dense(self.width, "key")
        self.value = dense(self.width, "value")
        self.output_projection = dense(hidden_size, "output")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape: Any = None) -> None:
        """Create the four projections."""
        for dense in (self.query, self.key, self.value):
            dense.build((None, None, self.hidden_size))
        self.output_projection.build((None, None, self.width))
        self.built = True

    def _split_heads(self, tensor: Any) -> Any:
        split = ops.reshape(tensor, (-1, ops.shape(tensor)[1], self.num_attention_heads, self.head_size))
        return ops.transpose(split, (0, 2, 1, 3))  # (batch, heads, seq_len, head_size)

    def call(
        self, hidden: Any, mask_bias: Any, training: bool | None = None, query_hidden: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Attend; see the class for shapes."""
        query_hidden = hidden if query_hidden is None else query_hidden
        queries = self._split_heads(self.query(query_hidden))
        keys = self._split_heads(self.key(hidden))
        values = self._split_heads(self.value(hidden))
        # The queries are scaled, not the product: the product of unscaled float16 queries and keys can overflow.
        scaled = queries * (1.0 / math.sqrt(self.head_size))
        scores = ops.matmul(scaled, ops.transpose(keys, (0, 1, 3, 2)))
        # Softmax in float32: its sum over a long sequence does not fit bfloat16's eight bits.
        masked = ops.cast(scores, "float32") + mask_bias
        # A single token attends to itself; Keras warns of a softmax over one value.
        is_single = scores.shape[-1] == 1
        probabilities = ops.ones_like(masked) if is_single else ops.softmax(masked, axis=-1)
        probabilities = self.dropout(ops.cast(probabilities, self.compute_dtype), training=training)
        context = ops.transpose(ops.matmul(probabilities, values), (0, 2, 1, 3))
        context = ops.reshape(context, (-1, ops.shape(query_hidden)[1], self.width))
        intermediates = {"scores": scores, "queries": queries, "keys": keys, "values": values}
        return self.output_projection(context), intermediates
