"""The data sets of a run: read, checked and tokenized once, cut into batches as often as needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinybert_tf.config.schema import Data
from tinybert_tf.data.batches import Batches
from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import TokenizedTexts, Tokenizer
from tinybert_tf.errors import InputError

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

    def evaluation_batches(self) -> Batches:
        """Every row once, longest first."""
        return Batches(self.tokens, self.labels, EVALUATION_BATCH_SIZE, None, self.pad_token_id, group_by_length=True)


def read_datasets(data: Data) -> dict[str, TextDataset]:
    """The files of a config: `train`, `dev` and, where there is one, `test`.

    Raises:
        InputError: see `TextDataset.from_file`; a pair of texts, which no task of this release takes.
    """
    if len(data.text) != 1:
        raise InputError(f"data.text names {len(data.text)} columns; this release classifies single texts, one column.")
    paths = {"train": data.train, "dev": data.dev, "test": data.test}
    return {
        name: TextDataset.from_file(path, text=list(data.text), label=data.label)
        for name, path in paths.items()
        if path is not None
    }


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
        print(
            f"{name}: {len(tokens)} texts, {tokens.lengths.mean():.1f} tokens on average; "
            f"{tokens.num_truncated} cut at {max_length} tokens",
            file=sys.stderr,
        )
    return splits
