"""An encoder layer in TensorFlow's own operations, arranged so that its kernels fuse; the same numbers, sooner.

`encoder_layer.py` says what is computed, on every backend; on TensorFlow this is what runs:

- tokens are rows of a matrix from end to end: a product takes in its bias only where nothing reshapes in between;
- in training queries, keys and values are one product, and gradients of biases, GELU and LayerNorm take fewer passes;
- in inference on a CPU, GELU is written as oneDNN knows it, and becomes part of the product before it;
- LayerNorm is its statistics and one multiplication, without Keras's casts and broadcasts.

Measured in benchmarks/RESULTS.md. `set_fast_layers(False)` switches it off.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from tinybert_tf.models.layers.dense import Dense

_switch = {"enabled": True}


def set_fast_layers(enabled: bool) -> bool:
    """Let encoder layers that are traced from now on run in this form, or not; returns what was set before."""
    before = _switch["enabled"]
    _switch["enabled"] = enabled
    return before


def is_fast(layer: Any) -> bool:
    """Whether a layer runs in this form: on TensorFlow, and made of nothing but plain layers."""
    is_wanted = _switch["enabled"] and keras.backend.backend() == "tensorflow"
    return is_wanted and is_plain(layer)


def is_plain(layer: Any) -> bool:
    """Whether a layer is made of nothing but plain layers that round nothing: its weights say all that it computes."""
    attention = layer.attention
    dense = (attention.query, attention.key, attention.value, attention.output_projection)
    return all(
        type(each) is Dense and each.quantization_mode is None and not each.is_rounded
        for each in (*dense, layer.intermediate, layer.output_projection)
    ) and all(
        type(each) is keras.layers.LayerNormalization for each in (layer.attention_layer_norm, layer.output_layer_norm)
    )


def fast_layer(
    layer: Any, hidden: Any, mask_bias: Any, training: bool | None, query_hidden: Any
) -> tuple[Any, dict[str, Any]]:
    """What `EncoderLayer.call` returns, from the same arguments."""
    import tensorflow as tf

    attention, dtype = layer.attention, layer.compute_dtype
    size, heads, head_size = layer.hidden_size, attention.num_attention_heads, attention.head_size

    def dense(rows: Any, *projections: keras.layers.Dense) -> Any:
        kernels = [tf.cast(each.kernel, dtype) for each in projections]
        biases = [tf.cast(each.bias, dtype) for each in projections]
        if len(projections) == 1:
            return _affine(rows, kernels[0], biases[0], training)
        return _affine(rows, tf.concat(kernels, axis=1), tf.concat(biases, axis=0), training)

    def layer_norm(rows: Any, norm: keras.layers.LayerNormalization) -> Any:
        scale_and_shift = tf.cast(norm.gamma, tf.float32), tf.cast(norm.beta, tf.float32)
        return tf.cast(_layer_norm(tf.cast(rows, tf.float32), *scale_and_shift, norm.epsilon, training), dtype)

    def seq_len(like: Any) -> Any:
        return tf.shape(like)[1] if like.shape[1] is None else like.shape[1]

    def in_heads(like: Any, rows: Any, projection: keras.layers.Dense) -> Any:
        split = tf.reshape(dense(rows, projection), [-1, seq_len(like), heads, head_size])
        return tf.transpose(split, [0, 2, 1, 3])

    hidden = asked = tf.cast(hidden, dtype)
    rows = asked_rows = tf.reshape(hidden, [-1, size])
    if query_hidden is not hidden:
        asked = tf.cast(query_hidden, dtype)
        asked_rows = tf.reshape(asked, [-1, size])
    if training and query_hidden is hidden:
        product = dense(rows, attention.query, attention.key, attention.value)
        split = tf.reshape(product, [-1, seq_len(hidden), 3, heads, head_size])
        queries, keys, values = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
    else:
        queries = in_heads(asked, asked_rows, attention.query)
        keys, values = (in_heads(hidden, rows, each) for each in (attention.key, attention.value))
    scores = tf.matmul(queries * tf.cast(1.0 / math.sqrt(head_size), dtype), keys, transpose_b=True)
    probabilities = tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + mask_bias), dtype)
    probabilities = attention.dropout(probabilities, training=training)
    context = tf.reshape(tf.transpose(tf.matmul(probabilities, values), [0, 2, 1, 3]), [-1, attention.width])

    attended = layer.dropout(dense(context, attention.output_projection), training=training)
    middle = layer_norm(asked_rows + attended, layer.attention_layer_norm)
    expanded = dense(middle, layer.intermediate)
    if layer.hidden_act == "gelu" and training:
        expanded = _gelu_to_train(expanded)
    elif layer.hidden_act == "gelu" and _fuses_gelu():
        expanded = tf.nn.gelu(expanded, approximate=False)
    else:
        expanded = layer.activation(expanded)
    projected = layer.dropout(dense(expanded, layer.output_projection), training=training)
    output = layer_norm(middle + projected, layer.output_layer_norm)
    intermediates = {"scores": scores, "queries": queries, "keys": keys, "values": values}
    return tf.reshape(output, [-1, seq_len(asked), size]), intermediates


def _gelu_to_train(values: Any) -> Any:
    """GELU, `x * cdf(x)` of the normal distribution (arXiv 1606.08415, section 2), with its gradient written out."""
    import tensorflow as tf

    @tf.custom_gradient
    def gelu(values: Any) -> Any:
        exact = tf.cast(values, tf.float32)  # as `activations.gelu`
        scaled = exact * math.sqrt(0.5)
        cdf = 0.5 * (1.0 + tf.math.erf(scaled))

        def gradients(upstream: Any) -> Any:
            # x times the density, e^(-x^2 / 2) / sqrt(2 pi), in terms of x / sqrt(2)
            weighted = scaled * (1.0 / math.sqrt(math.pi)) * tf.exp(-tf.square(scaled))
            return tf.cast(tf.cast(upstream, tf.float32) * (cdf + weighted), values.dtype)

        return tf.cast(exact * cdf, values.dtype), gradients

    return gelu(values)


def _fuses_gelu() -> bool:
    """Whether what is being traced is a graph for a CPU, where oneDNN takes a bias and a GELU into a product."""
    import tensorflow as tf

    return tf.inside_function() and not tf.config.list_physical_devices("GPU")


def _affine(rows: Any, kernel: Any, bias: Any, training: bool | None) -> Any:
    """`rows @ kernel + bias`; in training the bias's gradient is a product too, sooner than a sum over rows."""
    import tensorflow as tf

    @tf.custom_gradient
    def to_train(rows: Any, kernel: Any, bias: Any) -> Any:
        def gradients(upstream: Any) -> Any:
            ones = tf.ones([1, tf.shape(upstream)[0]], upstream.dtype)
            return (
                tf.matmul(upstream, kernel, transpose_b=True),
                tf.matmul(rows, upstream, transpose_a=True),
                tf.reshape(tf.matmul(ones, upstream), [-1]),
            )

        return affine(rows, kernel, bias), gradients

    def affine(rows: Any, kernel: Any, bias: Any) -> Any:
        return tf.nn.bias_add(tf.matmul(rows, kernel), bias)

    return (to_train if training else affine)(rows, kernel, bias)


def _layer_norm(rows: Any, gamma: Any, beta: Any, epsilon: float, training: bool | None) -> Any:
    """LayerNorm of float32 rows: sums of a row do not fit bfloat16's eight bits. In training with its own gradient."""
    import tensorflow as tf

    def mean(values: Any) -> Any:
        return tf.reduce_mean(values, axis=-1, keepdims=True)

    def normalised(rows: Any) -> tuple[Any, Any]:
        centred = rows - mean(rows)
        inverse = tf.math.rsqrt(mean(tf.square(centred)) + epsilon)
        return centred * inverse, inverse

    @tf.custom_gradient
    def to_train(rows: Any, gamma: Any, beta: Any) -> Any:
        normal, inverse = normalised(rows)

        def gradients(upstream: Any) -> Any:
            scaled = upstream * gamma
            inward = inverse * (scaled - mean(scaled) - normal * mean(scaled * normal))
            return inward, tf.reduce_sum(upstream * normal, axis=0), tf.reduce_sum(upstream, axis=0)

        return normal * gamma + beta, gradients

    return to_train(rows, gamma, beta) if training else normalised(rows)[0] * gamma + beta
