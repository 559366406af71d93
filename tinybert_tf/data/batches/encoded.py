"""Data sets as models read them: rows of tokens with labels, and answers made from logits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinybert_tf.data.batches.token_labels import NO_LABEL, TokenLabels
from tinybert_tf.data.tokenizers.tokenized_texts import TokenizedTexts

if TYPE_CHECKING:  # batches import Keras, which an exported model does not need for its answers
    from tinybert_tf.data.batches.batches import Batches, Labels, RowInputs

Prediction = dict[str, Any]
# The rows of a batch that is not trained on.
BATCH_SIZE = 64


class TrainValues(Protocol):
    """The settings of a configuration that training batches depend on."""

    @property
    def batch_size(self) -> int:
        """The number of rows of a batch."""

    @property
    def batch_tokens(self) -> int | None:
        """The largest number of tokens in a batch, in place of `batch_size`."""

    @property
    def seed(self) -> int:
        """The seed of the order."""


@dataclass(frozen=True)
class EncodedDataset:
    """Rows of tokens with their labels, if there are any; a subclass makes a task's answers from logits.

    A row is a text, or a part of one. Arguments `logits` are a model's logits of all rows, in the order of the rows, as
    `Batches.in_file_order` gives them. `padded_lengths` as in `Batches`. `teacher`: the same rows for the teacher, if
    its tokenizer is not the student's.
    """

    tokens: TokenizedTexts
    labels: Labels | None
    pad_token_id: int
    padded_lengths: Sequence[int] | None = field(default=None, kw_only=True)
    teacher: EncodedDataset | None = field(default=None, kw_only=True)

    @property
    def for_teacher(self) -> EncodedDataset:
        """The rows as the teacher reads them."""
        return self if self.teacher is None else self.teacher

    def batches(
        self,
        batch_size: int = 32,
        seed: int | None = None,
        group_by_length: bool | None = None,
        batch_tokens: int | None = None,
        padded_lengths: Sequence[int] | None = None,
        row_inputs: RowInputs | None = None,
    ) -> Batches:
        """The rows in batches; see `tinybert_tf.data.batches.batches.Batches` for how they are cut."""
        from tinybert_tf.data.batches.batches import Batches

        return Batches(
            self.tokens,
            self.labels,
            batch_size,
            seed,
            self.pad_token_id,
            group_by_length,
            row_inputs,
            batch_tokens,
            self.padded_lengths if padded_lengths is None else padded_lengths,
        )

    def training_batches(self, train: TrainValues, row_inputs: RowInputs | None = None) -> Batches:
        """Shuffled batches, grouped by length."""
        return self.batches(train.batch_size, train.seed, batch_tokens=train.batch_tokens, row_inputs=row_inputs)

    def evaluation_batches(self, row_inputs: RowInputs | None = None, batch_size: int = BATCH_SIZE) -> Batches:
        """Every row once, longest first."""
        return self.batches(batch_size, group_by_length=True, row_inputs=row_inputs)

    def sample(self, num_texts: int, max_tokens: int, seed: int, after: int = 0) -> list[dict[str, np.ndarray]]:
        """Padded inputs of rows drawn without replacement, in batches of rows of similar length.

        At most `num_texts` rows with at most `max_tokens` tokens together, but at least one row, if any is left after
        the first `after` rows that are drawn: so two samples with the same seed share no row.
        """
        rows = np.random.default_rng(seed).permutation(len(self.tokens))[after : after + num_texts]
        if not len(rows):
            return []
        rows = rows[: max(1, np.searchsorted(np.cumsum(self.tokens.lengths[rows]), max_tokens, side="right"))]
        rows = rows[np.argsort(self.tokens.lengths[rows], kind="stable")]
        batches = np.split(rows, range(BATCH_SIZE, len(rows), BATCH_SIZE))
        return [self.tokens.padded(batch, self.pad_token_id) for batch in batches]

    def with_unlabelled(self, more: EncodedDataset) -> EncodedDataset:
        """All these rows, and after them those of `more` without a label, to train on: a teacher answers any text."""
        tokens = self.tokens.followed_by(more.tokens)
        labels = None if self.labels is None else with_missing(self.labels, tokens)
        teacher = None if self.teacher is None else self.teacher.with_unlabelled(more.for_teacher)
        return EncodedDataset(tokens, labels, self.pad_token_id, padded_lengths=self.padded_lengths, teacher=teacher)

    def fingerprint(self) -> str:
        """A hash of all rows and their labels."""
        digest = hashlib.sha256(self.tokens.fingerprint().encode())
        labels = self.labels.values if isinstance(self.labels, TokenLabels) else self.labels
        if labels is not None:
            digest.update(np.ascontiguousarray(labels).view(np.uint8).data)
        return digest.hexdigest()

    def summary(self) -> dict[str, int]:
        """The entries in `metrics.json`: the number of rows, and of those cut at `max_length`."""
        return {"rows": len(self.tokens), "truncated": self.tokens.num_truncated}

    @property
    def expected(self) -> Any:
        """The right answers, for the task's metrics."""
        raise NotImplementedError

    @property
    def classes(self) -> Sequence[str]:
        """The names of the model's classes, in the order of its logits; empty if it has no classes."""
        return ()

    def answers(self, logits: np.ndarray) -> Any:
        """The model's answers, which the task's metrics compare with `expected`."""
        raise NotImplementedError

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        """The answer to each text, as it is written in JSON."""
        raise NotImplementedError


@dataclass(frozen=True)
class EncodedTexts(EncodedDataset):
    """Texts, or pairs of them, one in each row; `written` makes JSON of their logits."""

    label_names: Sequence[str]
    written: Callable[[np.ndarray, Sequence[str]], list[Prediction]]

    @property
    def classes(self) -> Sequence[str]:
        """The names of the logits."""
        return self.label_names

    @property
    def expected(self) -> Any:
        """The labels."""
        return self.labels

    def answers(self, logits: np.ndarray) -> np.ndarray:
        """The logits."""
        return logits

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        """The answer to each text, as it is written in JSON."""
        return self.written(logits, self.label_names)


def with_missing(labels: Labels, tokens: TokenizedTexts) -> Labels:
    """The labels of the first rows of `tokens`, and missing ones for all others, as losses know them.

    A missing score is NaN, a missing class, position or yes/no is -1, a missing label of a token is -100.

    Example:
        >>> tokens = TokenizedTexts(np.zeros(6, np.int32), np.zeros(6, np.int8), np.array([0, 2, 4, 6]))
        >>> with_missing(np.array([1, 0], np.int32), tokens).tolist()
        [1, 0, -1]
    """
    if isinstance(labels, TokenLabels):
        more = np.full(len(tokens.input_ids) - len(labels.values), NO_LABEL, labels.values.dtype)
        return TokenLabels(np.concatenate([labels.values, more]), tokens.offsets)
    is_score = labels.dtype.kind == "f" and labels.ndim == 1
    missing = np.full((len(tokens) - len(labels), *labels.shape[1:]), np.nan if is_score else -1, labels.dtype)
    return np.concatenate([labels, missing])


def write_classes(logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
    """`{"label": ..., "scores": {label: fraction, ...}}`, the fractions by softmax."""
    return [
        {"label": names[int(row.argmax())], "scores": dict(zip(names, map(float, row), strict=True))}
        for row in softmax(logits)
    ]


def write_scores(logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
    """`{"score": ...}`, or for a model with several scores `{"scores": {name: score, ...}}`; scores are the logits."""
    if logits.shape[-1] == 1:
        return [{"score": float(score)} for score in logits[:, 0]]
    return [{"scores": dict(zip(names, map(float, row), strict=True))} for row in logits]


def write_labels(logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
    """`{"labels": [...], "scores": {label: fraction, ...}}`: sigmoid fractions, and the labels above one half."""
    return [
        {
            "labels": [name for name, logit in zip(names, row, strict=True) if logit > 0],
            "scores": {name: float(1 / (1 + np.exp(-logit))) for name, logit in zip(names, row, strict=True)},
        }
        for row in logits.astype(np.float64)
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
