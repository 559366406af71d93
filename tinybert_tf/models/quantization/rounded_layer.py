"""`RoundedLayer`: a layer that can compute with the numbers of small integers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from tinybert_tf.models.quantization.ranges import Rounding


class RoundedLayer(keras.layers.Layer):
    """A layer whose weights and activations can be rounded to multiples of small integers.

    The layer's state decides whether they are: `is_rounded`, `weight_bits`, and `roundings`, layers below it that hold
    the ranges of its activations as variables. A subclass names its activations in `new_roundings`, and rounds in
    `call`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_rounded = False
        # None: weights are not rounded, or have been rounded for good.
        self.weight_bits: int | None = None
        self.roundings: dict[str, Rounding] = {}
        # Replaced whenever `call` computes something else: see `TracedModel`.
        self.traced_with: object = None

    @property
    def place(self) -> str:
        """The layer's path below its model, such as `layer_1/attention/query`."""
        return str(self.path.partition("/")[2])

    def start_rounding(self, weight_bits: int | None) -> None:
        """Compute with rounded numbers from now on; existing ranges stay, new ones are as small as possible."""
        if not self.is_rounded:
            parent, _, name = self.path.rpartition("/")
            with _unlocked(self), keras.name_scope(name, override_parent=parent):
                for rounding in self.new_roundings():
                    self.roundings[rounding.name] = rounding
        self._change(True, weight_bits)

    def stop_rounding(self) -> None:
        """Compute with floats from now on."""
        self.roundings.clear()
        self._change(False, None)

    def new_roundings(self) -> list[Rounding]:
        """Make and build the roundings of the layer's activations, named like these."""
        return []

    def freeze(self) -> None:
        """Round the weights for good and make the ranges constants; the layer computes the same."""
        for rounding in self.roundings.values():
            rounding.freeze()
        self._change(True, None)

    def _change(self, is_rounded: bool, weight_bits: int | None) -> None:
        self.is_rounded, self.weight_bits, self.traced_with = is_rounded, weight_bits, object()


@contextlib.contextmanager
def _unlocked(layer: keras.layers.Layer) -> Iterator[None]:
    """Let a built layer get layers below it, as Keras's own `quantize` does."""
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()
