"""CoNLL files: a token and its tag in a line, an empty line between sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinybert_tf.data.text.readers import read_text
from tinybert_tf.errors import InputError

OUTSIDE = "O"
# The beginning of the line that begins a document in CoNLL-2003's files.
DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Sentence:
    """Words, their tags (none if they were not read), and the line of the first word, from 1."""

    words: list[str]
    tags: list[str]
    line: int


def read_conll(path: str | Path, has_tags: bool = True) -> list[Sentence]:
    """The sentences of a UTF-8 file: a line's first column is a token, its last the tag; tabs or spaces separate them.

    Tags are BIO: `O` outside of an entity, `B-type` at its first word, `I-type` at its others. Lines that begin with
    `-DOCSTART-` are skipped, and so are comments: lines of one column that begin with `#`, before the first word of a
    sentence, in a file whose other lines have several columns. A token may be a blank, such as U+00A0.

    Args:
        path: the file.
        has_tags: whether the tags are read; if not, a line may be a token alone.

    Raises:
        InputError: there is no such file, or no sentence in it; a line has too few columns, or not as many as the
            first; a tag is not BIO, or an `I-type` does not continue an entity of its type.
    """
    path = Path(path)
    sentences: list[Sentence] = []
    num_columns, example = 0, 0
    for first, lines, rows in _blocks(read_text(path, "CoNLL")):
        for number, row in enumerate(rows, start=first):
            if len(row) < 1 + has_tags or not row[0] or (has_tags and not row[-1].strip()):
                line = "a token and its tag, with a tab or a space between" if has_tags else "a token"
                raise InputError(f"{path}:{number}: {lines[number - first]!r}; expected {line}")
            num_columns, example = num_columns or len(row), example or number
            if has_tags and len(row) != num_columns:
                raise InputError(
                    f"{path}:{number}: {lines[number - first]!r} has {len(row)} columns; expected {num_columns}, "
                    f"as line {example} has"
                )
        tags = [row[-1] for row in rows] if has_tags else []
        check_bio(tags, partial(_line, path, first))
        sentences.append(Sentence([row[0] for row in rows], tags, first))
    if not sentences:
        raise InputError(f"{path}: no sentence; expected lines of a token and its tag, empty lines between sentences")
    return sentences


def _blocks(text: str) -> Iterator[tuple[int, list[str], list[list[str]]]]:
    """The lines of each sentence, their columns, and the number of the first line."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    # In a file with tabs, the words of a comment are not columns.
    rows = [[line] if line.startswith("#") and "\t" in text and "\t" not in line else _columns(line) for line in lines]
    has_comments = any(len(row) > 1 for row in rows)  # in a file of one column `#1` may be a token
    block: list[int] = []
    for place, line in enumerate([*lines, ""]):
        is_comment = has_comments and not block and line.startswith("#") and len(rows[place]) == 1
        if line.strip() and not line.startswith(DOCUMENT) and not is_comment:
            block.append(place)
        elif block:
            yield block[0] + 1, [lines[at] for at in block], [rows[at] for at in block]
            block = []


def _line(path: Path, first: int, word: int) -> str:
    return f"{path}:{first + word}"


def _columns(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]


def check_bio(tags: Sequence[str], place: Callable[[int], str]) -> None:
    """Refuse a sentence's tags if they are not BIO; `place` gives the place of a word's tag."""
    before = OUTSIDE
    for word, tag in enumerate(tags):
        prefix, dash, kind = tag.partition("-")
        if tag != OUTSIDE and not (prefix in ("B", "I") and dash and kind):
            raise InputError(f"{place(word)}: tag {tag!r}; expected O, B-<type> or I-<type>")
        if prefix == "I" and before not in (f"B-{kind}", tag):
            raise InputError(
                f"{place(word)}: tag {tag!r} after {before!r}; it continues an entity: expected B-{kind} or I-{kind} "
                f"before it, or {f'B-{kind}'!r} here"
            )
        before = tag
