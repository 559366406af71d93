"""Layers that round an activation in a range, which they hold as variables."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.rounding import rounded_between

# 256 steps of 1/127: from -128/127 over 0 to 1.
_SYMMETRIC = (-128 / 127, 1.0)
# The smallest limit: an activation, or a channel of one, that is 0 on all texts needs a range too.
_SMALLEST_LIMIT = 1e-6
_SMALLEST = keras.initializers.Constant(_SMALLEST_LIMIT)


class Rounding(keras.layers.Layer):
    """Rounds an activation in a range, which its variables hold; a subclass decides on the kind of range.

    While it is `observing`, it returns the activation unchanged and widens its range to the values it has seen.
    """

    observing = False
    # The range as numbers, if traced functions hold it as a constant: a converter makes integers only then.
    constant: Any = None

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32", autocast=False, trainable=False)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments; the range is in the variables."""
        return {"name": self.name}

    def call(self, value: Any) -> Any:
        """Round `value`; the result has its shape and type."""
        if not self.observing:
            return self.rounded(value)
        found = np.asarray(ops.convert_to_numpy(ops.cast(value, "float32")))
        if not np.isfinite(found).all():
            place = self.path.partition("/")[2]
            raise InputError(
                f"calibration: expected finite numbers in {place}, got others; train the model well before."
            )
        self.widen(found)
        return value

    def new_variable(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        """Make a float32 variable, whatever the model's precision."""
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, autocast=False, name=name)

    def freeze(self) -> None:
        """Make the range a constant from now on."""
        self.constant = self.read()

    def rounded(self, value: Any) -> Any:
        """Round `value` in the range."""
        raise NotImplementedError

    def widen(self, seen: np.ndarray) -> None:
        """Let the range reach to all of `seen`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Make the range as small as it can be."""
        raise NotImplementedError

    def read(self) -> Any:
        """Return the range as `assign` takes it: numbers and lists of numbers."""
        raise NotImplementedError

    def assign(self, found: Any) -> None:
        """Set the range."""
        raise NotImplementedError


class Range(Rounding):
    """Rounds a whole activation in one range `(lowest, highest)`, with 0 between them."""

    def build(self, input_shape: Any = None) -> None:
        """Create the two ends."""
        self.lowest = self.new_variable("lowest", (), "zeros")
        self.highest = self.new_variable("highest", (), _SMALLEST)
        self.built = True

    def rounded(self, value: Any) -> Any:
        """Round `value` to steps of a 255th of the range."""
        low, high = (self.lowest, self.highest) if self.constant is None else self.constant
        return rounded_between(low, high, value)

    def widen(self, seen: np.ndarray) -> None:
        """Let the range reach to all of `seen`."""
        low, high = self.read()
        self.assign((min(low, float(seen.min())), max(high, float(seen.max()))))

    def forget(self) -> None:
        """Make the range as small as it can be."""
        self.assign((0.0, 0.0))

    def read(self) -> tuple[float, float]:
        """Return both ends."""
        return float(self.lowest.numpy()), float(self.highest.numpy())

    def assign(self, found: Any) -> None:
        """Set both ends."""
        low, high = found
        self.lowest.assign(low)
        self.highest.assign(max(high, low + _SMALLEST_LIMIT))


class ChannelLimits(Rounding):
    """Rounds each channel (last axis) of an activation by itself, between minus its limit and its limit.

    Each channel is divided by its own limit, rounded to 256 steps of 1/127, and multiplied by its limit again. This
    makes a product no slower, as its weights have a scale for each output anyway.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create a limit for each channel."""
        self.limits = self.new_variable("limits", input_shape[-1:], _SMALLEST)
        self.built = True

    def rounded(self, value: Any) -> Any:
        """Round each channel in steps of a 127th of its limit."""
        limits = self.limits.value if self.constant is None else np.asarray(self.constant, np.float32)
        exact = ops.cast(value, "float32") * (1.0 / limits)
        return ops.cast(rounded_between(*_SYMMETRIC, exact) * limits, value.dtype)

    def widen(self, seen: np.ndarray) -> None:
        """Widen the limits to the largest sizes in `seen`."""
        sizes = np.abs(seen).reshape(-1, seen.shape[-1]).max(axis=0)
        self.assign(np.maximum(sizes, self.limits.numpy()))

    def forget(self) -> None:
        """Make the limits as small as they can be."""
        self.assign(np.zeros(self.limits.shape))

    def read(self) -> list[float]:
        """Return the limit of each channel."""
        return [float(limit) for limit in self.limits.numpy()]

    def assign(self, found: Any) -> None:
        """Set each channel's limit."""
        self.limits.assign(np.maximum(np.asarray(found, np.float32), _SMALLEST_LIMIT))
