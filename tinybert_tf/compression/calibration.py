"""The ranges of a model's activations, measured on texts."""

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
    """Give a model that rounds the ranges of its activations: the outermost values on texts, 0 among them.

    Of no text's padding, and with the weights rounded already. On SNIPS, ranges that left out a ten-thousandth of the
    values, or that had the least squared error, were no better, and those that left out a thousandth worse.

    Args:
        model: what is observed, in inference mode.
        batches: of inputs, or of `(inputs, labels)`.
        num_texts: how many texts are looked at, the first ones.

    Raises:
        InputError: there are no texts, or an activation is not a finite number.
    """
    with _observed(roundings(model).values()):
        for inputs in without_padding(batches, num_texts):
            model(inputs, training=False)


@contextlib.contextmanager
def _observed(found: Collection[Rounding]) -> Iterator[None]:
    """Let roundings forget their ranges, and take those of what they see in the body."""
    for rounding in found:
        rounding.forget()
        rounding.observing = True
    try:
        yield
    finally:
        for rounding in found:
            rounding.observing = False


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
        raise InputError(
            f"calibration: no texts; expected batches with a text or more, and num_texts >= 1, got {num_texts}"
        )
    for rows in by_length.values():
        yield {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _rows(batches: Iterable[Any]) -> Iterator[dict[str, np.ndarray]]:
    """The inputs of each text, `(seq_len,)` each."""
    for batch in batches:
        inputs = batch if isinstance(batch, Mapping) else batch[0]
        arrays = {name: np.asarray(inputs[name]) for name in _INPUTS if name in inputs}
        for row in range(len(arrays["input_ids"])):
            yield {name: values[row] for name, values in arrays.items()}
