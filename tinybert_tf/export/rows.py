"""Rows of tokens through whatever computes logits: Keras, a LiteRT file, a SavedModel, ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.errors import InputError


class Runner(Protocol):
    """A model that is ready to run. Called with padded inputs, each `(rows, length)` int32, it gives their logits."""

    @property
    def lengths(self) -> Sequence[int] | None:
        """The lengths that it takes, ascending; None where it takes any."""

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """`(rows, labels)`, or `(rows, length, columns)` where there is a prediction a token; float32."""


def logits_of_rows(runner: Runner, tokens: TokenizedTexts, pad_token_id: int, batch_size: int) -> np.ndarray:
    """The logits of all rows, in their order; of tokens, padded with 0 to the longest row.

    Rows of like length are computed together, each batch padded to its longest row, or to the least of the runner's
    lengths that is enough.

    Raises:
        InputError: a row is longer than every one of the runner's lengths.
    """
    logits: np.ndarray | None = None
    longest = int(tokens.lengths.max())
    for rows, length in batches_of_rows(tokens.lengths, runner.lengths, batch_size):
        found = runner(tokens.padded(rows, pad_token_id, length))
        if found.ndim == 3:
            found = found[:, : min(length, longest)]
        if logits is None:
            shape = (longest, found.shape[-1]) if found.ndim == 3 else found.shape[1:]
            logits = np.zeros((len(tokens), *shape), np.float32)
        if found.ndim == 3:
            is_token = np.arange(found.shape[1]) < tokens.lengths[rows][:, None]
            logits[rows, : found.shape[1]] = np.where(is_token[:, :, None], found, 0)
        else:
            logits[rows] = found
    assert logits is not None  # no row is refused by whoever tokenizes
    return logits


def batches_of_rows(
    lengths: np.ndarray, accepted: Sequence[int] | None, batch_size: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Rows that are computed together, and the length that they are padded to.

    Raises:
        InputError: a row is longer than every `accepted` length.
    """
    order = np.argsort(lengths, kind="stable")
    padded = lengths[order]
    if accepted is not None:
        if padded[-1] > accepted[-1]:
            raise InputError(f"a text of {padded[-1]} tokens; this model takes at most {accepted[-1]}.")
        padded = np.asarray(accepted)[np.searchsorted(accepted, padded)]
    start = 0
    while start < len(order):
        stop = min(start + batch_size, len(order))
        if accepted is not None:  # a batch never costs a row more than its own length
            stop = min(stop, int(np.searchsorted(padded, padded[start], side="right")))
        yield order[start:stop], int(padded[stop - 1])
        start = stop
