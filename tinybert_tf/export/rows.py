"""Computing the logits of rows of tokens with any runner: Keras, LiteRT, SavedModel or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.errors import InputError


class Runner(Protocol):
    """A model that is ready to run: a call with padded inputs, each `(rows, length)` int32, returns their logits."""

    @property
    def lengths(self) -> Sequence[int] | None:
        """The lengths that it takes, ascending; None if it takes any."""

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return logits, float32: `(rows, labels)`, or `(rows, length, columns)` with a prediction for each token."""


def logits_of_rows(runner: Runner, tokens: TokenizedTexts, pad_token_id: int, batch_size: int) -> np.ndarray:
    """Compute the logits of all rows, in their order; logits of tokens are padded with 0 to the longest row.

    Rows of similar length are computed together. Each batch is padded to its longest row, or to the shortest of the
    runner's lengths that is long enough.

    Raises:
        InputError: a row is longer than all of the runner's lengths.
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
    assert logits is not None  # a data set without rows has been refused before
    return logits


def batches_of_rows(
    lengths: np.ndarray, accepted: Sequence[int] | None, batch_size: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rows that are computed together, and the length to which they are padded.

    Raises:
        InputError: a row is longer than all `accepted` lengths.
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
        if accepted is not None:  # so no row is padded beyond its own accepted length
            stop = min(stop, int(np.searchsorted(padded, padded[start], side="right")))
        yield order[start:stop], int(padded[stop - 1])
        start = stop
