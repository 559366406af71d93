"""The ranges of a model's activations, measured on texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.models.fake_quantization import FakeQuantizer, fake_quantized


class Observer:
    """A `FakeQuantizer` that rounds weights as another one, and keeps what activations it sees."""

    def __init__(self, weights: FakeQuantizer) -> None:
        self.weight = weights.weight
        self.ranges: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.values: dict[str, list[Any]] = defaultdict(list)

    def activation(self, place: str, value: Any) -> Any:
        """The activation itself."""
        found = np.asarray(keras.ops.convert_to_numpy(value), np.float32)
        self.ranges[place].append((float(found.min()), float(found.max())))
        self.values[place].append(found.ravel())
        return value

    def activation_within(self, limits: tuple[float, float], value: Any) -> Any:
        """The activation itself."""
        return value

    def get_config(self) -> dict[str, Any]:
        """Nothing: it is not saved."""
        return {}


def observed_ranges(
    model: keras.Model, weights: FakeQuantizer, batches: Iterable[Any], num_texts: int
) -> dict[str, tuple[float, float]]:
    observer = Observer(weights)
    with fake_quantized(observer):
        for inputs in without_padding(batches, num_texts):
            model(inputs, training=False)
    return observer


def without_padding(batches: Iterable[Any], num_texts: int) -> Iterator[dict[str, np.ndarray]]:
    """The first texts of some batches, regrouped: all of one batch are of one length, and there is no padding.

    Raises:
        InputError: there are no texts.
    """
    by_length: dict[int, list[dict[str, np.ndarray]]] = defaultdict(list)
    count = 0
    for row in rows_of(batches):
        if count == num_texts:
            break
        count += 1
        length = int(row["attention_mask"].sum())
        by_length[length].append({name: values[:length] for name, values in row.items()})
    if not count:
        raise InputError("calibration: there are no texts; batches of a few hundred are wanted.")
    for rows in by_length.values():
        yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def rows_of(batches: Iterable[Any]) -> Iterator[dict[str, np.ndarray]]:
    """The inputs of each text, `(seq_len,)` each."""
    for batch in batches:
        inputs = batch if isinstance(batch, Mapping) else batch[0]
        arrays = {
            name: np.asarray(inputs[name])
            for name in ("input_ids", "attention_mask", "token_type_ids")
            if name in inputs
        }
        for row in range(len(arrays["input_ids"])):
            yield {name: values[row] for name, values in arrays.items()}
