"""The data sets of a run: read, checked and tokenized once, cut into batches as often as needed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinybert_tf.config.schema import Data
from tinybert_tf.data.batches import Batches
from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import TokenizedTexts, Tokenizer
from tinybert_tf.errors import InputError

logger = logging.getLogger(__name__)

EVALUATION_BATCH_SIZE = 64


@dataclass(frozen=True)
class Split:
    """One tokenized data set with its labels, `(rows,)` class ids."""

    tokens: TokenizedTexts
    labels: np.ndarray
    pad_token_id: int

    def training_batches(self, batch_size: int, seed: int) -> Batches:
        """Shuffled batches, grouped by length."""
        return Batches(self.tokens, self.labels, batch_size, seed, self.pad_token_id)

    def summary(self) -> dict[str, int]:
        """What `metrics.json` says of it: its rows, and how many of them were cut at `max_length`."""
        return {"rows": len(self.tokens), "truncated": self.tokens.num_truncated}

    def evaluation_batches(self) -> Batches:
        """Every row once, longest first."""
        return Batches(self.tokens, self.labels, EVALUATION_BATCH_SIZE, None, self.pad_token_id, group_by_length=True)


def read_datasets(data: Data) -> dict[str, TextDataset]:
    """The files of a config: `train`, `dev` and, where there is one, `test`.

    Raises:
        InputError: as `read_dataset`.
    """
    paths = {"train": data.train, "dev": data.dev, "test": data.test}
    return {name: read_dataset(path, list(data.text), data.label) for name, path in paths.items() if path is not None}


def read_dataset(path: str, text: str | Sequence[str], label: str) -> TextDataset:
    """One file of labelled texts.

    Raises:
        InputError: see `TextDataset.from_file`; a pair of text columns, which no task of this release takes.
    """
    dataset = TextDataset.from_file(path, text=text, label=label)
    if isinstance(dataset.texts[0], tuple):
        columns = text if isinstance(text, str) else ",".join(text)
        raise InputError(f"text={columns!r} names two columns; this release classifies single texts, one column.")
    return dataset


def tokenize(
    datasets: dict[str, TextDataset], tokenizer: Tokenizer, label_names: Sequence[str], max_length: int
) -> dict[str, Split]:
    """Token ids and class ids of every data set; says how many texts were cut at `max_length`.

    Raises:
        InputError: a label that is not among `label_names`.
    """
    labels = {name: dataset.label_ids(label_names) for name, dataset in datasets.items()}
    splits = {}
    for name, dataset in datasets.items():
        tokens = tokenizer.encode(dataset.texts, max_length)
        splits[name] = Split(tokens, labels[name], tokenizer.pad_token_id)
        logger.info(
            f"{name}: {len(tokens)} texts, {tokens.lengths.mean():.1f} tokens on average; "
            f"{tokens.num_truncated} cut at {max_length} tokens"
        )
    return splits
