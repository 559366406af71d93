"""Dense layers and embedding tables that can be rounded."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# Keras has no public name for this class.
from keras.src.backend import AutocastScope

from tinybert_tf.models.layers import fast
from tinybert_tf.models.layers.activations import Activation
from tinybert_tf.models.quantization.ranges import ChannelLimits, Range, Rounding
from tinybert_tf.models.quantization.rounded_layer import RoundedLayer
from tinybert_tf.models.quantization.rounding import rounded, rounded_rows, symmetric_step


class Dense(RoundedLayer, keras.layers.Dense):
    """A dense layer that can be rounded: its input, its kernel (a scale for each output), its bias and its output.

    Args:
        units: number of outputs.
        feeds_floats: whether its output is an operand of float arithmetic; each channel then has a range of its own.
        follow_up: an activation behind the product. The product is rounded before it.
        **kwargs: arguments of `keras.layers.Dense`, except `activation`.
    """

    def __init__(
        self, units: int, feeds_floats: bool = False, follow_up: Activation | None = None, **kwargs: Any
    ) -> None:
        super().__init__(units, **kwargs)
        self.feeds_floats = feeds_floats
        self.follow_up = follow_up

    def new_roundings(self) -> list[Rounding]:
        """Return the roundings of the input and of the output."""
        inputs, output = Range("input"), (ChannelLimits if self.feeds_floats else Range)("output")
        inputs.build()
        output.build((None, self.units))
        return [inputs, output]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Map `(..., inputs)` to `(..., units)`."""
        if not self.is_rounded:
            product = self._product(inputs, training)
        else:
            # LiteRT makes one integer operation of product, bias and rounding, if the inputs are rows of a matrix.
            # `.call` instead of `()`: nothing is built or cast, and the names in a file stay short.
            rows = ops.reshape(self.roundings["input"].call(inputs), (-1, inputs.shape[-1]))
            kernel, bias = (ops.cast(each, rows.dtype) for each in self.rounded_weights())
            product = self.roundings["output"].call(ops.matmul(rows, kernel) + bias)
            product = ops.reshape(product, (-1, *ops.shape(inputs)[1:-1], self.units))
        return product if self.follow_up is None else self.follow_up(product, training, self.is_rounded)

    @property
    def is_plain(self) -> bool:
        """Whether kernel and bias determine all that it computes before its activation."""
        return type(self) is Dense and self.quantization_mode is None and self.use_bias and not self.is_rounded

    def _product(self, inputs: Any, training: bool | None) -> Any:
        if fast.is_fast() and self.is_plain and len(inputs.shape) == 2:
            return fast.affine(inputs, self.kernel, self.bias, training)
        return super().call(inputs, training=training)

    def rounded_weights(self) -> tuple[Any, Any]:
        """Return kernel `(inputs, units)` and bias `(units,)`, float32, rounded to the integers that an export stores.

        The kernel has a scale for each unit. Without quantization both are as they are.
        """
        with AutocastScope(None):
            kernel, bias = self.kernel.value, self.bias.value
        if self.weight_bits is None:
            return kernel, bias
        step = symmetric_step(kernel, 0, self.weight_bits)
        inputs = self.roundings["input"]
        if inputs.observing:  # the bias's unit is not known yet
            return rounded(kernel, step), bias
        return rounded(kernel, step), rounded(bias, step[0] * ((inputs.highest - inputs.lowest) / 255))

    def freeze(self) -> None:
        """Assign kernel and bias their rounded values."""
        kernel, bias = self.rounded_weights()
        self.kernel.assign(kernel)
        self.bias.assign(bias)
        super().freeze()


class Embedding(RoundedLayer, keras.layers.Embedding):
    """An embedding table whose rows can be rounded, each with a scale of its own."""

    def call(self, inputs: Any) -> Any:
        """Look up `(...)` ids as `(..., output_dim)`."""
        if not self.is_rounded:
            return super().call(inputs)
        rows = ops.take(self.embeddings, ops.cast(inputs, "int32"), axis=0)
        return ops.cast(rounded_rows(rows, self.weight_bits), self.compute_dtype)

    def freeze(self) -> None:
        """Assign the rows their rounded values."""
        self.embeddings.assign(rounded_rows(self.embeddings.value, self.weight_bits))
        super().freeze()
