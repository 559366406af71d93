"""An encoder layer in TensorFlow's own operations, arranged so that its kernels fuse; the same numbers, sooner.

`encoder_layer.py` says what is computed, on every backend; on TensorFlow this is what runs:

- tokens are rows of a matrix from end to end: a product takes in its bias only where nothing reshapes in between;
- in inference on a CPU, GELU is written as oneDNN knows it, and becomes part of the product before it;
- LayerNorm is its statistics and one multiplication, without Keras's casts and broadcasts;
- dropout takes 16 random bits for a number, not 32 made into a float: its rate is a multiple of 2^-16.

Measured in benchmarks/RESULTS.md. `set_fast_layers(False)` switches it off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras

from tinybert_tf.models.fake_quantization import Dense, is_fake_quantized

if TYPE_CHECKING:
    from tinybert_tf.models.encoder_layer import EncoderLayer

_switch = {"enabled": True}


def set_fast_layers(enabled: bool) -> bool:
    """Let encoder layers that are traced from now on run in this form, or not; returns what was set before."""
    before = _switch["enabled"]
    _switch["enabled"] = enabled
    return before


def is_fast(layer: EncoderLayer) -> bool:
    """Whether a layer runs in this form: on TensorFlow, not rounded, and made of nothing but plain layers."""
    is_wanted = _switch["enabled"] and keras.backend.backend() == "tensorflow"
    return is_wanted and not is_fake_quantized() and is_plain(layer)


def is_plain(layer: EncoderLayer) -> bool:
    """Whether a layer is made of nothing but plain layers: its weights say all that it computes."""
    attention = layer.attention
    dense = (attention.query, attention.key, attention.value, attention.output_projection)
    return all(
        type(each) is Dense and each.quantization_mode is None
        for each in (*dense, layer.intermediate, layer.output_projection)
    ) and all(
        type(each) is kind
        for kind, of_kind in (
            (keras.layers.LayerNormalization, (layer.attention_layer_norm, layer.output_layer_norm)),
            (keras.layers.Dropout, (attention.dropout, layer.dropout)),
        )
        for each in of_kind
    )


def fast_layer(
    layer: EncoderLayer, hidden: Any, mask_bias: Any, training: bool | None, query_hidden: Any
) -> tuple[Any, dict[str, Any]]:
    """What `EncoderLayer.call` returns, from the same arguments."""
    import tensorflow as tf

    attention, dtype = layer.attention, layer.compute_dtype
    size, heads, head_size = layer.hidden_size, attention.num_attention_heads, attention.head_size

    def dense(rows: Any, projection: keras.layers.Dense) -> Any:
        product = tf.matmul(rows, tf.cast(projection.kernel, dtype))
        return tf.nn.bias_add(product, tf.cast(projection.bias, dtype))

    def layer_norm(rows: Any, norm: keras.layers.LayerNormalization) -> Any:
        exact = tf.cast(rows, tf.float32)  # sums of a row do not fit bfloat16's eight bits
        centred = exact - tf.reduce_mean(exact, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        scaled = centred * tf.math.rsqrt(variance + norm.epsilon)
        return tf.cast(scaled * tf.cast(norm.gamma, tf.float32) + tf.cast(norm.beta, tf.float32), dtype)

    def dropout(values: Any, dropped: keras.layers.Dropout) -> Any:
        if not training or dropped.rate == 0:
            return values
        size = tf.size(values)
        bits = tf.random.stateless_uniform(
            [(size + 1) // 2], dropped.seed_generator.next(), minval=None, maxval=None, dtype=tf.int32
        )
        halves = tf.reshape(tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size], tf.shape(values))
        kept = halves >= tf.constant(round(dropped.rate * 2**16), tf.uint16)
        return values * (tf.cast(kept, dtype) * tf.cast(1.0 / (1.0 - dropped.rate), dtype))

    def seq_len(like: Any) -> Any:
        return tf.shape(like)[1] if like.shape[1] is None else like.shape[1]

    def split_heads(rows: Any, like: Any) -> Any:
        return tf.transpose(tf.reshape(rows, [-1, seq_len(like), heads, head_size]), [0, 2, 1, 3])

    hidden = tf.cast(hidden, dtype)
    rows = tf.reshape(hidden, [-1, size])
    asked, asked_rows = hidden, rows
    if query_hidden is not hidden:
        asked = tf.cast(query_hidden, dtype)
        asked_rows = tf.reshape(asked, [-1, size])
    queries = split_heads(dense(asked_rows, attention.query), asked)
    keys = split_heads(dense(rows, attention.key), hidden)
    values = split_heads(dense(rows, attention.value), hidden)
    scores = tf.matmul(queries * tf.cast(1.0 / math.sqrt(head_size), dtype), keys, transpose_b=True)
    probabilities = tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + mask_bias), dtype)
    probabilities = dropout(probabilities, attention.dropout)
    context = tf.reshape(tf.transpose(tf.matmul(probabilities, values), [0, 2, 1, 3]), [-1, attention.width])

    attended = dropout(dense(context, attention.output_projection), layer.dropout)
    middle = layer_norm(asked_rows + attended, layer.attention_layer_norm)
    expanded = dense(middle, layer.intermediate)
    if layer.hidden_act == "gelu" and not training and _fuses_gelu():
        expanded = tf.nn.gelu(expanded, approximate=False)
    else:
        expanded = layer.activation(expanded)
    projected = dropout(dense(expanded, layer.output_projection), layer.dropout)
    output = layer_norm(middle + projected, layer.output_layer_norm)
    intermediates = {"scores": scores, "queries": queries, "keys": keys, "values": values}
    return tf.reshape(output, [-1, seq_len(asked), size]), intermediates


def _fuses_gelu() -> bool:
    """Whether what is being traced is a graph for a CPU, where oneDNN takes a bias and a GELU into a product."""
    import tensorflow as tf

    return tf.inside_function() and not tf.config.list_physical_devices("GPU")
