"""The ranges of a model's activations, measured on texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.fake_quantization import fake_quantized
from tinybert_tf.models.quantization.rounding import rounded, symmetric_step

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def calibrate(
    model: keras.Model, batches: Iterable[Any], weight_bits: int, num_texts: int
) -> tuple[dict[str, tuple[float, float]], dict[str, list[float]]]:
    """The `ranges` and `limits` of a `FakeQuantization`: the outermost values on texts, 0 among them.

    Of no text's padding, and with the weights rounded already. On SNIPS, ranges that left out a ten-thousandth of the
    values, or that had the least squared error, were no better, and those that left out a thousandth worse.

    Args:
        model: what is observed, in inference mode.
        batches: of inputs, or of `(inputs, labels)`.
        weight_bits: of its weights.
        num_texts: how many texts are looked at, the first ones.

    Raises:
        InputError: there are no texts, or an activation is not a finite number.
    """
    observer = Observer(weight_bits)
    with fake_quantized(observer):
        for inputs in without_padding(batches, num_texts):
            model(inputs, training=False)
    return observer.ranges, {place: limits.tolist() for place, limits in observer.limits.items()}


class Observer:
    """A `FakeQuantizer` that rounds weights, and notes how far activations go."""

    def __init__(self, weight_bits: int) -> None:
        self.weight_bits = weight_bits
        self.ranges: dict[str, tuple[float, float]] = {}
        self.limits: dict[str, np.ndarray] = {}

    def table(self, rows: Any) -> Any:
        """The rows, rounded."""
        return rounded(rows, symmetric_step(rows, -1, self.weight_bits))

    def dense_weights(self, place: str, kernel: Any, bias: Any) -> tuple[Any, Any]:
        """The kernel, rounded; the bias, whose unit is not known yet."""
        return rounded(kernel, symmetric_step(kernel, 0, self.weight_bits)), bias

    def activation(self, place: str, value: Any) -> Any:
        """The activation itself."""
        found = _finite(place, value)
        low, high = self.ranges.get(place, (0.0, 0.0))
        self.ranges[place] = min(low, float(found.min())), max(high, float(found.max()))
        return value

    def channels(self, place: str, value: Any) -> Any:
        """The activation itself."""
        sizes = np.abs(_finite(place, value)).reshape(-1, value.shape[-1]).max(axis=0)
        self.limits[place] = np.maximum(sizes, self.limits.get(place, 0.0))
        return value

    def activation_within(self, limits: tuple[float, float], value: Any) -> Any:
        """The activation itself."""
        return value

    def get_config(self) -> dict[str, Any]:
        """Nothing: it is not saved."""
        return {}


def without_padding(batches: Iterable[Any], num_texts: int) -> Iterator[dict[str, np.ndarray]]:
    """The first texts of some batches, regrouped: those of a group are of one length, and there is no padding.

    Raises:
        InputError: there are no texts.
    """
    by_length: dict[int, list[dict[str, np.ndarray]]] = defaultdict(list)
    for number, row in enumerate(_rows(batches)):
        if number == num_texts:
            break
        length = int(row["attention_mask"].sum())
        by_length[length].append({name: values[:length] for name, values in row.items()})
    if not by_length:
        raise InputError(f"calibration: no texts ({num_texts} wanted); batches of a few hundred are accepted.")
    for rows in by_length.values():
        yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _rows(batches: Iterable[Any]) -> Iterator[dict[str, np.ndarray]]:
    """The inputs of each text, `(seq_len,)` each."""
    for batch in batches:
        inputs = batch if isinstance(batch, Mapping) else batch[0]
        arrays = {name: np.asarray(inputs[name]) for name in _INPUTS if name in inputs}
        for row in range(len(arrays["input_ids"])):
            yield {name: values[row] for name, values in arrays.items()}


def _finite(place: str, value: Any) -> np.ndarray:
    found = np.asarray(ops.convert_to_numpy(ops.cast(value, "float32")))
    if not np.isfinite(found).all():
        raise InputError(f"calibration: {place} is not finite numbers; a model that has been trained well is wanted.")
    return found
