"""The data side of all tasks, in one table: reading, checking and encoding files and texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinybert_tf.data.answers.questions import Question, QuestionDataset
from tinybert_tf.data.augmentation.text_maker import Parts, join_words, split_words
from tinybert_tf.data.batches.encoded import EncodedDataset, EncodedTexts
from tinybert_tf.data.tags.tagging import TaggedDataset
from tinybert_tf.data.task import Task
from tinybert_tf.data.text.dataset import TextDataset, as_parts
from tinybert_tf.data.text.hub_datasets import is_hub_split
from tinybert_tf.data.text.readers import check_columns, check_file, join_columns
from tinybert_tf.data.text.text_labels import TEXT_LABELS, TextLabels
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer
from tinybert_tf.errors import InputError

# The contents of files without named columns, for messages.
CONLL = "CoNLL files, a token and its tag in a line,"
SQUAD = "SQuAD's questions and answers"


class _TextTask(Task):
    """A task of texts, or pairs of them, in columns of a file, with one label cell for each."""

    def __init__(self, labels: TextLabels) -> None:
        self.labels = labels

    def read(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        has_labels: bool = True,
    ) -> TextDataset:
        """A file's texts and labels."""
        columns = _given_columns(path, text, label, has_labels)
        if is_hub_split(path):
            return TextDataset.from_hub(
                str(path), columns, label if has_labels else None, label_names, self.labels.may_be_empty
            )
        return TextDataset.from_file(
            path, columns, label if has_labels else None, label_names, self.labels.may_be_empty
        )

    def look(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        has_labels: bool = True,
    ) -> None:
        """Refuse a file that is not there, or without these columns."""
        columns = _given_columns(path, text, label, has_labels)
        if not is_hub_split(path):
            check_columns(path, columns, label if has_labels else None)

    def of_texts(self, texts: Sequence[Any], tokenizer: Tokenizer) -> TextDataset:
        """Texts and pairs, also mixed."""
        for number, text in enumerate(texts, start=1):
            is_pair = isinstance(text, list | tuple) and len(text) == 2
            if not all(isinstance(part, str) and part.strip() for part in (text if is_pair else [text])):
                raise InputError(f"text {number}: expected a text that is not empty, or a pair of them, got {text!r}")
        return TextDataset(list(texts), None, "texts", list(range(1, len(texts) + 1)), "text {row}")

    def label_names(self, dataset: TextDataset) -> list[str]:
        """The names that `TextLabels.names` finds."""
        return self.labels.names(dataset)

    def declared_names(self, dataset: TextDataset) -> Sequence[str] | None:
        """The names that came with the data set; None for scores."""
        return dataset.declared_names if self.labels.has_classes else None

    def has_integers(self, dataset: TextDataset, label_names: Sequence[str]) -> bool:
        """Whether some label is an integer that is not a name; a score stands for itself."""
        return self.labels.has_classes and dataset.has_integers(label_names)

    def units(self, dataset: TextDataset) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
        """The texts, so that equal ones stay together, and their labels, or the tenths that scores fall into."""
        return dataset.texts, self.labels.strata(dataset)

    def texts(self, dataset: TextDataset) -> Sequence[Hashable]:
        """The texts, or pairs of them."""
        return dataset.texts

    def parts(self, dataset: TextDataset) -> list[Parts]:
        """The words of each text, or of both texts of a pair."""
        return [tuple(split_words(text) for text in as_parts(row)) for row in dataset.texts]

    def of_parts(self, dataset: TextDataset, made: Sequence[Parts]) -> TextDataset:
        """Texts of these words."""
        columns = [list(map(join_words, column)) for column in zip(*made, strict=True)]
        return replace(dataset, texts=join_columns(columns), labels=None, row_numbers=list(range(1, len(made) + 1)))

    def check_training(self, dataset: TextDataset) -> None:
        """Refuse labels that are all the same."""
        distinct = set(dataset.labels or ())
        if len(distinct) == 1:
            raise InputError(f"{dataset.source}: all labels are {distinct.pop()!r}; expected at least two labels.")

    def check(self, dataset: TextDataset, label_names: Sequence[str]) -> None:
        """Refuse a label that is not one of these."""
        if dataset.labels is not None:
            self.labels.targets(dataset, label_names)

    def encode(
        self, dataset: TextDataset, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int
    ) -> EncodedTexts:
        """A row for each text, cut at `max_length` tokens."""
        return self.labels.encode(dataset, tokenizer, label_names, max_length)


class _TagTask(Task):
    """A tag for each word of a sentence, in CoNLL files."""

    def read(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        has_labels: bool = True,
    ) -> TaggedDataset:
        """A file's sentences and tags."""
        if is_hub_split(path):
            column = ",".join([text] if isinstance(text, str) else text or ["tokens"])
            return TaggedDataset.from_hub(str(path), column, (label or "ner_tags") if has_labels else None, label_names)
        refuse_columns(path, CONLL, text, label, label_names)
        return TaggedDataset.from_file(path, has_labels)

    def look(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        has_labels: bool = True,
    ) -> None:
        """Refuse a file that is not there, and columns."""
        if not is_hub_split(path):
            refuse_columns(path, CONLL, text, label)
            check_file(Path(path), "CoNLL")

    def of_texts(self, texts: Sequence[Any], tokenizer: Tokenizer) -> TaggedDataset:
        """Texts, split into words."""
        for number, text in enumerate(texts, start=1):
            if not (isinstance(text, str) and text.strip()):
                raise InputError(f"text {number}: expected a text that is not empty, got {text!r}")
        return TaggedDataset.from_texts(texts, tokenizer)

    def label_names(self, dataset: TaggedDataset) -> list[str]:
        """`O`, and two tags for each type."""
        return dataset.label_names()

    def units(self, dataset: TaggedDataset) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
        """Sentences, and the types of their entities."""
        types = [frozenset(tag.partition("-")[2] for tag in tags) for tags in dataset.tags or ()]
        return self.texts(dataset), types

    def texts(self, dataset: TaggedDataset) -> Sequence[Hashable]:
        """The words of each sentence."""
        return list(map(tuple, dataset.words))

    def parts(self, dataset: TaggedDataset) -> list[Parts]:
        """The words of each sentence."""
        return [(tuple(words),) for words in dataset.words]

    def of_parts(self, dataset: TaggedDataset, made: Sequence[Parts]) -> TaggedDataset:
        """Sentences of these words."""
        rows = list(range(1, len(made) + 1))
        return TaggedDataset([list(words) for (words,) in made], None, dataset.source, rows)

    def check_training(self, dataset: TaggedDataset) -> None:
        """Refuse sentences without an entity."""
        if len(dataset.label_names()) == 1:
            raise InputError(f"{dataset.source}: all tags are 'O'; expected at least one B-<type>.")

    def check(self, dataset: TaggedDataset, label_names: Sequence[str]) -> None:
        """Refuse a tag that is not one of these."""
        if dataset.tags is not None:
            dataset.tag_ids(label_names)

    def encode(
        self, dataset: TaggedDataset, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int
    ) -> EncodedDataset:
        """A row for each sentence."""
        return dataset.encode(tokenizer, label_names, max_length)


class _SpanTask(Task):
    """A part of a text that answers a question, in SQuAD files."""

    def read(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        label_names: Sequence[str] | None = None,
        has_labels: bool = True,
    ) -> QuestionDataset:
        """A file's questions and answers."""
        refuse_columns(path, SQUAD, text, label, label_names)
        if is_hub_split(path):
            return QuestionDataset.from_hub(str(path), has_labels)
        return QuestionDataset.from_file(path, has_labels)

    def look(
        self,
        path: str | Path,
        text: Sequence[str] | str | None = None,
        label: str | None = None,
        has_labels: bool = True,
    ) -> None:
        """Refuse a file that is not there, and columns."""
        refuse_columns(path, SQUAD, text, label)
        if not is_hub_split(path):
            check_file(Path(path), "SQuAD")

    def of_texts(self, texts: Sequence[Any], tokenizer: Tokenizer) -> QuestionDataset:
        """Pairs of a question and a text."""
        for number, pair in enumerate(texts, start=1):
            is_pair = isinstance(pair, list | tuple) and len(pair) == 2
            if not is_pair or not all(isinstance(part, str) and part.strip() for part in pair):
                raise InputError(
                    f"text {number}: expected a question and the text that it is about (--pairs), got {pair!r}"
                )
        questions = [
            Question(question, text, [], f"text {number}") for number, (question, text) in enumerate(texts, start=1)
        ]
        return QuestionDataset(questions, "texts", has_labels=False)

    def label_names(self, dataset: QuestionDataset) -> list[str]:
        """No names: an answer is a part of the text."""
        return []

    def units(self, dataset: QuestionDataset) -> tuple[Sequence[Hashable], Sequence[Hashable]]:
        """The documents: a question about a text would give away the answers to others about it."""
        return [question.document for question in dataset.questions], [""] * len(dataset)

    def texts(self, dataset: QuestionDataset) -> Sequence[Hashable]:
        """Each question with its text."""
        return [(question.question, question.context) for question in dataset.questions]

    def check_training(self, dataset: QuestionDataset) -> None:
        """Refuse questions without any answer."""
        if not any(question.answers for question in dataset.questions):
            raise InputError(f"{dataset.source}: no question has an answer; expected at least one that has.")

    def check(self, dataset: QuestionDataset, label_names: Sequence[str]) -> None:
        """Nothing to refuse: a model has no labels of its own."""

    def num_rows(self, dataset: QuestionDataset, tokenizer: Callable[[], Tokenizer], max_length: int) -> int:
        """Windows of all questions."""
        return len(dataset.encode(tokenizer(), max_length).tokens)

    def encode(
        self, dataset: QuestionDataset, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int
    ) -> EncodedDataset:
        """A row for each window of a question and its text."""
        return dataset.encode(tokenizer, max_length)


def _given_columns(
    path: str | Path, text: Sequence[str] | str | None, label: str | None, has_labels: bool
) -> str | list[str]:
    """The columns of texts in a file with named columns."""
    if text is None or (label is None and has_labels):
        raise InputError(f"{path}: which columns? expected --text and --label, or text and label in a config")
    return text if isinstance(text, str) else list(text)


def refuse_columns(path: str | Path, kind: str, *given: Any) -> None:
    """Refuse names of columns, or of labels, for a file without named columns."""
    found = next((value for value in given if value is not None), None)
    if found is not None:
        raise InputError(f"{path}: {kind} are read; expected no name of a column or a label, got {found!r}")


TASKS: dict[str, Task] = {
    **{name: _TextTask(labels) for name, labels in TEXT_LABELS.items()},
    "token_classification": _TagTask(),
    "question_answering": _SpanTask(),
}


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        InputError: there is no such task.
    """
    if name not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, got {name!r}.")
    return TASKS[name]
