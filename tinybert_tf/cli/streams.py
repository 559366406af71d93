"""Standard streams: texts from stdin, answers to stdout, and streams that are closed or full."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from tinybert_tf.errors import InputError

# Errors of a write that are no bug: a full disk and the like.
_OUTSIDE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def open_streams() -> None:
    """Make the standard streams usable: none is missing, and none fails on a letter that its encoding lacks.

    If the shell closed a stream (`2>&-`), the next file that is opened would get its number, and the lines that C++
    writes to it; `/dev/null` takes the number instead.

    Raises:
        InputError: there is no stdout to print results to.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        raise InputError("stdout is closed; expected a place to print results to")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def lines_of_stdin(most: int) -> Iterator[list[str]]:
    """The lines of stdin as they arrive, in batches of limited size; UTF-8, byte order mark and CRs are removed.

    Raises:
        InputError: stdin is closed, or a line is not UTF-8.
    """
    if sys.stdin is None:
        raise InputError("stdin is closed; expected texts, one a line")
    number, rest = 0, b""
    while chunk := sys.stdin.buffer.read1(1 << 16):  # type: ignore[union-attr]  # what is there, at most so much
        *lines, rest = (rest + chunk).split(b"\n")
        for start in range(0, len(lines), most):
            yield [_text(line, number + place) for place, line in enumerate(lines[start : start + most], start + 1)]
        number += len(lines)
    if rest:
        yield [_text(rest, number + 1)]


def _text(line: bytes, number: int) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"stdin:{number}: expected UTF-8 text, got byte 0x{byte:02x}") from None


def print_json(values: list[Any], file: TextIO) -> None:
    """Write each value as a line of JSON and flush; only letters that the file's encoding lacks are escaped."""
    for value in values:
        line = json.dumps(value, ensure_ascii=False)
        try:
            line.encode(file.encoding or "utf-8")
        except UnicodeEncodeError:
            line = json.dumps(value)
        print(line, file=file)
    file.flush()


def flush_or_drop() -> None:
    """Write the buffer of stdout; if that fails, drop it, so that Python does not try again when it exits.

    Raises:
        OSError: the buffer cannot be written.
    """
    try:
        sys.stdout.flush()
    except OSError:
        drop_stdout()
        raise


def drop_stdout() -> None:
    """Discard the buffer of stdout and all later output."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def from_outside(error: OSError) -> str | None:
    """A line for an error such as a full disk; None for one that may be the library's fault."""
    if error.errno not in _OUTSIDE:
        return None
    return f"{error.filename or 'the output'} cannot be written ({error.strerror})"
