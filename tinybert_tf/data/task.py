"""`Task`: the data side of a task, from a file to rows of tokens and labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.data.augmentation.text_maker import Parts
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
            path: the file, or a data set of the Hub as `hub_datasets.load_split` names it.
            text: its columns of text, where it has columns with names.
            label: its column of labels, likewise.
            label_names: the names that integer labels stand for, in their order.
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

        Only the beginning of the file is read. A data set of the Hub is not looked at.

        Raises:
            InputError: see `read`.
        """

    @abstractmethod
    def of_texts(self, texts: Sequence[Any], tokenizer: Tokenizer) -> Any:
        """The data set of texts to be answered.

        Raises:
            InputError: the task cannot answer one of them; the message names its number, from 1.
        """

    @abstractmethod
    def label_names(self, dataset: Any) -> list[str]:
        """The labels of a new model that learns from a data set."""

    @abstractmethod
    def check_training(self, dataset: Any) -> None:
        """Refuse a data set that nothing can be learned from."""

    @abstractmethod
    def check(self, dataset: Any, label_names: Sequence[str]) -> None:
        """Refuse a label that is not one of `label_names`; the message names its row."""

    def declared_names(self, dataset: Any) -> Sequence[str] | None:
        """The names that integer labels stand for, in their order; None where the data set has none."""
        return None

    def has_integers(self, dataset: Any, label_names: Sequence[str]) -> bool:
        """Whether some label is written as an integer that is not one of the model's names."""
        return False

    @abstractmethod
    def units(self, dataset: Any) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
        """The unit and the stratum of each row, by which `held_out` draws rows."""

    def split(self, dataset: Any, fraction: float, seed: int) -> tuple[Any, Any]:
        """The data set without the rows that are held out, and the data set of those rows.

        Raises:
            InputError: see `held_out`.
        """
        is_out = held_out(*self.units(dataset), fraction, seed, dataset.source)
        return dataset.take(np.flatnonzero(~is_out)), dataset.take(np.flatnonzero(is_out))

    @abstractmethod
    def texts(self, dataset: Any) -> Sequence[Hashable]:
        """The text of each row; equal rows have equal ones."""

    def parts(self, dataset: Any) -> list[Parts]:
        """Each row's text, or both texts of a pair, as words; empty if no new texts can be made of them."""
        return []

    def of_parts(self, dataset: Any, made: Sequence[Parts]) -> Any:
        """A data set like this one of texts that `parts` gives, without labels."""
        raise NotImplementedError

    def num_rows(self, dataset: Any, tokenizer: Callable[[], Tokenizer], max_length: int) -> int:
        """The number of rows that a data set is encoded as; `tokenizer` makes the tokenizer, if that takes one."""
        return len(dataset)

    @abstractmethod
    def encode(self, dataset: Any, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int) -> EncodedDataset:
        """Tokens and labels for a model that has these labels.

        Raises:
            InputError: see `check`; or `max_length` leaves no room for text.
        """
