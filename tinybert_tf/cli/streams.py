"""What a shell connects: texts that come in, answers that go out, and streams that are closed or full."""

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

# What a write fails with that is nobody's bug.
_OUTSIDE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def open_streams() -> None:
    """Make the standard streams usable: none is missing, and none fails for a letter that its encoding lacks.

    A stream that the shell closed (`2>&-`) leaves its number to the next file that is opened, which then gets what C++
    writes there; `/dev/null` takes the number instead.

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
    """The lines of stdin as they come, at most so many at a time; UTF-8, with or without a byte order mark or CRs.

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
    """Write each value as a line of JSON, its letters as they are where the file's encoding has them, and flush."""
    for value in values:
        line = json.dumps(value, ensure_ascii=False)
        try:
            line.encode(file.encoding or "utf-8")
        except UnicodeEncodeError:
            line = json.dumps(value)
        print(line, file=file)
    file.flush()


def flush_or_drop() -> None:
    """Write what stdout still holds; where that fails, drop it, so that Python does not try again at its end.

    Raises:
        OSError: it cannot be written.
    """
    try:
        sys.stdout.flush()
    except OSError:
        drop_stdout()
        raise


def drop_stdout() -> None:
    """Send what stdout still holds, and all that follows, to nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def from_outside(error: OSError) -> str | None:
    """What a full disk or the like did, in a line; None for what may be a fault of the library."""
    if error.errno not in _OUTSIDE:
        return None
    return f"{error.filename or 'the output'} cannot be written ({error.strerror})"
