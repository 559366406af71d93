"""Multi-head self-attention that can hand out its raw scores, queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from tinybert_tf.models.encoder.dropout import Dropout
from tinybert_tf.models.initializer import encoder_initializer
from tinybert_tf.models.layers import fast
from tinybert_tf.models.layers.dense import Dense

# Added to the float32 scores of padded columns; exp() of it is exactly 0.
MASKED = -1e9


def as_mask_bias(attention_mask: Any) -> Any:
    """Turn a mask `(batch, seq_len)`, 1 real and 0 padding, into a float32 bias of scores, `(batch, 1, 1, seq_len)`."""
    mask = ops.cast(attention_mask, "float32")
    return (1.0 - mask[:, None, None, :]) * MASKED


class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product self-attention with its output projection (arXiv 1706.03762, section 3.2).

    `call(hidden, mask_bias)` takes `(batch, seq_len, hidden_size)` and an additive float32 mask, 0 on real tokens and
    `MASKED` on padding, `(batch, 1, 1, seq_len)`. It returns `(output, intermediates)`: the output `(batch, seq_len,
    hidden_size)`, or rows of a matrix, see `as_rows`; and a dict of

    - `scores`: `(batch, heads, seq_len, seq_len)`, QK^T / sqrt(head_size) before mask and softmax,
    - `queries`, `keys`, `values`: `(batch, heads, seq_len, head_size)`,
    - `context`: the heads' weighted values side by side, before the projection, `(batch, seq_len, heads * head_size)`.

    The output needs all of them, so returning them costs nothing.

    With `query_hidden`, `(batch, places, hidden_size)`, only these places attend to `hidden`, and the output has only
    these places.

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
        # No autocast, so that the mask stays float32. The sub-layers cast their inputs.
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

    def call(
        self, hidden: Any, mask_bias: Any, training: bool | None = None, query_hidden: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Attend; see the class for shapes."""
        queries, keys, values = self._projected(hidden, query_hidden, training)

        def dropout(probabilities: Any) -> Any:
            return self.dropout(probabilities, training=training)

        found, scores = (fast.attend if fast.is_fast() else attend)(queries, keys, values, mask_bias, dropout)
        places = ops.shape(hidden if query_hidden is None else query_hidden)[1]
        context = ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (-1, places, self.width))
        inside = {"scores": scores, "queries": queries, "keys": keys, "values": values, "context": context}
        return self.output_projection(as_rows(context, self.output_projection), training=training), inside

    def _projected(self, hidden: Any, query_hidden: Any, training: bool | None) -> list[Any]:
        """Queries, keys and values, `(batch, heads, seq_len, head_size)` each."""
        layers = (self.query, self.key, self.value)
        is_plain = fast.is_fast() and all(getattr(dense, "is_plain", False) for dense in layers)
        if training and is_plain and query_hidden is None:
            return self._in_one_product(hidden, layers)
        asked = hidden if query_hidden is None else query_hidden

        def projected(dense: Any, values: Any) -> Any:
            product = dense(as_rows(values, dense), training=training)
            split = ops.reshape(product, (-1, ops.shape(values)[1], self.num_attention_heads, self.head_size))
            return ops.transpose(split, (0, 2, 1, 3))

        return [projected(dense, values) for dense, values in zip(layers, (asked, hidden, hidden), strict=True)]

    def _in_one_product(self, hidden: Any, layers: Iterable[Dense]) -> list[Any]:
        """Queries, keys and values from one matrix product, which is faster in training."""
        kernel = ops.concatenate([ops.cast(dense.kernel, self.compute_dtype) for dense in layers], axis=1)
        bias = ops.concatenate([ops.cast(dense.bias, self.compute_dtype) for dense in layers], axis=0)
        rows = ops.cast(ops.reshape(hidden, (-1, self.hidden_size)), self.compute_dtype)
        product = fast.affine(rows, kernel, bias, training=True)
        split = ops.reshape(product, (-1, ops.shape(hidden)[1], 3, self.num_attention_heads, self.head_size))
        return ops.unstack(ops.transpose(split, (2, 0, 3, 1, 4)), 3)


def as_rows(values: Any, dense: Any) -> Any:
    """Reshape `(batch, seq_len, width)` to a matrix, `(batch * seq_len, width)`, which a dense layer multiplies faster.

    For a layer that rounds, the values keep their shape: LiteRT's converter would round the other uses of rows too.
    """
    if fast.is_fast() and not getattr(dense, "is_rounded", False):
        return ops.reshape(values, (-1, values.shape[-1]))
    return values


def attend(queries: Any, keys: Any, values: Any, mask_bias: Any, dropout: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the values, weighted by `softmax(Q K^T / sqrt(head_size) + mask_bias)`, and the scores before the mask.

    Args:
        queries: `(batch, heads, places, head_size)`.
        keys: `(batch, heads, seq_len, head_size)`.
        values: of the shape of `keys`.
        mask_bias: `(batch, 1, 1, seq_len)` float32.
        dropout: applied to the probabilities.

    Returns:
        `(batch, heads, places, head_size)` and `(batch, heads, places, seq_len)`.
    """
    # The queries are scaled, not the product: the product of unscaled float16 queries and keys can overflow.
    scaled = queries * (1.0 / math.sqrt(queries.shape[-1]))
    scores = ops.matmul(scaled, ops.transpose(keys, (0, 1, 3, 2)))
    # Softmax in float32: its sum over a long sequence does not fit bfloat16's eight bits.
    masked = ops.cast(scores, "float32") + mask_bias
    # A single token attends to itself; Keras warns of a softmax over one value.
    is_single = scores.shape[-1] == 1
    probabilities = ops.ones_like(masked) if is_single else ops.softmax(masked, axis=-1)
    return ops.matmul(dropout(ops.cast(probabilities, queries.dtype)), values), scores
