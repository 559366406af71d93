"""Rounding to what small integers can say, with gradients that pass as if nothing was rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from keras import ops

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.fake_quantization import Dense, Embedding, place_of

WEIGHT_BITS = (8,)
# 256 steps of 1/127, of which 1 is one, and -1, and 0.
_SYMMETRIC = (-128 / 127, 1.0)
# Of a range: a channel, or an activation, may be 0 on all texts.
_SMALLEST_LIMIT = 1e-6


@dataclass(frozen=True)
class FakeQuantization:
    """Computes with integers' numbers, as `tinybert_tf.models.quantization.fake_quantization.FakeQuantizer`.

    - A weight `w`: `s round(w / s)`, `s = max|w| / (2^(bits-1) - 1)` for each output of a product and each row of a
      table. Symmetric: 0 stays 0, pruned weights stay pruned. The scale follows the weights.
    - A bias: a multiple of its product's unit, `s` times the input's step, as LiteRT adds it to sums of these.
    - An activation `x` in its range `[a, b]`: steps of `(b - a) / 255`, 0 one of them (arXiv 1712.05877, section 3);
      outside of the range its nearest end, where the gradient is 0.
    - What floats are computed with: as an activation, each channel divided by its own limit before and multiplied by
      it after. The product costs the same, as the weights have a scale for each output.

    In float32, in whatever precision the model computes.

    Args:
        ranges: `(lowest, highest)` of each activation, by its place.
        limits: the largest size of each channel of what floats are computed with, by its place.
        weight_bits: of weights; activations have 8.

    Raises:
        InputError: another number of bits; when it is called, a place without a range.
    """

    ranges: Mapping[str, tuple[float, float]]
    limits: Mapping[str, Sequence[float]]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        check_weight_bits(self.weight_bits)

    def table(self, rows: Any) -> Any:
        """Rows of a table, one scale for each."""
        return rounded(rows, symmetric_step(rows, -1, self.weight_bits))

    def dense_weights(self, place: str, kernel: Any, bias: Any) -> tuple[Any, Any]:
        """The weights of a dense layer: `(inputs, outputs)` and `(outputs,)`."""
        low, high = self._of(self.ranges, f"{place}/input")
        high = max(high, low + _SMALLEST_LIMIT)
        step = symmetric_step(kernel, 0, self.weight_bits)
        return rounded(kernel, step), rounded(bias, step[0] * ((high - low) / 255))

    def activation(self, place: str, value: Any) -> Any:
        """An activation in its range."""
        return self.activation_within(self._of(self.ranges, place), value)

    def channels(self, place: str, value: Any) -> Any:
        """An activation, each channel in its own symmetric range."""
        limits = np.maximum(np.asarray(self._of(self.limits, place), np.float32), _SMALLEST_LIMIT)
        exact = ops.cast(value, "float32") * (1.0 / limits)
        return ops.cast(self.activation_within(_SYMMETRIC, exact) * limits, value.dtype)

    def activation_within(self, limits: tuple[float, float], value: Any) -> Any:
        """An activation in a range."""
        import tensorflow as tf

        low, high = limits
        high = max(high, low + _SMALLEST_LIMIT)  # what was 0 on all texts has a range all the same
        # The operation that LiteRT's converter makes integers of.
        found = tf.quantization.fake_quant_with_min_max_args(tf.cast(value, tf.float32), low, high)
        return tf.cast(found, value.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `config.json`."""
        return {
            "weight_bits": self.weight_bits,
            "ranges": {place: list(ends) for place, ends in self.ranges.items()},
            "limits": {place: list(limits) for place, limits in self.limits.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> Self:
        """What `get_config` wrote.

        Raises:
            InputError: it is damaged; named as `source`.
        """
        try:
            ranges = {place: (float(low), float(high)) for place, (low, high) in config["ranges"].items()}
            limits = {place: [float(limit) for limit in limits] for place, limits in config["limits"].items()}
            return cls(ranges, limits, config["weight_bits"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source}: is damaged ({type(error).__name__}: {error}); weight_bits, ranges and limits are wanted."
            ) from None

    @staticmethod
    def _of(found: Mapping[str, Any], place: str) -> Any:
        if place not in found:
            raise InputError(f"{place}: no range was measured there; calibrate the model again (`quantize_aware`).")
        return found[place]


def with_rounded_weights(model: Any) -> Any:
    """A float32 copy of a quantized model whose weights are rounded for good: what integers are made of.

    It computes the same, and rounds activations alone. LiteRT's converter finds the scales again in the weights.
    """
    quantization = model.fake_quantizer
    copy = model.copy(dtype="float32")
    for layer in copy._flatten_layers():
        if isinstance(layer, Dense):
            kernel, bias = quantization.dense_weights(place_of(layer), layer.kernel.value, layer.bias.value)
            layer.kernel.assign(kernel)
            layer.bias.assign(bias)
        elif isinstance(layer, Embedding):
            layer.embeddings.assign(quantization.table(layer.embeddings.value))
    copy.fake_quantizer = RoundedActivations(quantization.ranges, quantization.limits, quantization.weight_bits)
    return copy


class RoundedActivations(FakeQuantization):
    """Rounds activations alone: of a model whose weights have been rounded for good."""

    def table(self, rows: Any) -> Any:
        """The rows themselves."""
        return rows

    def dense_weights(self, place: str, kernel: Any, bias: Any) -> tuple[Any, Any]:
        """The weights themselves."""
        return kernel, bias


def refuse_quantized(model: Any, what: str) -> None:
    """Refuse what is for floats.

    Raises:
        InputError: `model` rounds its numbers.
    """
    if model.fake_quantizer is not None:
        raise InputError(f"{what} is for floats; the model has been quantized (`set_quantization(model, None)`).")


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
