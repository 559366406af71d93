"""Fast forms of the layers' arithmetic: the same numbers, in TensorFlow operations whose kernels fuse.

The layers define the arithmetic on every backend. On TensorFlow these forms run in their place, on rows of a matrix:

- a product and its bias fuse, as nothing reshapes in between;
- in training, gradients of biases, GELU and LayerNorm take fewer passes;
- in inference on a CPU, GELU has the form that oneDNN fuses with the product before it;
- LayerNorm computes its statistics and one multiplication, without Keras's casts and broadcasts.

benchmarks/RESULTS.md has measurements. `set_fast_layers(False)` switches the fast forms off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

_switch = {"enabled": True}


def set_fast_layers(enabled: bool) -> bool:
    """Switch the fast forms of layers on or off, for functions that are traced from now on.

    The fast forms run on TensorFlow only and give the same numbers, up to rounding errors.

    Args:
        enabled: whether to use the fast forms; they are on at first.

    Returns:
        The previous setting.
    """
    before = _switch["enabled"]
    _switch["enabled"] = enabled
    return before


def is_fast() -> bool:
    """Whether layers run in their fast forms: on TensorFlow, unless `set_fast_layers` switched them off."""
    return _switch["enabled"] and keras.backend.backend() == "tensorflow"


def affine(rows: Any, kernel: Any, bias: Any, training: bool | None) -> Any:
    """Compute `rows @ kernel + bias`; in training the bias's gradient is a product, which is faster than a sum."""
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

        return product(rows, kernel, bias), gradients

    def product(rows: Any, kernel: Any, bias: Any) -> Any:
        return tf.nn.bias_add(tf.matmul(rows, kernel), bias)

    return (to_train if training else product)(rows, tf.cast(kernel, rows.dtype), tf.cast(bias, rows.dtype))


def layer_norm(rows: Any, gamma: Any, beta: Any, epsilon: float, training: bool | None) -> Any:
    """Normalise `(..., width)`; the result has the type of `rows`.

    Computed in float32, as sums of a row do not fit bfloat16's eight bits; in training its gradient is written out.
    """
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
            return inward, tf.reduce_sum(upstream * normal, axis=rows_of), tf.reduce_sum(upstream, axis=rows_of)

        return normal * gamma + beta, gradients

    rows_of = list(range(rows.shape.rank - 1))
    exact, gamma, beta = (tf.cast(each, tf.float32) for each in (rows, gamma, beta))
    found = to_train(exact, gamma, beta) if training else normalised(exact)[0] * gamma + beta
    return tf.cast(found, rows.dtype)


def gelu_to_train(values: Any) -> Any:
    """Compute GELU, `x` times the normal cdf (arXiv 1606.08415, section 2), with its gradient written out."""
    import tensorflow as tf

    @tf.custom_gradient
    def gelu(values: Any) -> Any:
        exact = tf.cast(values, tf.float32)  # as the plain form
        scaled = exact * math.sqrt(0.5)
        cdf = 0.5 * (1.0 + tf.math.erf(scaled))

        def gradients(upstream: Any) -> Any:
            # x times the density, e^(-x^2 / 2) / sqrt(2 pi), in terms of x / sqrt(2)
            weighted = scaled * (1.0 / math.sqrt(math.pi)) * tf.exp(-tf.square(scaled))
            return tf.cast(tf.cast(upstream, tf.float32) * (cdf + weighted), values.dtype)

        return tf.cast(exact * cdf, values.dtype), gradients

    return gelu(values)


def fused_gelu(values: Any) -> Any | None:
    """Compute GELU so that oneDNN fuses it with the product before it, if a CPU's graph is being traced; else None."""
    import tensorflow as tf

    is_fused = tf.inside_function() and not tf.config.list_physical_devices("GPU")
    return tf.nn.gelu(values, approximate=False) if is_fused else None


def attend(queries: Any, keys: Any, values: Any, mask_bias: Any, dropout: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Compute the same as `attention.attend`, with its arguments and results."""
    import tensorflow as tf

    scale = tf.cast(1.0 / math.sqrt(queries.shape[-1]), queries.dtype)
    scores = tf.matmul(queries * scale, keys, transpose_b=True)
    probabilities = tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32) + mask_bias), queries.dtype)
    return tf.matmul(dropout(probabilities), values), scores
