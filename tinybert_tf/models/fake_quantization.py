"""Where a model's numbers can be rounded as if they were small integers: weights, inputs and outputs of products.

Nothing is rounded by itself. While a `FakeQuantizer` is in force (`fake_quantized`), the layers below hand it their
numbers, and go on with what it gives back; `tinybert_tf.compression` has one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

import keras
from keras import ops

# What LiteRT's integer softmax and tanh give, in whatever range their results would fit better: scales of 1/256 and
# 1/128. Rounded otherwise here, they would be rounded twice there.
SOFTMAX_RANGE = (0.0, 255 / 256)
TANH_RANGE = (-1.0, 127 / 128)


class FakeQuantizer(Protocol):
    """Rounds a model's numbers while it computes; results are of the shape and type of what is given."""

    def weight(self, value: Any, axis: int) -> Any:
        """A weight, of which everything along `axis` has one scale."""

    def activation(self, place: str, value: Any) -> Any:
        """An activation; `place` names where, as `layer_1/attention/query/input`."""

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
    if quantizer is None:
        return value
    below_model = layer.path.partition("/")[2]
    return quantizer.activation(f"{below_model}/{name}", value)


def rounded_within(limits: tuple[float, float], value: Any) -> Any:
    """An activation whose range is known beforehand, as the quantizer in force gives it back."""
    quantizer = _in_force.get()
    return value if quantizer is None else quantizer.activation_within(limits, value)


def rounded_weight(value: Any, axis: int) -> Any:
    """A weight, one scale along `axis`, as the quantizer in force gives it back."""
    quantizer = _in_force.get()
    return value if quantizer is None else quantizer.weight(value, axis)


def tanh(values: Any) -> Any:
    """Keras's, rounded in its own range."""
    return rounded_within(TANH_RANGE, keras.activations.tanh(values))


class Dense(keras.layers.Dense):
    """Keras's, that can be rounded: its input, its kernel with a scale for each output, and what it gives.

    The product is rounded before the activation function, as there are integers up to there.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(..., inputs)` to `(..., units)`."""
        if not is_fake_quantized():
            return super().call(inputs, training=training)
        inputs = rounded_activation(self, "input", inputs)
        product = ops.matmul(inputs, rounded_weight(self.kernel, axis=0)) + self.bias
        return self.activation(rounded_activation(self, "output", product))


class Embedding(keras.layers.Embedding):
    """Keras's, whose rows can be rounded, each with a scale of its own."""

    def call(self, inputs: Any) -> Any:
        """`(...)` ids to `(..., output_dim)`."""
        return rounded_weight(super().call(inputs), axis=-1)
