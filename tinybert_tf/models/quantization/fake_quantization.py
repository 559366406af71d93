"""Where a model's numbers can be rounded as if they were small integers: weights, inputs and outputs of products.

Nothing is rounded by itself. While a `FakeQuantizer` is in force (`fake_quantized`), the layers below hand it their
numbers, and go on with what it gives back; `rounding.py` has one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

import keras
from keras import ops

# Keras has no public name for it.
from keras.src.backend import AutocastScope

# What LiteRT's integer tanh gives, in whatever range its results would fit better: steps of 1/128. Rounded otherwise
# here, they would be rounded twice there.
TANH_RANGE = (-1.0, 127 / 128)
# And its integer sigmoid: steps of 1/256.
SIGMOID_RANGE = (0.0, 255 / 256)


class FakeQuantizer(Protocol):
    """Rounds a model's numbers while it computes; results are of the shape and type of what is given."""

    def table(self, rows: Any) -> Any:
        """Rows of a table, one scale for each."""

    def dense_weights(self, place: str, kernel: Any, bias: Any) -> tuple[Any, Any]:
        """The weights of a dense layer, one scale for each output."""

    def activation(self, place: str, value: Any) -> Any:
        """An activation; `place` names where, as `layer_1/attention/query/input`."""

    def channels(self, place: str, value: Any) -> Any:
        """An activation, each channel (last axis) in a range of its own."""

    def activation_within(self, limits: tuple[float, float], value: Any) -> Any:
        """An activation whose range is known beforehand."""

    def get_config(self) -> dict[str, Any]:
        """What `config.json` says of it."""


_in_force: ContextVar[FakeQuantizer | None] = ContextVar("fake_quantizer", default=None)


@contextlib.contextmanager
def fake_quantized(quantizer: FakeQuantizer | None) -> Iterator[None]:
    """Let models compute with what `quantizer` makes of their numbers; with None, as they did before."""
    token = _in_force.set(_in_force.get() if quantizer is None else quantizer)
    try:
        yield
    finally:
        _in_force.reset(token)


def is_fake_quantized() -> bool:
    """Whether numbers are rounded now."""
    return _in_force.get() is not None


def rounded_activation(layer: keras.layers.Layer, name: str, value: Any) -> Any:
    """An activation of a layer, as the quantizer in force gives it back."""
    quantizer = _in_force.get()
    return value if quantizer is None else quantizer.activation(_place(layer, name), value)


def rounded_channels(layer: keras.layers.Layer, name: str, value: Any) -> Any:
    """An activation of a layer, each channel by itself, as the quantizer in force gives it back."""
    quantizer = _in_force.get()
    return value if quantizer is None else quantizer.channels(_place(layer, name), value)


def place_of(layer: keras.layers.Layer) -> str:
    """A layer's path below the model: `layer_1/attention/query`."""
    return layer.path.partition("/")[2]


def _place(layer: keras.layers.Layer, name: str) -> str:
    return f"{place_of(layer)}/{name}"


def rounded_within(limits: tuple[float, float], value: Any) -> Any:
    """An activation whose range is known beforehand, as the quantizer in force gives it back."""
    quantizer = _in_force.get()
    return value if quantizer is None else quantizer.activation_within(limits, value)


def rounded_rows(rows: Any) -> Any:
    """Rows of a table, as the quantizer in force gives them back."""
    quantizer = _in_force.get()
    return rows if quantizer is None else quantizer.table(rows)


def tanh(values: Any) -> Any:
    """Keras's, rounded in its own range."""
    return rounded_within(TANH_RANGE, keras.activations.tanh(values))


def silu(values: Any) -> Any:
    """Keras's, `x sigmoid(x)`, the sigmoid rounded in its own range."""
    return values * rounded_within(SIGMOID_RANGE, keras.activations.sigmoid(values))


class Dense(keras.layers.Dense):
    """Keras's, that can be rounded: its input, its kernel with a scale for each output, and what it gives.

    The product is rounded before the activation function, as there are integers up to there. `feeds_floats`: floats
    are computed with what it gives, and each of the outputs can have a range of its own.
    """

    def __init__(self, units: int, feeds_floats: bool = False, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.round_output = rounded_channels if feeds_floats else rounded_activation

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(..., inputs)` to `(..., units)`."""
        quantizer = _in_force.get()
        if quantizer is None:
            return super().call(inputs, training=training)
        # Rows of a matrix, and nothing between product, bias and rounding: one operation on integers in LiteRT.
        rows = ops.reshape(rounded_activation(self, "input", inputs), (-1, inputs.shape[-1]))
        with AutocastScope(None):  # rounded as they are stored, as the file's integers are
            weights = self.kernel.value, self.bias.value
        kernel, bias = quantizer.dense_weights(place_of(self), *weights)
        product = ops.matmul(rows, ops.cast(kernel, rows.dtype)) + ops.cast(bias, rows.dtype)
        activated = self.activation(self.round_output(self, "output", product))
        return ops.reshape(activated, (-1, *ops.shape(inputs)[1:-1], self.units))


class Embedding(keras.layers.Embedding):
    """Keras's, whose rows can be rounded, each with a scale of its own."""

    def call(self, inputs: Any) -> Any:
        """`(...)` ids to `(..., output_dim)`."""
        if not is_fake_quantized():
            return super().call(inputs)
        rows = ops.take(self.embeddings, ops.cast(inputs, "int32"), axis=0)
        return ops.cast(rounded_rows(rows), self.compute_dtype)
