"""Columns of a .tsv, .csv or .jsonl file, with messages that name the line."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinybert_tf.data.text.label_names import join_cell
from tinybert_tf.errors import InputError

# What JSON can escape, and no text can hold: one half of a character of two.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# Names and values in a message are cut here: a file without a header has whole sentences for column names.
LONGEST_QUOTE = 40


@dataclass(frozen=True)
class Table:
    """Columns of text: `table["sentence"]` is a list of str; `row_numbers` are the line numbers in the file, from 1."""

    columns: dict[str, list[str]]
    row_numbers: list[int]

    def __getitem__(self, column: str) -> list[str]:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.row_numbers)


def read_columns(path: str | Path, columns: Sequence[str], may_be_empty: Sequence[str] = ()) -> Table:
    """The named columns of every row of a UTF-8 file, by its suffix.

    `.tsv`: a header line, tabs, no quoting. `.csv`: a header line, commas, double quotes as RFC 4180 has them.
    `.jsonl`: one JSON object a line; strings, numbers as their digits, in columns that `may_be_empty` lists of labels.

    Raises:
        InputError: the file, its suffix, a column, or a row cannot be used; an empty value counts as such a row, but in
            columns that `may_be_empty`.
    """
    path = Path(path)
    rows = read_rows(path)
    found: dict[str, list[str]] = {column: [] for column in columns}
    row_numbers: list[int] = []
    for line, row in rows:
        if not row_numbers:
            _check_columns(path, columns, list(row))
        for column, values in found.items():
            values.append(_text(path, line, column, row, column in may_be_empty))
        row_numbers.append(line)
    return Table(found, row_numbers)


def column_names(path: str | Path) -> list[str]:
    """The columns of a file: its header, or the keys of the first object of a `.jsonl` file."""
    _, row = next(read_rows(Path(path)))
    return list(row)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and fields by name of every row; the first row is read, so that there is one."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; {', '.join(_READERS)} are accepted")
    # Empty lines at the end of a file are an editor's habit, not rows.
    text = read_text(path, ", ".join(_READERS)).rstrip("\r\n")
    if not text.strip():
        raise InputError(f"{path}: the file is empty; a header line and rows are accepted")
    rows = reader(path, text)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: a header line and no rows; at least one row is accepted")
    yield first
    yield from rows


def read_text(path: Path, kind: str) -> str:
    """The text of a UTF-8 file, of the `kind` that messages name.

    Raises:
        InputError: there is no such file, or it is none of text.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a directory; a {kind} file is accepted")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise InputError(f"{path}:{line}: a zero byte, so this is not a text file; UTF-8 text is accepted")
    try:
        return content.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise InputError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8; UTF-8 text is accepted") from error


def _read_tsv(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    # Not splitlines(): a sentence may hold a form feed or U+2028.
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return _with_header(path, ((number, line.split("\t")) for number, line in enumerate(lines, start=1)), "tab")


def _read_csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    return _with_header(path, _csv_records(path, text), "comma")


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1  # a quoted field may span lines: a record is known by its first
    except csv.Error as error:
        raise InputError(f"{path}:{line}: not valid CSV ({error})") from error


def _with_header(
    path: Path, records: Iterator[tuple[int, list[str]]], separator: str
) -> Iterator[tuple[int, dict[str, str]]]:
    _, names = next(records)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}:1: column {_quote(repeated)} is there twice; each name once is accepted")
    for line, fields in records:
        if len(fields) != len(names):
            raise InputError(
                f"{path}:{line}: {len(fields)} {separator}-separated fields, expected {len(names)} as in the header"
            )
        yield line, dict(zip(names, fields, strict=True))


def _read_jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        try:
            row = json.loads(content)
        except ValueError as error:
            raise InputError(f"{path}:{line}: not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}:{line}: a JSON object is accepted, found {_quote(row)}")
        if r"\ud" in content.lower() and (lone := LONE_SURROGATE.search(json.dumps(row, ensure_ascii=False))):
            raise InputError(f"{path}:{line}: \\u{ord(lone[0]):04x} is half a character; whole ones are accepted")
        yield line, row


_READERS: dict[str, Callable[[Path, str], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".tsv": _read_tsv,
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}


def _check_columns(path: Path, columns: Sequence[str], names: list[str]) -> None:
    for column in columns:
        if column not in names:
            close = difflib.get_close_matches(column, names, n=1)
            hint = f"; did you mean {_quote(close[0])}?" if close else ""
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(map(_quote, names))}{hint}")


def _text(path: Path, line: int, column: str, row: dict[str, Any], may_be_empty: bool) -> str:
    """One value as text: a string that is not blank, or a number's digits; of a list, its cell."""
    if column not in row:
        raise InputError(f"{path}:{line}: no key {column!r}; it has {', '.join(map(_quote, row))}")
    value = row[column]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and may_be_empty:
        return join_cell(value, f"{path}:{line}")
    if not isinstance(value, str):
        raise InputError(f"{path}:{line}: {column!r} is {_quote(value)}; a string or a number is accepted")
    if not (value.strip() or may_be_empty):
        raise InputError(f"{path}:{line}: {column!r} is empty; a text is accepted")
    return value


def _quote(value: Any) -> str:
    """`repr`, or JSON's spelling for what is not a string, short enough for one line of a message."""
    quoted = repr(value) if isinstance(value, str) else json.dumps(value)
    return quoted if len(quoted) <= LONGEST_QUOTE else f"{quoted[: LONGEST_QUOTE - 4]}...{quoted[-1]}"
