"""SQuAD files: questions about paragraphs, with answers that are parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.data.text.readers import read_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import parse_json, quote


@dataclass(frozen=True)
class Question:
    """A question, the text that it is about, and its answers: each a text and the character it begins at.

    `answers` is empty where the text has none. `place` is the question's place in the file. `document` is the document
    that the text is from, such as an article.
    """

    question: str
    context: str
    answers: list[tuple[str, int]]
    place: str
    document: str = ""


def read_squad(path: str | Path, has_answers: bool = True) -> list[Question]:
    """The questions of a UTF-8 file in the JSON of SQuAD 1.1 or 2.0 (`is_impossible` where there is no answer).

    Args:
        path: the file.
        has_answers: whether the answers are read; if not, the file needs none.

    Raises:
        InputError: there is no such file, it is not SQuAD's JSON, or it has no question; the text at `answer_start` is
            not the answer; a question without `is_impossible: true` has no answer. The message names the place,
            `data[0].paragraphs[2].qas[1]`.
    """
    path = Path(path)
    content = parse_json(read_text(path, "SQuAD"), str(path))
    questions = [_question(path, has_answers, *found) for found in _questions(path, content)]
    if not questions:
        raise InputError(f"{path}: no question; expected at least one")
    return questions


def _questions(path: Path, content: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every question with its place and its paragraph's text."""
    for article_place, article in _items(path, "", content, "data"):
        for paragraph_place, paragraph in _items(path, article_place, article, "paragraphs"):
            context = _text(path, paragraph_place, paragraph, "context")
            for place, question in _items(path, paragraph_place, paragraph, "qas"):
                yield place, context, question


def _question(path: Path, has_answers: bool, place: str, context: str, values: dict[str, Any]) -> Question:
    question = _text(path, place, values, "question")
    answers: list[tuple[str, int]] = []
    if has_answers:
        if not values.get("is_impossible", False):
            answers = [
                _answer(path, where, answer, context) for where, answer in _items(path, place, values, "answers")
            ]
        if not answers and values.get("is_impossible") is not True:
            raise InputError(f"{path}: {place} has no answer; expected one, or is_impossible: true")
    return Question(question, context, answers, f"{path}: {place}", place.partition(".")[0])


def questions_of(
    questions: list[Any], contexts: list[Any], answers: list[Any] | None, source: str, titles: list[Any] | None = None
) -> list[Question]:
    """The questions in columns like SQuAD's on the Hub: an answer has lists `text` and `answer_start`, maybe empty.

    `titles` are the titles of the documents that the texts are from; without them each text is a document.

    Raises:
        InputError: a value is not a text, or the text at `answer_start` is not the answer.
    """
    found = []
    for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        values = {"question": question, "context": context}
        asked, about = (_text(source, f"[{row}]", values, key) for key in ("question", "context"))
        at = []
        if answers is not None:
            given = answers[row]
            try:
                pairs = list(zip(given["text"], given["answer_start"], strict=True))
            except (KeyError, TypeError, ValueError):
                raise InputError(
                    f"{source}: [{row}].answers is {given!r}; expected lists text and answer_start of one length"
                ) from None
            at = [
                _answer(source, f"[{row}].answers[{number}]", {"text": text, "answer_start": start}, about)
                for number, (text, start) in enumerate(pairs)
            ]
        found.append(Question(asked, about, at, f"{source}: [{row}]", about if titles is None else str(titles[row])))
    if not found:
        raise InputError(f"{source}: no question; expected at least one")
    return found


def _answer(path: str | Path, place: str, values: dict[str, Any], context: str) -> tuple[str, int]:
    text, start = _text(path, place, values, "text"), values.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise InputError(
            f"{path}: {place}.answer_start is {quote(start)}; expected the character that {text!r} begins at"
        )
    found = context[start : start + len(text)]
    if found != text:
        at = context.find(text)
        there = f"it is at {at}" if at >= 0 else "it is nowhere in the context"
        raise InputError(f"{path}: {place}: the answer {text!r} is not at character {start}, {found!r} is; {there}")
    return text, start


def _items(path: Path, place: str, values: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in the list under a key, and their places."""
    inside = f"{place}.{key}" if place else key
    items = values.get(key) if isinstance(values, dict) else None
    if not isinstance(items, list):
        found = "missing" if items is None else f"a {type(items).__name__}"
        raise InputError(f"{path}: {inside} is {found}; expected a list, as in SQuAD's files")
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError(f"{path}: {inside}[{number}] is {quote(item)}; expected an object, as in SQuAD's files")
        yield f"{inside}[{number}]", item


def _text(path: str | Path, place: str, values: dict[str, Any], key: str) -> str:
    text = values.get(key)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{path}: {place}.{key} is {quote(text)}; expected a text that is not empty")
    return text
