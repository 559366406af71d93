"""The activations of feed-forward networks, by their Hugging Face names."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tinybert_tf.models.quantization.fake_quantization import silu, tanh


def gelu(values: Any) -> Any:
    """`x * Phi(x)` (arXiv 1606.08415) with erf, of the shape and type of `values`.

    In float32, as TensorFlow's erf in bfloat16 is slower on a CPU, and less exact; Keras's own takes the slower erfc.
    """
    exact = ops.cast(values, "float32")
    return ops.cast(0.5 * exact * (1.0 + ops.erf(exact * math.sqrt(0.5))), values.dtype)


# BERT's own "gelu" is the exact one; "gelu_new" is the tanh approximation.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": gelu,
    "gelu_new": functools.partial(keras.activations.gelu, approximate=True),
    "gelu_pytorch_tanh": functools.partial(keras.activations.gelu, approximate=True),
    "relu": keras.activations.relu,
    "silu": silu,
    "swish": silu,
    "tanh": tanh,
}
