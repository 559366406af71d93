"""Tokenized rows as padded batches whose order is a pure function of (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from tinybert_tf.data.batch_source import BatchSource
from tinybert_tf.data.tokenized_texts import TokenizedTexts
from tinybert_tf.errors import InputError

# Rows are sorted by length inside pools of this many batches: enough to pad little, few enough to stay well mixed.
BATCHES_PER_POOL = 50

Batch = tuple[dict[str, np.ndarray]] | tuple[dict[str, np.ndarray], np.ndarray]


class Labels(Protocol):
    """Labels by row: an array, or `TokenLabels`; indexed with rows it gives a batch's."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


class RowInputs(Protocol):
    """More inputs of a batch, by its rows: a teacher's features, computed before.

    `shapes`: of each input, None for batch and length. Called with the rows and the batch's length it gives them.
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Of each input."""

    def __call__(self, rows: np.ndarray, length: int) -> Mapping[str, np.ndarray]:
        """`{name: array}`, each `(len(rows), ...)`, padded to `length`."""


class Batches(BatchSource):
    """Batches for `fit`, `evaluate` and `predict`: `(inputs, labels)`, or `(inputs,)` without labels.

    `inputs` holds `input_ids`, `attention_mask` and `token_type_ids`, each `(batch, longest row of the batch)` int32;
    `labels` is `(batch, ...)`, or `(batch, longest row)` of tokens. Every row comes once an epoch, the rows of the
    partial batch included.

    The order is a pure function of (`seed`, `epoch`, step) and of the rows' token counts, so a resumed run sets
    `epoch` and needs no other state:

    - with a `seed`, rows are permuted anew each epoch; with `group_by_length` (the default then), they are also sorted
      by length within pools of 50 batches, and the batches are permuted, so that rows of a batch are about equally
      long and little is padding;
    - without a `seed`, rows come in file order; with `group_by_length`, longest first. `rows(step)` says which rows a
      batch holds, to put answers back in file order.

    With `row_inputs`, `inputs` also holds what that gives for a batch's rows.

    Raises:
        InputError: there are no rows, or `batch_size` is not positive, or `labels` are not one for each row.
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
    ) -> None:
        super().__init__(batch_size, seed)
        if len(tokens) == 0:
            raise InputError("a data set without rows cannot be cut into batches; at least one row is accepted")
        if labels is not None and len(labels) != len(tokens):
            raise InputError(f"{len(labels)} labels for {len(tokens)} rows: one label for each row is accepted")
        self.tokens = tokens
        self.labels = labels
        self.pad_token_id = pad_token_id
        self.group_by_length = seed is not None if group_by_length is None else group_by_length
        self.row_inputs = row_inputs
        self._lengths = tokens.lengths
        self._order: tuple[int, list[np.ndarray]] = (-1, [])

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
        """Of what `row_inputs` adds."""
        return {} if self.row_inputs is None else self.row_inputs.shapes

    def rows(self, step: int) -> np.ndarray:
        """The rows of batch `step` of this `epoch`, as indices into the data set."""
        return self._rows(self.epoch, step)

    def in_file_order(self, answers: np.ndarray) -> np.ndarray:
        """Answers given batch by batch (`predict`'s), in the order of the data set's rows.

        One a row; or one a token, padding included, which then come as `(rows, longest row, ...)`, padded with 0.
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
        rows = self._rows(epoch, step)
        inputs = self.tokens.padded(rows, self.pad_token_id)
        if self.row_inputs is not None:
            inputs |= self.row_inputs(rows, inputs["input_ids"].shape[1])
        return (inputs,) if self.labels is None else (inputs, self.labels[rows])

    def _rows(self, epoch: int, step: int) -> np.ndarray:
        known_epoch, order = self._order
        if known_epoch != epoch:
            order = self._batches_of_rows(epoch)
            self._order = (epoch, order)
        return order[step]

    def _batches_of_rows(self, epoch: int) -> list[np.ndarray]:
        if self.seed is None:
            order = np.argsort(-self._lengths, kind="stable") if self.group_by_length else np.arange(self.num_rows)
            return self._cut(order, self.batch_size)
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(self.num_rows)
        if not self.group_by_length:
            return self._cut(order, self.batch_size)
        pools = self._cut(order, BATCHES_PER_POOL * self.batch_size)
        by_length = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        batches = self._cut(by_length, self.batch_size)
        return [batches[index] for index in generator.permutation(len(batches))]

    @staticmethod
    def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
        return np.split(rows, range(size, len(rows), size))
