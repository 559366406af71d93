"""The data sets of a run: read, checked and tokenized once, cut into batches as often as needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinybert_tf.config.schema import Data, Train
from tinybert_tf.data.batches import Batches, RowInputs
from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import TokenizedTexts, Tokenizer
from tinybert_tf.errors import InputError

logger = logging.getLogger(__name__)

EVALUATION_BATCH_SIZE = 64


@dataclass(frozen=True)
class Split:
    """One tokenized data set with its labels, `(rows,)` class ids or scores, where they were read.

    `padded_lengths` as in `Batches`. `teacher`: the same rows as the teacher reads them, where it has another tokenizer
    than the student.
    """

    tokens: TokenizedTexts
    labels: np.ndarray | None
    pad_token_id: int
    padded_lengths: Sequence[int] | None = None
    teacher: Split | None = None

    @property
    def for_teacher(self) -> Split:
        """The rows as the teacher reads them."""
        return self if self.teacher is None else self.teacher

    def training_batches(self, train: Train, row_inputs: RowInputs | None = None) -> Batches:
        """Shuffled batches, grouped by length."""
        return Batches(
            self.tokens,
            self.labels,
            train.batch_size,
            train.seed,
            self.pad_token_id,
            row_inputs=row_inputs,
            batch_tokens=train.batch_tokens,
            padded_lengths=self.padded_lengths,
        )

    def sample(self, num_texts: int, max_tokens: int, seed: int) -> list[dict[str, np.ndarray]]:
        """Padded inputs of texts drawn without replacement, texts of like length together.

        `num_texts` of them, or all, but no more than have `max_tokens` tokens; always one.
        """
        rows = np.random.default_rng(seed).permutation(len(self.tokens))[:num_texts]
        rows = rows[: max(1, np.searchsorted(np.cumsum(self.tokens.lengths[rows]), max_tokens, side="right"))]
        rows = rows[np.argsort(self.tokens.lengths[rows], kind="stable")]
        batches = np.split(rows, range(EVALUATION_BATCH_SIZE, len(rows), EVALUATION_BATCH_SIZE))
        return [self.tokens.padded(batch, self.pad_token_id) for batch in batches]

    def summary(self) -> dict[str, int]:
        """What `metrics.json` says of it: its rows, and how many of them were cut at `max_length`."""
        return {"rows": len(self.tokens), "truncated": self.tokens.num_truncated}

    def evaluation_batches(self, row_inputs: RowInputs | None = None) -> Batches:
        """Every row once, longest first."""
        return Batches(
            self.tokens,
            self.labels,
            EVALUATION_BATCH_SIZE,
            None,
            self.pad_token_id,
            group_by_length=True,
            row_inputs=row_inputs,
            padded_lengths=self.padded_lengths,
        )


def read_datasets(data: Data, more: Mapping[str, bool] = MappingProxyType({})) -> dict[str, TextDataset]:
    """The files of a config: `train`, `dev` and, where there is one, `test`; and `more`, by their paths.

    Args:
        data: the files and columns.
        more: paths, and whether their labels are read.

    Raises:
        InputError: as `TextDataset.from_file`.
    """
    paths = {"train": data.train, "dev": data.dev, "test": data.test}
    text = list(data.text)
    datasets = {name: TextDataset.from_file(path, text, data.label) for name, path in paths.items() if path is not None}
    for path, has_labels in more.items():
        datasets[path] = TextDataset.from_file(path, text, data.label if has_labels else None)
    return datasets


def tokenize(
    datasets: Mapping[str, TextDataset],
    tokenizer: Tokenizer,
    label_names: Sequence[str],
    max_length: int,
    task: str = "sequence_classification",
    padded_lengths: Sequence[int] | None = None,
) -> dict[str, Split]:
    """Token ids and labels of every data set; says how many texts were cut at `max_length`.

    Raises:
        InputError: a label that is not among `label_names`, or for `regression` no number; a model that gives one score
            where classes are wanted.
    """
    if task == "sequence_classification" and len(label_names) == 1:
        raise InputError("the model gives one score, and no classes; task regression (--task regression) is wanted.")
    labels = {name: _labels(dataset, task, label_names) for name, dataset in datasets.items()}
    splits = {}
    for name, dataset in datasets.items():
        tokens = tokenizer.encode(dataset.texts, max_length)
        splits[name] = Split(tokens, labels[name], tokenizer.pad_token_id, padded_lengths)
        logger.info(
            f"{name}: {len(tokens)} texts, {tokens.lengths.mean():.1f} tokens on average; "
            f"{tokens.num_truncated} cut at {max_length} tokens"
        )
    return splits


def _labels(dataset: TextDataset, task: str, label_names: Sequence[str]) -> np.ndarray | None:
    return None if dataset.labels is None else dataset.targets(task, label_names)
