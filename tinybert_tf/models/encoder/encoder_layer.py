"""One layer of BERT: self-attention and a feed-forward network, each added to its input and normalised."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinybert_tf.models.encoder.attention import SelfAttention, as_rows
from tinybert_tf.models.encoder.dropout import Dropout
from tinybert_tf.models.initializer import encoder_initializer
from tinybert_tf.models.layers.activations import ACTIVATIONS
from tinybert_tf.models.layers.dense import Dense
from tinybert_tf.models.layers.layer_norm import LayerNorm


class EncoderLayer(keras.layers.Layer):
    """A post-norm Transformer encoder layer, as in BERT (arXiv 1810.04805).

    `call(hidden, mask_bias)` returns `(output, intermediates)`: the output `(batch, seq_len, hidden_size)`, and a dict
    of the intermediates of `SelfAttention` and these, `(batch, seq_len, width)` or rows of a matrix (see `as_rows`):

    - `attended`, `normalised`: before and after the attention's LayerNorm,
    - `expanded`: the feed-forward units before their activation,
    - `summed`: before the last LayerNorm.

    With `query_hidden`, some rows of `hidden`, only the output of these rows is computed.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        intermediate_size: int,
        hidden_act: str,
        hidden_dropout: float,
        attention_dropout: float,
        layer_norm_eps: float,
        initializer_range: float,
        head_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        # No autocast, so that the mask stays float32. The sub-layers cast their inputs.
        super().__init__(autocast=False, **kwargs)
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size

        def dense(units: int, name: str, **kwargs: Any) -> Dense:
            initializer = encoder_initializer(initializer_range)
            return Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name, **kwargs)

        def layer_norm(name: str) -> LayerNorm:
            return LayerNorm(layer_norm_eps, dtype=self.dtype_policy, name=name)

        self.attention = SelfAttention(
            hidden_size,
            num_attention_heads,
            attention_dropout,
            initializer_range,
            head_size,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention_layer_norm = layer_norm("attention_layer_norm")
        self.intermediate = dense(intermediate_size, "intermediate")
        self.hidden_act = hidden_act
        self.activation = ACTIVATIONS[hidden_act]
        self.output_projection = dense(hidden_size, "output", feeds_floats=True)
        self.output_layer_norm = layer_norm("output_layer_norm")
        self.dropout = Dropout(hidden_dropout, dtype=self.dtype_policy, name="dropout")

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the output without what is inside, for `summary`."""
        return (None, None, self.hidden_size)

    def build(self, input_shape: Any = None) -> None:
        """Create the weights."""
        shape = (None, None, self.hidden_size)
        self.attention.build(shape)
        self.attention_layer_norm.build(shape)
        self.intermediate.build(shape)
        self.output_projection.build((None, None, self.intermediate_size))
        self.output_layer_norm.build(shape)
        self.built = True

    def call(
        self, hidden: Any, mask_bias: Any, training: bool | None = None, query_hidden: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Map `(batch, seq_len, hidden_size)` to the same shape; see the class."""
        asked = hidden if query_hidden is None else query_hidden
        attended, inside = self.attention(hidden, mask_bias, training=training, query_hidden=query_hidden)
        residual = ops.cast(as_rows(asked, self.attention.output_projection), self.compute_dtype)
        attended = residual + self.dropout(attended, training=training)
        normalised = self.attention_layer_norm(attended, training=training)
        expanded = self.intermediate(normalised, training=training)
        activated = self.activation(expanded, training, is_rounded=getattr(self.intermediate, "is_rounded", False))
        summed = normalised + self.dropout(self.output_projection(activated, training=training), training=training)
        output = self.output_layer_norm(summed, training=training)
        inside |= {"attended": attended, "normalised": normalised, "expanded": expanded, "summed": summed}
        return ops.reshape(output, (-1, ops.shape(asked)[1], self.hidden_size)), inside

    @property
    def is_plain(self) -> bool:
        """Whether all sub-layers are plain, so that their weights determine all that the layer computes."""
        attention = self.attention
        dense = (attention.query, attention.key, attention.value, attention.output_projection)
        return all(
            getattr(each, "is_plain", False) for each in (*dense, self.intermediate, self.output_projection)
        ) and all(type(each) is LayerNorm for each in (self.attention_layer_norm, self.output_layer_norm))
