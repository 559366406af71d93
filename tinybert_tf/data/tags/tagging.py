"""Sentences whose words have tags: from files to tokens, and from logits back to tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybert_tf.data.batches.encoded import EncodedDataset, Prediction, softmax
from tinybert_tf.data.batches.token_labels import NO_LABEL, TokenLabels
from tinybert_tf.data.tags.conll import OUTSIDE, check_bio, read_conll
from tinybert_tf.data.text.hub_datasets import columns_of, load_split
from tinybert_tf.data.tokenizers.alignment import encode_words
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, as_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr

if TYPE_CHECKING:
    from tinybert_tf.data.batches.batches import Batches

Span = tuple[int, int]


@dataclass(frozen=True)
class TaggedDataset:
    """Sentences as lists of words, and a BIO tag for each word; `tags` is None where there are none.

    `source` and `row_numbers` give the origin of each sentence: the line of its first word, or its row, which
    `place_format` writes in messages. `texts` are the sentences as they were written, and word `j` of sentence `i` is
    `texts[i][start:end]` with `start, end = spans[i][j]`; without them, a space separates the words.

    Example:
        >>> dataset = TaggedDataset([["in", "New", "York"]], [["O", "B-place", "I-place"]], "sentences", [1])
        >>> dataset.label_names()
        ['O', 'B-place', 'I-place']
    """

    words: list[list[str]]
    tags: list[list[str]] | None
    source: str
    row_numbers: list[int]
    texts: list[str] | None = None
    spans: list[list[Span]] | None = None
    place_format: str | None = None

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        return short_repr(
            self, source=self.source, sentences=len(self), has_labels=self.has_labels, words=self.words[:1]
        )

    @property
    def has_labels(self) -> bool:
        """Whether there are tags."""
        return self.tags is not None

    @classmethod
    def from_file(cls, path: str | Path, has_tags: bool = True) -> TaggedDataset:
        """Read a CoNLL file.

        Raises:
            InputError: see `tinybert_tf.data.tags.conll.read_conll`.
        """
        sentences = read_conll(path, has_tags)
        tags = [sentence.tags for sentence in sentences] if has_tags else None
        lines = [sentence.line for sentence in sentences]
        return cls([sentence.words for sentence in sentences], tags, str(path), lines)

    @classmethod
    def from_huggingface(
        cls,
        dataset: Any,
        text: str = "tokens",
        label: str | None = "ner_tags",
        label_names: Sequence[str] | None = None,
        source: str = "dataset",
    ) -> TaggedDataset:
        """Take columns of a `datasets.Dataset`: lists of words, and lists of BIO tags or of their numbers.

        Without `label` tags are not read. `label_names` are the tags in the order of their numbers, for columns without
        `ClassLabel`. `source` is the name of the data set in messages.

        Raises:
            InputError: there is no such column, a row is not a list of words with a tag each, or a tag is not BIO.
        """
        columns = columns_of(dataset, text, *([label] if label else []), place=f"{source}: ")
        feature = getattr((dataset.features or {}).get(label), "feature", None)
        names = getattr(feature, "names", None) or label_names
        sentences = cls(columns[0], None, source, list(range(len(columns[0]))), place_format="{source}[{row}]")
        tags = []
        for row, (words, *given) in enumerate(zip(*columns, strict=True)):
            place = sentences.place(row)
            is_list = isinstance(words, list) and len(words) > 0
            if not is_list or not all(isinstance(word, str) and word for word in words):
                raise InputError(f"{place}.{text} is {words!r}; expected a list of words")
            if label is not None:
                tags.append(_tag_names(given[0], names, len(words), f"{place}.{label}"))
        if not columns[0]:
            raise InputError(f"{source}: no sentence; expected at least one")
        return replace(sentences, tags=None if label is None else tags)

    @classmethod
    def from_hub(
        cls,
        split: str,
        text: str = "tokens",
        label: str | None = "ner_tags",
        label_names: Sequence[str] | None = None,
    ) -> TaggedDataset:
        """Columns of a data set of the Hugging Face Hub, `hub:owner/name:split` or `hub:owner/name/config:split`.

        Raises:
            InputError: see `tinybert_tf.data.text.hub_datasets.load_split` and `from_huggingface`.
        """
        return cls.from_huggingface(load_split(split), text, label, label_names, split)

    @classmethod
    def from_texts(cls, texts: Sequence[str], tokenizer: Tokenizer) -> TaggedDataset:
        """Split texts into the words that the tokenizer sees: at spaces and punctuation."""
        spans = [[(start, end) for start, end, _, _ in tokenizer.words(text)[1]] for text in texts]
        words = [[text[start:end] for start, end in row] for text, row in zip(texts, spans, strict=True)]
        return cls(words, None, "texts", list(range(1, len(texts) + 1)), list(texts), spans)

    def take(self, rows: Sequence[int] | np.ndarray) -> TaggedDataset:
        """A data set of some of these sentences, by number."""

        def taken(values: Any) -> Any:
            return None if values is None else [values[row] for row in rows]

        parts = {name: taken(getattr(self, name)) for name in ("words", "tags", "row_numbers", "texts", "spans")}
        return replace(self, **parts)

    def label_names(self) -> list[str]:
        """`O`, then `B-type` and `I-type` of every type that occurs, sorted."""
        types = {tag.partition("-")[2] for tags in self.tags or [] for tag in tags if tag != OUTSIDE}
        return [OUTSIDE, *(f"{prefix}-{kind}" for kind in sorted(types) for prefix in "BI")]

    def tag_ids(self, label_names: Sequence[str]) -> list[list[int]]:
        """Each word's tag as its index in `label_names`.

        Raises:
            InputError: a tag is not one of them, or the data set has no tags.
        """
        if self.tags is None:
            raise InputError(f"{self.source}: was read without tags")
        number_of = {name: number for number, name in enumerate(label_names)}
        for row, tags in enumerate(self.tags):
            for word, tag in enumerate(tags):
                if tag not in number_of:
                    shown = ", ".join(label_names[:20]) + (", ..." if len(label_names) > 20 else "")
                    raise InputError(f"{self.place(row, word)}: tag {tag!r}; expected one of {shown}")
        return [[number_of[tag] for tag in tags] for tags in self.tags]

    def place(self, row: int, word: int = 0) -> str:
        """The place of a word, for messages: its line in a file, or the sentence's row."""
        if self.place_format is None:
            return f"{self.source}:{self.row_numbers[row] + word}"
        return self.place_format.format(source=self.source, row=self.row_numbers[row])

    def written(self, row: int) -> tuple[str, list[Span]]:
        """A sentence's text, and the first and end character of each word."""
        if self.texts is not None and self.spans is not None:
            return self.texts[row], self.spans[row]
        ends = np.cumsum([len(word) + 1 for word in self.words[row]]) - 1
        spans = [(int(end) - len(word), int(end)) for word, end in zip(self.words[row], ends, strict=True)]
        return " ".join(self.words[row]), spans

    def encode(self, tokenizer: Tokenizer, label_names: Sequence[str], max_length: int) -> EncodedTags:
        """Tokens, and the label of each word at its first piece.

        Raises:
            InputError: `max_length` leaves no room for text; see also `tag_ids`.
        """
        tag_ids = None if self.tags is None else self.tag_ids(label_names)
        tokens, words = encode_words(tokenizer, self.words, max_length)
        labels = None
        if tag_ids is not None:
            values = np.full(len(words), NO_LABEL, np.int32)
            for row, (start, end) in enumerate(zip(tokens.offsets, tokens.offsets[1:], strict=False)):
                of_row = words[start:end]
                values[start:end][of_row >= 0] = np.array(tag_ids[row], np.int32)[of_row[of_row >= 0]]
            labels = TokenLabels(values, tokens.offsets)
        return EncodedTags(tokens, labels, tokenizer.pad_token_id, self, words, label_names)

    def batches(
        self,
        tokenizer: Any,
        batch_size: int = 32,
        seed: int | None = None,
        max_length: int = 128,
        label_names: Sequence[str] | None = None,
        group_by_length: bool | None = None,
        batch_tokens: int | None = None,
        padded_lengths: Sequence[int] | None = None,
    ) -> Batches:
        """Tokenize and cut into batches, as `TextDataset.batches` does.

        Labels are `(batch, length)` int32, -100 where a token is not the first piece of a word.
        """
        tokenizer = as_tokenizer(tokenizer)
        encoded = self.encode(tokenizer, self.label_names() if label_names is None else label_names, max_length)
        return encoded.batches(batch_size, seed, group_by_length, batch_tokens, padded_lengths)


@dataclass(frozen=True)
class EncodedTags(EncodedDataset):
    """Sentences as tokens; a word's tag is the answer at its first piece, `O` where the word was cut off.

    `words`: `(tokens,)` int32, the number of the word whose first piece a token is, else -1.
    """

    dataset: TaggedDataset
    words: np.ndarray
    label_names: Sequence[str]

    @property
    def classes(self) -> Sequence[str]:
        """The names of the logits."""
        return self.label_names

    @property
    def expected(self) -> Any:
        """The tags of each sentence."""
        return self.dataset.tags

    def answers(self, logits: np.ndarray) -> list[list[str]]:
        """The tags of each sentence."""
        numbers = self._by_word(logits.argmax(axis=-1), missing=-1)
        return [[self.label_names[number] if number >= 0 else OUTSIDE for number in row] for row in numbers]

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        """`{"tokens": [...], "tags": [...], "scores": [...], "entities": [{"type", "text", "start", "end"}, ...]}`.

        A score is the fraction of the chosen tag, by softmax; `start` and `end` count characters.
        """
        scores = self._by_word(softmax(logits).max(axis=-1), missing=0)
        return [
            {
                "tokens": self.dataset.words[row],
                "tags": tags,
                "scores": [float(score) for score in scores[row]],
                "entities": entities(tags, *self.dataset.written(row)),
            }
            for row, tags in enumerate(self.answers(logits))
        ]

    def _by_word(self, values: np.ndarray, missing: int) -> list[np.ndarray]:
        """The values of words from those of tokens, `(rows, longest row)`; `missing` for a word that was cut off."""
        found = []
        for row, words in enumerate(self.dataset.words):
            of_row = self.words[self.tokens.offsets[row] : self.tokens.offsets[row + 1]]
            of_words = np.full(len(words), missing, values.dtype)
            of_words[of_row[of_row >= 0]] = values[row, : len(of_row)][of_row >= 0]
            found.append(of_words)
        return found


def _tag_names(tags: Any, names: Sequence[str] | None, count: int, place: str) -> list[str]:
    """A sentence's tags as BIO tags; numbers stand for `names`."""
    if not isinstance(tags, list) or len(tags) != count:
        raise InputError(f"{place} is {tags!r}; expected a tag for each of {count} words")
    if names is not None and not all(isinstance(tag, str) for tag in tags):
        wrong = [tag for tag in tags if not isinstance(tag, int) or tag not in range(len(names))]
        if wrong:
            raise InputError(f"{place}: tag {wrong[0]!r}; expected 0 to {len(names) - 1}")
        tags = [names[tag] for tag in tags]
    tags = [str(tag) for tag in tags]
    check_bio(tags, lambda word: f"{place}[{word}]")
    return tags


def entities(tags: Sequence[str], text: str, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The entities of a sentence, as the CoNLL evaluation sees them: an `I-type` without a `B-type` begins one."""
    found: list[tuple[str, int, int]] = []
    open_type = ""
    for word, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if kind and prefix != "B" and kind == open_type:
            found[-1] = (*found[-1][:2], word)
        elif kind:
            found.append((kind, word, word))
        open_type = kind
    return [
        {"type": kind, "text": text[spans[first][0] : spans[last][1]], "start": spans[first][0], "end": spans[last][1]}
        for kind, first, last in found
    ]
