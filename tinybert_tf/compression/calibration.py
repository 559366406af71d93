"""Measuring the ranges of a model's activations on texts."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.ranges import Rounding
from tinybert_tf.models.quantization.state import roundings

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def measure_ranges(model: keras.Model, batches: Iterable[Any], num_texts: int) -> None:
    """Set the ranges of a rounding model's activations to the outermost values on texts, and at least to 0.

    Padding is left out, and the weights are rounded already. On SNIPS, ranges that leave out a ten-thousandth of the
    values, or that have the least squared error, were no better; ranges that leave out a thousandth were worse.

    Args:
        model: the model, which is run in inference mode.
        batches: batches of inputs, or of `(inputs, labels)`.
        num_texts: the number of texts that are read, from the first on.

    Raises:
        InputError: there are no texts, or an activation is not a finite number.
    """
    with _observed(roundings(model).values()):
        for inputs in without_padding(batches, num_texts):
            model(inputs, training=False)


@contextlib.contextmanager
def _observed(found: Collection[Rounding]) -> Iterator[None]:
    """Reset the ranges, and widen them to the values seen while the body runs."""
    for rounding in found:
        rounding.forget()
        rounding.observing = True
    try:
        yield
    finally:
        for rounding in found:
            rounding.observing = False


def without_padding(batches: Iterable[Any], num_texts: int) -> Iterator[dict[str, np.ndarray]]:
    """Regroup the first texts of some batches by length, so that no batch has padding.

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
        raise InputError(
            f"calibration: no texts; expected batches with a text or more, and num_texts >= 1, got {num_texts}"
        )
    for rows in by_length.values():
        yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _rows(batches: Iterable[Any]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the inputs of each text, `(seq_len,)` each."""
    for batch in batches:
        inputs = batch if isinstance(batch, Mapping) else batch[0]
        arrays = {name: np.asarray(inputs[name]) for name in _INPUTS if name in inputs}
        for row in range(len(arrays["input_ids"])):
            yield {name: values[row] for name, values in arrays.items()}
