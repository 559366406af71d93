"""`Task`: the data side of a task, from a file to rows of tokens and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.data.held_out import held_out
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer


class Task(ABC):
    """The data side of a task. `models.tasks` and `metrics` have its model and its metrics, under the same name."""

    @abstractmethod
    def read(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        has_labels: bool = True,
    ) -> Any:
        """A file's data set.

        Args:
            path: the file, or of the Hub's data sets one as `hub_datasets.load_split` takes it.
            text: its columns of text, where it has columns with names.
            label: its column of labels, likewise.
            label_names: what integer labels stand for, in their order.
            has_labels: whether labels are read.

        Raises:
            InputError: the file, a column or a row cannot be used.
        """

    @abstractmethod
    def look(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        has_labels: bool = True,
    ) -> None:
        """Refuse a file that is not there, or columns that it does not have; arguments as those of `read`.

        Only its beginning is read, and nothing of the Hub.

        Raises:
            InputError: as `read`.
        """

    @abstractmethod
    def of_texts(self, texts: Sequence[Any], tokenizer: Tokenizer) -> Any:
        """The data set of texts to be answered.

        Raises:
            InputError: something that the task has no answer for; it is named by its number, from 1.
        """

    @abstractmethod
    def label_names(self, dataset: Any) -> list[str]:
        """The labels of a new model that learns from a data set."""

    @abstractmethod
    def check_training(self, dataset: Any) -> None:
        """Refuse a data set that nothing can be learned from."""

    @abstractmethod
    def check(self, dataset: Any, label_names: Sequence[str]) -> None:
        """Refuse a label that a model with these does not have, by its row."""

    def declared_names(self, dataset: Any) -> Sequence[str] | None:
        """What integer labels of a data set stand for, in their order, where that came with it."""
        return None

    def has_integers(self, dataset: Any, label_names: Sequence[str]) -> bool:
        """Whether a label is written as an integer, which is none of the model's names."""
        return False

    @abstractmethod
    def units(self, dataset: Any) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
        """What rows are held out by, see `held_out`: the unit and the stratum of each."""

    def split(self, dataset: Any, fraction: float, seed: int) -> tuple[Any, Any]:
        """The data set without the rows that are held out, and these.

        Raises:
            InputError: as `held_out`.
        """
        is_out = held_out(*self.units(dataset), fraction, seed, dataset.source)
        return dataset.take(np.flatnonzero(~is_out)), dataset.take(np.flatnonzero(is_out))

    def num_rows(self, dataset: Any, tokenizer: Callable[[], Tokenizer], max_length: int) -> int:
        """Rows that a data set is encoded as; `tokenizer` gives one where it is wanted for that."""
        return len(dataset)

    @abstractmethod
    def encode(self, dataset: Any, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int) -> EncodedDataset:
        """Tokens and labels for a model that has these labels.

        Raises:
            InputError: as `check`; a `max_length` that leaves no room for text.
        """
