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

# LiteRT's integer tanh gives steps of 1/128, even if another range would fit its results better. With another
# rounding here, LiteRT would round twice.
TANH_RANGE = (-1.0, 127 / 128)
# LiteRT's integer sigmoid gives steps of 1/256.
SIGMOID_RANGE = (0.0, 255 / 256)


@dataclass(frozen=True)
class Activation:
    """An activation function in its several forms.

    Args:
        exact: the plain form.
        of_integers: the form behind a rounded product, if it differs.
        fast: a function of the values and `training` that gives the same numbers faster on TensorFlow.
    """

    exact: Callable[[Any], Any]
    of_integers: Callable[[Any], Any] | None = None
    fast: Callable[[Any, bool | None], Any] | None = None

    def __call__(self, values: Any, training: bool | None = None, is_rounded: bool = False) -> Any:
        """Apply the activation; the result has the shape and type of `values`."""
        if is_rounded and self.of_integers is not None:
            return self.of_integers(values)
        if self.fast is not None and fast.is_fast():
            return self.fast(values, training)
        return self.exact(values)


def _gelu(values: Any) -> Any:
    """`x * Phi(x)` (arXiv 1606.08415) with erf, of the shape and type of `values`.

    Computed in float32, as TensorFlow's erf in bfloat16 is slower on a CPU and less exact. Keras's own GELU uses erfc,
    which is slower.
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
    """Compute `x * sigmoid(x)`."""
    return values * keras.activations.sigmoid(values)


def _silu_of_integers(values: Any) -> Any:
    return values * rounded_between(*SIGMOID_RANGE, keras.activations.sigmoid(values))


_SILU = Activation(_silu, _silu_of_integers)
_TANH_GELU = Activation(functools.partial(keras.activations.gelu, approximate=True))

# BERT's own "gelu" is exact; "gelu_new" is the tanh approximation.
ACTIVATIONS = {
    "gelu": Activation(_gelu, fast=_fast_gelu),
    "gelu_new": _TANH_GELU,
    "gelu_pytorch_tanh": _TANH_GELU,
    "relu": Activation(keras.activations.relu),
    "silu": _SILU,
    "swish": _SILU,
    "tanh": Activation(keras.activations.tanh, _tanh_of_integers),
}
