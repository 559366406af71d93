"""Columns of a .tsv, .csv or .jsonl file, with messages that name the line."""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.data.text.label_names import join_cell, label_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import parse_json, quote

# The largest number that the C type of csv's limit holds on every system.
LONGEST_CELL = (1 << 31) - 1
# Bytes in which a header, or the first row, is looked for; if it is longer, the whole file is read.
BEGINNING = 1 << 16


@dataclass(frozen=True)
class Table:
    """Columns of text: `table["sentence"]` is a list of str; `row_numbers` are the line numbers in the file, from 1."""

    columns: dict[str, list[str]]
    row_numbers: list[int]

    def __getitem__(self, column: str) -> list[str]:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.row_numbers)


@dataclass(frozen=True)
class Rows:
    """The rows of a file, iterated once: the line number of each, and its fields by name.

    `names` are the columns: the header's, or the keys of the first object of a `.jsonl` file.
    """

    path: Path
    names: list[str]
    rows: Iterator[tuple[int, dict[str, Any]]]

    def columns(self, columns: Sequence[str], may_be_empty: Sequence[str] = (), labels: Sequence[str] = ()) -> Table:
        """The named columns of every row, `labels` among them; raises InputError as `read_columns` does."""
        check_names(self.path, columns, self.names)
        found: dict[str, list[str]] = {column: [] for column in columns}
        row_numbers: list[int] = []
        for line, row in self.rows:
            for column, values in found.items():
                values.append(text_of(self.path, line, column, row, column in may_be_empty, column in labels))
            row_numbers.append(line)
        return Table(found, row_numbers)


def read_columns(path: str | Path, columns: Sequence[str], may_be_empty: Sequence[str] = ()) -> Table:
    """The named columns of every row of a UTF-8 file, by its suffix.

    `.tsv`: a header line, tabs, no quoting. `.csv`: a header line, commas, double quotes as RFC 4180 has them.
    `.jsonl`: one JSON object a line, with strings, numbers (taken as their digits), and, in the columns of
    `may_be_empty`, lists of labels.

    Raises:
        InputError: the file, its suffix, a column or a row cannot be used; a value is empty in a column that is not one
            of `may_be_empty`.
    """
    return read_rows(Path(path)).columns(columns, may_be_empty)


def column_names(path: str | Path) -> list[str]:
    """The columns of a file, from its beginning: the header, or the keys of the first object of a `.jsonl` file.

    Raises:
        InputError: see `read_rows`.
    """
    path = Path(path)
    reader = _reader_of(path)
    check_file(path, KIND)
    with contextlib.suppress(InputError, OSError, UnicodeDecodeError), path.open("rb") as file:
        whole_lines = file.read(BEGINNING).rpartition(b"\n")[0].decode("utf-8-sig")
        if whole_lines.strip() and (first := next(reader(path, whole_lines), None)) is not None:
            return list(first[1])
    return read_rows(path).names  # a longer header, or a file with an error in it


def check_columns(path: str | Path, text: str | Sequence[str], label: str | None = None) -> None:
    """Refuse a file that does not exist or lacks these columns; only its beginning is read.

    Raises:
        InputError: see `read_rows`; `text` does not name one or two columns of the file, or `label` none.
    """
    names = column_names(path)
    check_names(Path(path), [*text_columns(text, names), *([] if label is None else [label])], names)


def text_columns(text: str | Sequence[str], available: Sequence[str]) -> list[str]:
    """The one or two columns that `text` names: `"a"`, `"a,b"` (unless a column has this name) or `["a", "b"]`.

    Raises:
        InputError: it names none, more than two, or one of them twice.
    """
    columns = [text] if isinstance(text, str) else list(text)
    if isinstance(text, str) and "," in text and text not in available:
        columns = [column.strip() for column in text.split(",")]
    if len(columns) not in (1, 2) or len(set(columns)) < len(columns):
        raise InputError(f"text={text!r} names {len(columns)} columns; expected one, or two different ones for pairs")
    return columns


def join_columns(columns: list[list[str]]) -> list[str] | list[tuple[str, str]]:
    """The texts of one column, or the pairs of two."""
    return columns[0] if len(columns) == 1 else list(zip(columns[0], columns[1], strict=True))


def read_rows(path: Path) -> Rows:
    """The rows of a file, by its suffix; the first row is read at once, so that there is one.

    Raises:
        InputError: the file or its suffix cannot be used, or the file has no row; later, a row cannot be used.
    """
    reader = _reader_of(path)
    # Empty lines at the end of a file are an editor's habit, not rows.
    text = read_text(path, KIND).rstrip("\r\n")
    if not text.strip():
        raise InputError(f"{path}: the file is empty; expected a header line and rows")
    rows = reader(path, text)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: a header line and no rows; expected at least one row")
    return Rows(path, list(first[1]), itertools.chain([first], rows))


def read_text(path: Path, kind: str) -> str:
    """The text of a UTF-8 file; messages call it a `kind` file.

    Raises:
        InputError: there is no such file, or it is not UTF-8 text.
    """
    check_file(path, kind)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise InputError(f"{path}:{line}: a zero byte, so this is not a text file; expected UTF-8 text")
    try:
        return content.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8; expected UTF-8 text") from error


def check_file(path: Path, kind: str) -> None:
    """Refuse a path that is not a file, without opening it; messages call it a `kind` file."""
    if path.is_dir():
        raise InputError(f"{path}: is a directory; expected a {kind} file")
    if not path.exists():
        raise InputError(f"{path}: no such file")


def _read_tsv(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    # Not splitlines(): a sentence may hold a form feed or U+2028.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return _with_header(path, ((number, line.split("\t")) for number, line in enumerate(lines, start=1)), "tab")


def _read_csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    return _with_header(path, _csv_records(path, text), "comma")


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    # The csv module refuses cells above 131,072 characters, in the whole process; ours may be as long as the file.
    csv.field_size_limit(max(csv.field_size_limit(), min(len(text), LONGEST_CELL)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1  # a quoted field may span lines: messages name the record's first line
    except csv.Error as error:
        raise InputError(f"{path}:{line}: not valid CSV ({error})") from error


def _with_header(
    path: Path, records: Iterator[tuple[int, list[str]]], separator: str
) -> Iterator[tuple[int, dict[str, str]]]:
    _, names = next(records)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}:1: column {quote(repeated)} is there twice; expected each name once")
    for line, fields in records:
        if len(fields) != len(names):
            raise InputError(
                f"{path}:{line}: {len(fields)} {separator}-separated fields, expected {len(names)} as in the header"
            )
        yield line, dict(zip(names, fields, strict=True))


def _read_jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        row = parse_json(content, f"{path}:{line}")
        if not isinstance(row, dict):
            raise InputError(f"{path}:{line}: expected a JSON object, got {quote(row)}")
        yield line, row


_Reader = Callable[[Path, str], Iterator[tuple[int, dict[str, Any]]]]
_READERS: dict[str, _Reader] = {
    ".tsv": _read_tsv,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}


KIND = ", ".join(_READERS)


def _reader_of(path: Path) -> _Reader:
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; expected one of {KIND}")
    return _READERS[path.suffix.lower()]


def has_columns(path: str | Path) -> bool:
    """Whether a file has named columns, by its suffix."""
    return Path(path).suffix.lower() in _READERS


def check_names(path: Path, columns: Sequence[str], names: Sequence[str]) -> None:
    """Refuse the first of `columns` that is not among a file's `names`."""
    for column in columns:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f"; did you mean {quote(close[0])}?" if close else ""
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(map(quote, names))}{hint}")


def text_of(path: Path, line: int, column: str, row: dict[str, Any], may_be_empty: bool, is_label: bool = False) -> str:
    """A value as text: a string that is not blank, the digits of a number, the cell of a list, or a label as it is."""
    if column not in row:
        raise InputError(f"{path}:{line}: no key {column!r}; it has {', '.join(map(quote, row))}")
    value = row[column]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf:
        return str(value)
    if isinstance(value, list) and may_be_empty:
        return join_cell(value, f"{path}:{line}")
    if is_label:
        return label_text(value, f"{path}:{line}", may_be_empty)
    if not isinstance(value, str):
        raise InputError(f"{path}:{line}: {column!r} is {quote(value)}; expected a string or a number")
    if not (value.strip() or may_be_empty):
        raise InputError(f"{path}:{line}: {column!r} is empty; expected a text")
    return value
