"""Tokenized rows as padded batches whose order is a pure function of (seed, epoch, step)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.data.batches.token_labels import TokenLabels
from tinybert_tf.data.batches.weighted_batches import WeightedBatches
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts
from tinybert_tf.errors import InputError
from tinybert_tf.input_bounds import InputBounds

# Rows are sorted by length inside pools of this many batches: enough to pad little, few enough to stay well mixed.
BATCHES_PER_POOL = 50

Batch = tuple[dict[str, np.ndarray]] | tuple[dict[str, np.ndarray], np.ndarray]


# One label for each row, or one for each token.
Labels = np.ndarray | TokenLabels


class RowInputs(Protocol):
    """Gives more inputs of a batch, by its rows: a teacher's features, computed before.

    A call with the rows and the batch's length gives the inputs.
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The shape of each input, None for batch and length."""

    def __call__(self, rows: np.ndarray, length: int) -> Mapping[str, np.ndarray]:
        """`{name: array}`, each `(len(rows), ...)`, padded to `length`."""


def few_lengths(max_length: int) -> list[int]:
    """Lengths up to `max_length`, each at most half as long again as the one before: at most a third is padding.

    Example:
        >>> few_lengths(100)
        [8, 12, 16, 24, 32, 48, 64, 96, 100]
    """
    lengths = sorted(size << power for power in range(max_length.bit_length()) for size in (8, 12))
    return [*(length for length in lengths if length < max_length), max_length]


class Batches(BatchSource):
    """Batches for `fit`, `evaluate` and `predict`: `(inputs, labels)`, or `(inputs,)` without labels.

    `inputs` holds `input_ids`, `attention_mask` and `token_type_ids`, each `(batch, length)` int32; `labels` is
    `(batch, ...)`, or `(batch, length)` of tokens. Every row comes once an epoch, the rows of partial batches included.

    A batch's `length` is that of its longest row or, with `padded_lengths`, the smallest of these that is enough: XLA
    compiles every shape, and then compiles one for each length, and one more for a partial batch. `batch_tokens`, in
    place of `batch_size`, is the largest number of tokens in a batch, padding included.

    The order is a pure function of (`seed`, `epoch`, step) and of the rows' token counts, so a resumed run sets
    `epoch` and needs no other state:

    - with a `seed`, rows are permuted anew each epoch; with `group_by_length` (the default then), they are also sorted
      by length within pools of 50 batches, and the batches are permuted, so that rows of a batch are about equally
      long and little is padding. With `batch_tokens` the pool is the whole data set: every epoch has the same number of
      batches;
    - without a `seed`, rows come in file order; with `group_by_length`, longest first. `rows(step)` says which rows a
      batch holds, to put answers back in file order.

    With `row_inputs`, `inputs` also has the inputs that it gives for a batch's rows.

    Raises:
        InputError: there are no rows, `batch_size` is not positive, or there is not one label for each row; a row is
            longer than `padded_lengths` or `batch_tokens` allow; `batch_tokens` with `group_by_length=False`.
    """

    def __init__(
        self,
        tokens: TokenizedTexts,
        labels: Labels | None = None,
        batch_size: int = 32,
        seed: int | None = None,
        pad_token_id: int = 0,
        group_by_length: bool | None = None,
        row_inputs: RowInputs | None = None,
        batch_tokens: int | None = None,
        padded_lengths: Sequence[int] | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        if len(tokens) == 0:
            raise InputError("a data set without rows cannot be cut into batches; expected at least one row")
        if labels is not None and len(labels) != len(tokens):
            raise InputError(f"{len(labels)} labels for {len(tokens)} rows; expected one label for each row")
        self.tokens = tokens
        self.labels = labels
        self.pad_token_id = pad_token_id
        by_default = seed is not None or batch_tokens is not None
        self.group_by_length = by_default if group_by_length is None else group_by_length
        self.row_inputs = row_inputs
        self.batch_tokens = batch_tokens
        self.padded_lengths = None if padded_lengths is None else sorted(padded_lengths)
        self._lengths = self._padded(tokens.lengths)
        self._cuts = None if batch_tokens is None else self._cuts_by_tokens(batch_tokens)
        self._order: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        return super().__len__() if self._cuts is None else len(self._cuts) + 1

    @property
    def num_rows(self) -> int:
        """Rows of the data set."""
        return len(self.tokens)

    @property
    def num_truncated(self) -> int:
        """Rows that were cut at `max_length` tokens."""
        return self.tokens.num_truncated

    @property
    def input_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """The shapes of the inputs that `row_inputs` adds."""
        return {} if self.row_inputs is None else self.row_inputs.shapes

    @property
    def row_lengths(self) -> np.ndarray:
        """Real tokens of every row, `(rows,)`."""
        return self.tokens.lengths

    def input_bounds(self) -> InputBounds:
        """The bounds of the token ids, types and lengths of all batches, padding included."""
        bounds, pad = self.tokens.bounds, self.pad_token_id
        ids = min(pad, bounds.ids[0]), max(pad, bounds.ids[1])
        return dataclasses.replace(bounds, ids=ids, length=int(self._lengths.max()))

    def with_row_inputs(self, row_inputs: RowInputs) -> Batches:
        """The same batches with more inputs."""
        other = copy.copy(self)
        other.row_inputs = row_inputs
        return other

    def weighted(self, class_weight: Mapping[int, float] | None = None, sample_weight: Any = None) -> WeightedBatches:
        """The same batches with weights; see `WeightedBatches`."""
        return WeightedBatches(self, class_weight, sample_weight)

    def rows(self, step: int) -> np.ndarray:
        """The rows of batch `step` of this `epoch`, as indices into the data set."""
        return self.rows_of(self.epoch, step)

    def in_file_order(self, answers: np.ndarray) -> np.ndarray:
        """Put answers that were given batch by batch, as by `predict`, into the order of the data set's rows.

        The answers are `(rows, ...)`, or for tokens `(rows, longest row, ...)`, padded with 0.
        """
        order = [self.rows(step) for step in range(len(self))]
        if len(answers) == self.num_rows:
            ordered = np.empty_like(answers)
            ordered[np.concatenate(order)] = answers
            return ordered
        padded = np.zeros((self.num_rows, self._lengths.max(), *answers.shape[1:]), answers.dtype)
        start = 0
        for rows in order:
            longest = self._lengths[rows].max()
            end = start + len(rows) * longest
            padded[rows, :longest] = answers[start:end].reshape(len(rows), longest, *answers.shape[1:])
            start = end
        return padded

    def _batch(self, epoch: int, step: int) -> Batch:
        rows = self.rows_of(epoch, step)
        inputs = self.tokens.padded(rows, self.pad_token_id, int(self._lengths[rows].max()))
        length = inputs["input_ids"].shape[1]
        if self.row_inputs is not None:
            inputs |= self.row_inputs(rows, length)
        if self.labels is None:
            return (inputs,)
        return inputs, self.labels.padded(rows, length) if isinstance(self.labels, TokenLabels) else self.labels[rows]

    def rows_of(self, epoch: int, step: int) -> np.ndarray:
        """The rows of batch `step` of an epoch, as indices into the data set."""
        known_epoch, order = self._order
        if known_epoch != epoch:
            order = self._batches_of_rows(epoch)
            self._order = (epoch, order)
        return order[step]

    def _batches_of_rows(self, epoch: int) -> list[np.ndarray]:
        if self.seed is None:
            order = np.argsort(-self._lengths, kind="stable") if self.group_by_length else np.arange(self.num_rows)
            return self._cut(order)
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(self.num_rows)
        if not self.group_by_length:
            return self._cut(order)
        pool = self.num_rows if self._cuts is not None else BATCHES_PER_POOL * self.batch_size
        pools = np.split(order, range(pool, self.num_rows, pool))
        batches = self._cut(np.concatenate([pool[np.argsort(-self._lengths[pool], kind="stable")] for pool in pools]))
        return [batches[index] for index in generator.permutation(len(batches))]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        return np.split(rows, range(self.batch_size, len(rows), self.batch_size) if self._cuts is None else self._cuts)

    def _cuts_by_tokens(self, batch_tokens: int) -> list[int]:
        """The places at which the rows, longest first, are cut into batches; they are the same in every epoch."""
        if not self.group_by_length:
            raise InputError("batch_tokens and group_by_length=False; expected True: rows of like length share a batch")
        longest_first = np.sort(self._lengths)[::-1]
        if batch_tokens < longest_first[0]:
            raise InputError(f"batch_tokens={batch_tokens}: the longest row alone has {longest_first[0]}, padded")
        cuts = [0]
        while cuts[-1] < self.num_rows:
            cuts.append(cuts[-1] + int(batch_tokens // longest_first[cuts[-1]]))
        return cuts[1:-1]

    def _padded(self, lengths: np.ndarray) -> np.ndarray:
        """For each length of a row, the length of a batch whose longest row it is."""
        if self.padded_lengths is None:
            return lengths
        if lengths.max() > self.padded_lengths[-1]:
            raise InputError(f"padded_lengths={self.padded_lengths}: the longest row has {lengths.max()} tokens")
        return np.asarray(self.padded_lengths)[np.searchsorted(self.padded_lengths, lengths)]
