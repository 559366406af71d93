"""Texts and their labels, from a file, from lists or from a Hugging Face data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybert_tf.data.text.hub_datasets import columns_of, load_split
from tinybert_tf.data.text.label_names import (
    SEPARATOR,
    ids_of,
    join_cell,
    label_text,
    names_of,
    refuse_multi_hot,
    split_cell,
)
from tinybert_tf.data.text.readers import join_columns, read_rows, text_columns
from tinybert_tf.data.text.text_labels import find_text_labels
from tinybert_tf.data.tokenizers.tokenizer import as_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.labels import INTEGER
from tinybert_tf.short_repr import short_repr

if TYPE_CHECKING:  # batches are a Keras class, and an exported model answers without Keras
    from tinybert_tf.data.batches.batches import Batches


@dataclass(frozen=True)
class TextDataset:
    """Texts, or pairs of texts, and one label for each.

    `texts` are str or `(a, b)`; `labels` are str (scores too), or None where there are none. `source` and `row_numbers`
    give the origin of each row, a line of a file or an index in a list, and `place_format` writes it in messages.
    `declared_names` are class names that came with the data, in the order of their ids.

    Example:
        >>> dataset = TextDataset.from_lists(["a fine film", "a dull film"], labels=["positive", "negative"])
        >>> dataset.label_names()
        ['negative', 'positive']
        >>> dataset.label_ids(["negative", "positive"]).tolist()
        [1, 0]
    """

    texts: list[str] | list[tuple[str, str]]
    labels: list[str] | None
    source: str
    row_numbers: list[int]
    place_format: str = "{source}:{row}"
    declared_names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return short_repr(self, source=self.source, rows=len(self), has_labels=self.has_labels, texts=self.texts[:1])

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        text: str | Sequence[str],
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        may_be_empty: bool = False,
    ) -> TextDataset:
        """Read one text column, or two for pairs (`"a,b"` or `["a", "b"]`), of a `.tsv`, `.csv` or `.jsonl` file.

        `label_names` are the classes in the order of their ids; `may_be_empty`: whether a label may be empty.

        Raises:
            InputError: see `tinybert_tf.data.text.readers.read_columns`.
        """
        rows = read_rows(Path(path))
        columns = text_columns(text, rows.names)
        labels = [label] if label else []
        table = rows.columns([*columns, *labels], labels if may_be_empty else (), labels)
        return cls(
            join_columns([table[column] for column in columns]),
            table[label] if label else None,
            str(path),
            table.row_numbers,
            declared_names=None if label_names is None else list(label_names),
        )

    @classmethod
    def from_lists(
        cls,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        labels: Sequence[str] | Sequence[int] | Sequence[float] | Sequence[Sequence[str]] | None = None,
        may_be_empty: bool = False,
    ) -> TextDataset:
        """Take texts, or pairs of texts, and labels as they are: str or int, float for scores, lists for several.

        `may_be_empty`: whether a label may be empty, as a cell of several labels, `a,b`, may.

        Raises:
            InputError: there are no texts, they are not of one kind, one is empty, or the counts differ.
        """
        if isinstance(texts, str):
            raise InputError("texts is a str; expected a list of texts")
        given = None if labels is None else list(labels)
        return cls._checked(list(texts), given, "texts", may_be_empty=may_be_empty)

    @classmethod
    def from_huggingface(
        cls, dataset: Any, text: str | Sequence[str], label: str | None = None, may_be_empty: bool = False
    ) -> TextDataset:
        """Take columns of a `datasets.Dataset`; the names of a `ClassLabel` column, or a list of it, are the labels.

        `may_be_empty` as in `from_lists`. Raises InputError if there is no such column, and as `from_lists` does.
        """
        columns = text_columns(text, dataset.column_names)
        found = columns_of(dataset, *columns, *([label] if label else []))
        texts = join_columns(found[: len(columns)])
        labels = found[-1] if label else None
        kind = (getattr(dataset, "features", None) or {}).get(label)
        names = getattr(getattr(kind, "feature", kind), "names", None)
        if labels is None or names is None:
            return cls._checked(texts, labels, "dataset", may_be_empty=may_be_empty)

        def name(row: int, class_id: Any) -> Any:
            if isinstance(class_id, list):
                return [name(row, each) for each in class_id]
            if class_id not in range(len(names)):
                raise InputError(f"dataset[{row}]: label {class_id!r}; expected 0 to {len(names) - 1}")
            return names[class_id]

        return cls._checked(texts, [name(row, each) for row, each in enumerate(labels)], "dataset", list(names))

    @classmethod
    def from_hub(
        cls,
        split: str,
        text: str | Sequence[str],
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        may_be_empty: bool = False,
    ) -> TextDataset:
        """Columns of a data set of the Hugging Face Hub, `hub:owner/name:split` or `hub:owner/name/config:split`.

        `label_names` are the classes in the order of their ids, if the data set does not name them.

        Raises:
            InputError: see `tinybert_tf.data.text.hub_datasets.load_split` and `from_huggingface`.
        """
        try:
            dataset = cls.from_huggingface(load_split(split), text, label, may_be_empty)
        except InputError as error:
            raise InputError(str(error) if str(error).startswith(split) else f"{split}: {error}") from error
        names = dataset.declared_names or (None if label_names is None else list(label_names))
        return replace(dataset, source=split, place_format="{source}[{row}]", declared_names=names)

    @classmethod
    def _checked(
        cls,
        texts: list[Any],
        labels: list[Any] | None,
        source: str,
        declared_names: list[str] | None = None,
        may_be_empty: bool = False,
    ) -> TextDataset:
        if not texts:
            raise InputError(f"{source}: expected at least one text, got none")
        if labels is not None and len(labels) != len(texts):
            raise InputError(f"{len(labels)} labels for {len(texts)} texts; expected one label for each text")
        for row, text in enumerate(texts):
            parts = as_parts(text)
            if not (len(parts) in (1, 2) and all(isinstance(part, str) and part.strip() for part in parts)):
                raise InputError(f"{source}[{row}] is {text!r}; expected a text or a pair of texts, not empty")
            if len(parts) != len(as_parts(texts[0])):
                raise InputError(f"{source}[{row}] is not like {source}[0]; expected texts or pairs of texts")
        cells = []
        for row, label in enumerate(labels or []):
            place = f"{source}[{row}]"
            several = isinstance(label, list | tuple)
            cells.append(join_cell(label, place) if several else label_text(label, place, may_be_empty))
        return cls(
            join_columns([list(column) for column in zip(*map(as_parts, texts), strict=True)]),
            None if labels is None else cells,
            source,
            list(range(len(texts))),
            "{source}[{row}]",
            declared_names,
        )

    def take(self, rows: Sequence[int] | np.ndarray) -> TextDataset:
        """A data set of some of these rows, by number."""
        return replace(
            self,
            texts=[self.texts[row] for row in rows],  # type: ignore[arg-type]  # all of one kind
            labels=None if self.labels is None else [self.labels[row] for row in rows],
            row_numbers=[self.row_numbers[row] for row in rows],
        )

    def label_names(self) -> list[str]:
        """The classes, in the order of their ids.

        They are the names that came with the data; else `["LABEL_0", ..., "LABEL_<highest>"]` if every label is an
        integer from 0; else the distinct labels, sorted.

        Raises:
            InputError: there are no labels, or an integer is too large to be a class.
        """
        labels = self._given_labels()
        if "" in labels:
            label_text("", self.place(labels.index("")))
        return names_of(labels, self.place) if self.declared_names is None else list(self.declared_names)

    def label_ids(self, label_names: Sequence[str]) -> np.ndarray:
        """Each row's class, `(rows,)` int32: the index of its label in `label_names`, or its label as an integer.

        Raises:
            InputError: a label is neither one of `label_names` nor an integer below their number.
        """
        labels = self._given_labels()
        return np.array(ids_of(labels, label_names, self.place, self.declared_names), np.int32)

    def has_integers(self, label_names: Sequence[str]) -> bool:
        """Whether some label, or one in a cell of several, is an integer that is not one of `label_names`."""
        labels = {label.strip() for cell in self.labels or () for label in cell.split(SEPARATOR)}
        return any(map(INTEGER.fullmatch, labels.difference(label_names)))

    def names_in_cells(self) -> list[str]:
        """The classes of a data set whose labels are cells of any number of classes, `a,b`; see `label_names`.

        Raises:
            InputError: a cell cannot be split, or all of them are empty.
        """
        if self.declared_names is not None:
            return list(self.declared_names)
        labels, rows = self._split_cells()
        if not labels:
            raise InputError(f"{self.source}: no row has a label; expected at least one label.")
        return names_of(labels, lambda number: self.place(rows[number]))

    def label_matrix(self, label_names: Sequence[str]) -> np.ndarray:
        """Which labels each row's cell holds, `(rows, len(label_names))` float32: 1 where it does, else 0.

        Raises:
            InputError: a cell cannot be split; see also `label_ids`.
        """
        labels, rows = self._split_cells()
        classes = ids_of(labels, label_names, lambda number: self.place(rows[number]), self.declared_names)
        matrix = np.zeros((len(self), len(label_names)), np.float32)
        matrix[rows, classes] = 1.0
        return matrix

    def _split_cells(self) -> tuple[list[str], list[int]]:
        """The labels of all cells, and their rows."""
        refuse_multi_hot(self._given_labels(), self.place)
        cells = [split_cell(cell, self.place(row)) for row, cell in enumerate(self._given_labels())]
        labels = [label for cell in cells for label in cell]
        return labels, [row for row, cell in enumerate(cells) for _ in cell]

    def scores(self) -> np.ndarray:
        """Each row's label as a number, `(rows,)` float32.

        Raises:
            InputError: a label is not a finite number.
        """
        scores = []
        for row, label in enumerate(self._given_labels()):
            try:
                scores.append(math.nan if "_" in label else float(label))  # Python reads 1_000 as a thousand
            except ValueError:
                scores.append(math.nan)
            if not abs(scores[-1]) <= float(np.finfo(np.float32).max):
                raise InputError(f"{self.place(row)}: label {label!r}; expected a number")
        return np.array(scores, np.float32)

    def place(self, row: int) -> str:
        """The origin of a row, for messages: `train.tsv:7`, or `texts[7]` for rows of a list."""
        return self.place_format.format(source=self.source, row=self.row_numbers[row])

    def batches(
        self,
        tokenizer: Any,
        batch_size: int = 32,
        seed: int | None = None,
        max_length: int = 128,
        label_names: Sequence[str] | None = None,
        group_by_length: bool | None = None,
        task: str = "sequence_classification",
        batch_tokens: int | None = None,
        padded_lengths: Sequence[int] | None = None,
    ) -> Batches:
        """Tokenize and cut into batches; see `tinybert_tf.data.batches.batches.Batches` for how they are cut.

        `tokenizer` is ours or a fast one of transformers; `max_length` counts tokens, special ones included;
        `label_names` are the model's classes, by default this data set's own; `task` is `sequence_classification`,
        `regression` or `multi_label`: labels are `(batch,)` int32, `(batch,)` float32 or `(batch, num_labels)` float32.
        Raises InputError for a label that the task cannot read, and as `Batches` does.
        """
        kind = find_text_labels(task)
        if label_names is None:
            label_names = kind.names(self) if self.has_labels else ()
        encoded = kind.encode(self, as_tokenizer(tokenizer), label_names, max_length)
        return encoded.batches(batch_size, seed, group_by_length, batch_tokens, padded_lengths)

    def _given_labels(self) -> list[str]:
        if self.labels is None:
            raise InputError(f"{self.source}: was read without labels; expected the name of their column, label=...")
        return self.labels


def as_parts(text: Any) -> tuple[Any, ...]:
    """A text as a tuple of one, a pair as a tuple of two."""
    return tuple(text) if isinstance(text, list | tuple) else (text,)
