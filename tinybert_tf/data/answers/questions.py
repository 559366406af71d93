"""Questions about texts: from files to tokens, and from logits back to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybert_tf.data.answers.squad import Question, questions_of, read_squad
from tinybert_tf.data.batches.encoded import EncodedDataset, Prediction, softmax
from tinybert_tf.data.text.hub_datasets import columns_of, load_split
from tinybert_tf.data.tokenizers.alignment import Windows, encode_windows
from tinybert_tf.data.tokenizers.tokenizer import Tokenizer, as_tokenizer
from tinybert_tf.short_repr import short_repr

if TYPE_CHECKING:
    from tinybert_tf.data.batches.batches import Batches

# As in BERT's own script for SQuAD: how many best starts and ends are paired, and the tokens of the longest answer.
N_BEST = 20
LONGEST_ANSWER = 30
# How many of the best answers are written.
N_WRITTEN = 5
# The first character of an answer in its text, and the one after its last.
Span = tuple[int, int]


@dataclass(frozen=True)
class QuestionDataset:
    """Questions, the texts that they are about, and their answers; `has_labels`: whether answers were read.

    Example:
        >>> question = Question("who came?", "ann came", [("ann", 0)], "questions[0]")
        >>> len(QuestionDataset([question], "questions"))
        1
    """

    questions: list[Question]
    source: str
    has_labels: bool = True

    def __len__(self) -> int:
        return len(self.questions)

    def __repr__(self) -> str:
        return short_repr(self, source=self.source, questions=len(self.questions), has_labels=self.has_labels)

    @classmethod
    def from_file(cls, path: str | Path, has_answers: bool = True) -> QuestionDataset:
        """Read a SQuAD file, 1.1 or 2.0.

        Raises:
            InputError: see `tinybert_tf.data.answers.squad.read_squad`.
        """
        return cls(read_squad(path, has_answers), str(path), has_answers)

    @classmethod
    def from_huggingface(cls, dataset: Any, has_answers: bool = True, source: str = "dataset") -> QuestionDataset:
        """Take SQuAD's columns of a `datasets.Dataset`: `question`, `context`, `answers` (`text`, `answer_start`).

        `source` is the name of the data set in messages.

        Raises:
            InputError: there is no such column; see also `tinybert_tf.data.answers.squad.questions_of`.
        """
        names = ("question", "context", *(["answers"] if has_answers else []))
        questions, contexts, *answers = columns_of(dataset, *names, place=f"{source}: ")
        titles = columns_of(dataset, "title")[0] if "title" in dataset.column_names else None
        found = questions_of(questions, contexts, answers[0] if answers else None, source, titles)
        return cls(found, source, has_answers)

    @classmethod
    def from_hub(cls, split: str, has_answers: bool = True) -> QuestionDataset:
        """SQuAD's columns of a data set of the Hugging Face Hub, `hub:owner/name:split`.

        Raises:
            InputError: see `tinybert_tf.data.text.hub_datasets.load_split` and `from_huggingface`.
        """
        return cls.from_huggingface(load_split(split), has_answers, split)

    def take(self, rows: Sequence[int] | np.ndarray) -> QuestionDataset:
        """A data set of some of these questions, by number."""
        return replace(self, questions=[self.questions[row] for row in rows])

    def encode(self, tokenizer: Tokenizer, max_length: int) -> EncodedQuestions:
        """Rows of a question and a part of its text, each with the first and the last token of the first answer.

        Both are 0, the [CLS] token, where the part does not hold the whole answer.

        Raises:
            InputError: `max_length` leaves no room for question and text.
        """
        pairs = [(question.question, question.context) for question in self.questions]
        windows = encode_windows(tokenizer, pairs, max_length)
        labels = self._positions(windows) if self.has_labels else None
        return EncodedQuestions(windows.tokens, labels, tokenizer.pad_token_id, self, windows)

    def batches(
        self,
        tokenizer: Any,
        batch_size: int = 32,
        seed: int | None = None,
        max_length: int = 384,
        group_by_length: bool | None = None,
        batch_tokens: int | None = None,
        padded_lengths: Sequence[int] | None = None,
    ) -> Batches:
        """Tokenize and cut into batches, as `TextDataset.batches` does; labels are positions, `(batch, 2)` int32."""
        tokenizer = as_tokenizer(tokenizer)
        encoded = self.encode(tokenizer, max_length)
        return encoded.batches(batch_size, seed, group_by_length, batch_tokens, padded_lengths)

    def _positions(self, windows: Windows) -> np.ndarray:
        positions = np.zeros((len(windows.pairs), 2), np.int32)
        ends = windows.tokens.lengths - 1  # the [SEP] behind the part
        for row, (pair, begin, part) in enumerate(zip(windows.pairs, windows.begins, windows.parts, strict=True)):
            tokens = self._answer_tokens(pair, windows.spans[pair])
            if len(tokens) and part <= tokens[0] and begin + tokens[-1] - part < ends[row]:
                positions[row] = begin + tokens[0] - part, begin + tokens[-1] - part
        return positions

    def _answer_tokens(self, pair: int, spans: np.ndarray) -> np.ndarray:
        """The numbers of the tokens that the first answer is made of, in its text."""
        answers = self.questions[pair].answers
        if not answers:
            return np.array([], np.int64)
        text, start = answers[0]
        return np.flatnonzero((spans[:, 0] < start + len(text)) & (spans[:, 1] > start))


@dataclass(frozen=True)
class EncodedQuestions(EncodedDataset):
    """Questions as windows: an answer is the best span of all windows of its question, or none.

    A span's score is the start logit of its first token plus the end logit of its last. The score of "no answer" is
    the sum of the [CLS] token's two logits, the least of all windows (arXiv 1810.04805, section 4.3). In a file that
    answers every question, as SQuAD 1.1 does, "no answer" is not a candidate.
    """

    dataset: QuestionDataset
    windows: Windows

    @property
    def expected(self) -> list[list[str]]:
        """The right answers to each question; the empty text where it has none."""
        return [[text for text, _ in question.answers] or [""] for question in self.dataset.questions]

    def answers(self, logits: np.ndarray) -> list[str]:
        """The best answer to each question, `''` for "no answer"."""
        return [self._written(pair, spans[0][0]) for pair, spans in enumerate(self.best(logits))]

    def predictions(self, logits: np.ndarray) -> list[Prediction]:
        """`{"answer", "score", "start", "end", "n_best": [{the same}, ...]}`, the best five in `n_best`.

        A score is a fraction, by softmax over the twenty best. `start` and `end` count characters of the text, and are
        None for "no answer".
        """
        predictions = []
        for pair, spans in enumerate(self.best(logits)):
            scores = softmax(np.array([worth for _, worth in spans]))
            n_best = []
            for (span, _), score in zip(spans[:N_WRITTEN], scores, strict=False):
                start, end = span or (None, None)
                answer = {"answer": self._written(pair, span), "score": float(score), "start": start, "end": end}
                n_best.append(answer)
            predictions.append({**n_best[0], "n_best": n_best})
        return predictions

    def best(self, logits: np.ndarray) -> list[list[tuple[Span | None, float]]]:
        """The best spans of each question and their scores, the best first; None stands for "no answer"."""
        worth: list[dict[Span, float]] = [{} for _ in range(len(self.dataset))]
        none = np.full(len(self.dataset), np.inf)
        for row, (pair, begin, part) in enumerate(
            zip(self.windows.pairs, self.windows.begins, self.windows.parts, strict=True)
        ):
            none[pair] = min(none[pair], float(logits[row, 0].sum()))
            of_part = logits[row, begin : self.tokens.lengths[row] - 1]
            for first, last, value in _best_spans(of_part):
                spans = self.windows.spans[pair]
                span = int(spans[part + first, 0]), int(spans[part + last, 1])
                worth[pair][span] = max(value, worth[pair].get(span, -np.inf))
        found: list[list[tuple[Span | None, float]]] = []
        all_answered = self.dataset.has_labels and all(question.answers for question in self.dataset.questions)
        for pair, values in enumerate(worth):
            candidates: list[tuple[Span | None, float]] = [*values.items()]
            if not (all_answered and values):
                candidates.append((None, float(none[pair])))
            found.append(sorted(candidates, key=lambda candidate: -candidate[1])[:N_BEST])
        return found

    def _written(self, pair: int, span: Span | None) -> str:
        return "" if span is None else self.dataset.questions[pair].context[slice(*span)]


def _best_spans(logits: np.ndarray) -> list[tuple[int, int, float]]:
    """The best spans by the logits of a part, `(tokens, 2)`: first token, last token, score."""
    starts, ends = (np.argsort(-logits[:, column], kind="stable")[:N_BEST] for column in (0, 1))
    worth = logits[starts, 0][:, None] + logits[ends, 1]  # (starts, ends)
    tokens = ends - starts[:, None] + 1
    rows, columns = np.nonzero((tokens >= 1) & (tokens <= LONGEST_ANSWER))
    best = np.argsort(-worth[rows, columns], kind="stable")[:N_BEST]
    return [
        (int(starts[row]), int(ends[column]), float(worth[row, column]))
        for row, column in zip(rows[best], columns[best], strict=True)
    ]
