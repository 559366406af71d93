"""The activations of feed-forward networks, by their Hugging Face names."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tinybert_tf.models.layers import fast
from tinybert_tf.models.quantization.rounding import rounded_between

# What LiteRT's integer tanh gives, in whatever range its results would fit better: steps of 1/128. Rounded otherwise
# here, they would be rounded twice there.
TANH_RANGE = (-1.0, 127 / 128)
# And its integer sigmoid: steps of 1/256.
SIGMOID_RANGE = (0.0, 255 / 256)


@dataclass(frozen=True)
class Activation:
    """A function of each number, in its forms.

    Args:
        exact: the plain one.
        of_integers: behind a product that is rounded, where that is another one.
        fast: of the values and `training`; the same numbers sooner, on TensorFlow.
    """

    exact: Callable[[Any], Any]
    of_integers: Callable[[Any], Any] | None = None
    fast: Callable[[Any, bool | None], Any] | None = None

    def __call__(self, values: Any, training: bool | None = None, is_rounded: bool = False) -> Any:
        """Of the shape and type of `values`."""
        if is_rounded and self.of_integers is not None:
            return self.of_integers(values)
        if self.fast is not None and fast.is_fast():
            return self.fast(values, training)
        return self.exact(values)


def _gelu(values: Any) -> Any:
    """`x * Phi(x)` (arXiv 1606.08415) with erf, of the shape and type of `values`.

    In float32, as TensorFlow's erf in bfloat16 is slower on a CPU, and less exact; Keras's own takes the slower erfc.
    """
    exact = ops.cast(values, "float32")
    return ops.cast(0.5 * exact * (1.0 + ops.erf(exact * math.sqrt(0.5))), values.dtype)


def _fast_gelu(values: Any, training: bool | None) -> Any:
    if training:
        return fast.gelu_to_train(values)
    fused = fast.fused_gelu(values)
    return _gelu(values) if fused is None else fused


def _tanh_of_integers(values: Any) -> Any:
    return rounded_between(*TANH_RANGE, keras.activations.tanh(values))


def _silu(values: Any) -> Any:
    """`x sigmoid(x)`."""
    return values * keras.activations.sigmoid(values)


def _silu_of_integers(values: Any) -> Any:
    return values * rounded_between(*SIGMOID_RANGE, keras.activations.sigmoid(values))


_SILU = Activation(_silu, _silu_of_integers)
_TANH_GELU = Activation(functools.partial(keras.activations.gelu, approximate=True))

# BERT's own "gelu" is the exact one; "gelu_new" is the tanh approximation.
ACTIVATIONS = {
    "gelu": Activation(_gelu, fast=_fast_gelu),
    "gelu_new": _TANH_GELU,
    "gelu_pytorch_tanh": _TANH_GELU,
    "relu": Activation(keras.activations.relu),
    "silu": _SILU,
    "swish": _SILU,
    "tanh": Activation(keras.activations.tanh, _tanh_of_integers),
}
