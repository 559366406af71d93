"""Rounding to what small integers can say, with gradients that pass as if nothing was rounded."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.errors import InputError

WEIGHT_BITS = (8,)


def check_weight_bits(bits: int) -> None:
    """Refuse what weights cannot be rounded to."""
    if bits not in WEIGHT_BITS:
        raise InputError(f"bits={bits}: weights of {' or '.join(map(str, WEIGHT_BITS))} bits are supported.")


def symmetric_step(weights: Any, axis: int, bits: int) -> Any:
    """`max|w| / (2^(bits-1) - 1)` along `axis`, which is kept; 1 where all are 0. No gradient passes."""
    largest = ops.max(ops.abs(ops.cast(ops.stop_gradient(weights), "float32")), axis=axis, keepdims=True)
    return ops.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)


def rounded(value: Any, step: Any) -> Any:
    """`step round(value / step)`; the gradient is `value`'s own."""
    exact = ops.cast(ops.stop_gradient(value), "float32")
    return value + ops.cast(ops.round(exact / step) * step - exact, value.dtype)


def rounded_rows(rows: Any, bits: int | None) -> Any:
    """Rows of a table `(rows, width)`, one scale for each; the rows themselves with `bits` None."""
    return rows if bits is None else rounded(rows, symmetric_step(rows, -1, bits))


def rounded_between(low: Any, high: Any, value: Any) -> Any:
    """An activation in steps of `(high - low) / 255`, 0 one of them (arXiv 1712.05877, section 3).

    Outside of the range it becomes its nearest end, where the gradient is 0. In float32, in whatever precision the
    model computes.

    Args:
        low: the lowest value, at most 0: a number, or a scalar variable.
        high: the highest value, above `low`: of the same kind.
        value: of any shape and float type, both of which the result has.
    """
    import tensorflow as tf

    # The operations that LiteRT's converter makes integers of.
    if isinstance(low, float):
        found = tf.quantization.fake_quant_with_min_max_args(tf.cast(value, tf.float32), low, high)
    else:
        ends = tf.convert_to_tensor(low), tf.convert_to_tensor(high)
        found = tf.quantization.fake_quant_with_min_max_vars(tf.cast(value, tf.float32), *ends)
    return tf.cast(found, value.dtype)
