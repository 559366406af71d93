"""Rounding to multiples of small integers; gradients pass as if nothing was rounded."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.errors import InputError

WEIGHT_BITS = (8,)


def check_weight_bits(bits: int) -> None:
    """Refuse numbers of bits to which weights cannot be rounded."""
    if bits not in WEIGHT_BITS:
        raise InputError(f"bits: expected {' or '.join(map(str, WEIGHT_BITS))}, got {bits}.")


def symmetric_step(weights: Any, axis: int, bits: int) -> Any:
    """Return `max|w| / (2^(bits-1) - 1)` along `axis`, which is kept; 1 if all are 0. No gradient passes."""
    largest = ops.max(ops.abs(ops.cast(ops.stop_gradient(weights), "float32")), axis=axis, keepdims=True)
    return ops.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)


def rounded(value: Any, step: Any) -> Any:
    """Return `step * round(value / step)`; its gradient with respect to `value` is 1."""
    exact = ops.cast(ops.stop_gradient(value), "float32")
    return value + ops.cast(ops.round(exact / step) * step - exact, value.dtype)


def rounded_rows(rows: Any, bits: int | None) -> Any:
    """Round rows of a table, `(rows, width)`, with one scale for each; with `bits` None return them unchanged."""
    return rows if bits is None else rounded(rows, symmetric_step(rows, -1, bits))


def rounded_between(low: Any, high: Any, value: Any) -> Any:
    """Round an activation to steps of `(high - low) / 255`, of which one is 0 (arXiv 1712.05877, section 3).

    A value outside the range becomes its nearest end, and its gradient is 0. Computed in float32, whatever the model's
    precision.

    Args:
        low: the lowest value, at most 0: a number, or a scalar variable.
        high: the highest value, above `low`, of the same kind.
        value: of any shape and float type; the result has both.
    """
    import tensorflow as tf

    # LiteRT's converter makes integers of these operations.
    if isinstance(low, float):
        found = tf.quantization.fake_quant_with_min_max_args(tf.cast(value, tf.float32), low, high)
    else:
        ends = tf.convert_to_tensor(low), tf.convert_to_tensor(high)
        found = tf.quantization.fake_quant_with_min_max_vars(tf.cast(value, tf.float32), *ends)
    return tf.cast(found, value.dtype)
