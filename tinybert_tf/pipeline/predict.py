"""`tinybert predict`: answers texts in small batches, so that first answers come while texts are still read."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tinybert_tf.data.batches.encoded import Prediction
from tinybert_tf.data.text.readers import check_names, read_rows, text_columns, text_of
from tinybert_tf.errors import InputError
from tinybert_tf.export.predictor import Predictor, Text, check_texts

logger = logging.getLogger(__name__)

# The number of texts that are answered together: enough to group them by length, few enough for quick answers.
BATCH = 256


def texts_of_file(path: str | Path, text: str) -> Iterator[list[Text]]:
    """Yield the texts of one column, or the pairs of two, of a file in batches, empty cells included.

    Raises:
        InputError: the file, a column or a row cannot be used; columns are checked before the first row.
    """
    rows = read_rows(Path(path))
    columns = text_columns(text, rows.names)
    check_names(rows.path, columns, rows.names)
    cells = ([text_of(rows.path, line, column, row, True) for column in columns] for line, row in rows.rows)
    texts: Iterator[Text] = (cell[0] if len(cell) == 1 else (cell[0], cell[1]) for cell in cells)
    return iter(lambda: list(itertools.islice(texts, BATCH)), [])


def answer_given(
    predictor: Predictor, batches: Iterable[Sequence[Text]], top_k: int | None = None
) -> Iterator[list[Prediction]]:
    """Answer texts of the command line.

    Raises:
        InputError: a text has no answer; the message has its number.
    """
    for texts in batches:
        yield [highest(answer, top_k) for answer in predictor.answer(texts)]


def answer_all(
    predictor: Predictor, batches: Iterable[Sequence[Text]], top_k: int | None = None
) -> Iterator[list[Prediction]]:
    """Answer the texts of a file or a stream, each batch as soon as it is read.

    A text without an answer, such as an empty line, gets `{"error": reason}`.
    """
    count = failed = 0
    for texts in batches:
        problems = [_problem(predictor, text) for text in texts]
        answers = iter(predictor.answer([text for text, why in zip(texts, problems, strict=True) if why is None]))
        yield [highest(next(answers), top_k) if why is None else {"error": why} for why in problems]
        count, failed = count + len(texts), failed + sum(why is not None for why in problems)
    if failed:
        logger.info(f"predict: texts without an answer: {failed} of {count}; their lines say why")


def highest(answer: Prediction, top_k: int | None) -> Prediction:
    """Keep an answer's `top_k` highest scores or answers, the highest first; None keeps all.

    Raises:
        InputError: the answer has no scores to choose from.
    """
    if top_k is None:
        return answer
    if isinstance(answer.get("scores"), dict):
        ranked = sorted(answer["scores"].items(), key=lambda pair: -pair[1])
        return {**answer, "scores": dict(ranked[:top_k])}
    if "n_best" in answer:
        return {**answer, "n_best": answer["n_best"][:top_k]}
    raise InputError(f"--top-k: expected a model that scores labels or answers, got one that gives {', '.join(answer)}")


def _problem(predictor: Predictor, text: Text) -> str | None:
    """Return the reason why a text has no answer; None if it has one."""
    try:
        check_texts([text])
        predictor.task.of_texts([text], predictor.tokenizer)
    except InputError as error:
        return str(error).removeprefix("text 1: ").removeprefix("text 1 ")
    return None
