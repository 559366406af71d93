"""Replaces a file in one move, so that it is complete at every moment."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from safetensors import SafetensorError

from tinybert_tf.errors import InputError

PARTIAL = ".partial"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Give `path` new contents in one move: after an interruption, or a crash, it has the old ones or the new ones.

    Every call has a temporary file of its own, so processes can replace the same file at the same time.

    Args:
        path: the file, in an existing directory.
        write: writes the contents to the path that it is given, `partial_of(path)`.

    Raises:
        InputError: the file cannot be written; `path` is then unchanged.
    """
    temporary = partial_of(path)
    try:
        with one_line_of_the_disk(path):
            # safetensors makes its files readable only to their owner: give them the mode of any other new file.
            temporary.touch()
            mode = temporary.stat().st_mode
            write(temporary)
            temporary.chmod(mode)
            sync_file(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """`replace_file` with UTF-8 text, whose line ends stay as they are."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))


def partial_of(path: Path) -> Path:
    """A new name beside `path` for its contents while they are written: `NAME.1f0c9a4e.partial`."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def sync_file(path: Path) -> None:
    """Wait until a file's contents are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def one_line_of_the_disk(path: Path) -> Iterator[None]:
    """Turn the disk's errors into an InputError that names `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors raises the disk's errors as its own
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be written ({reason}); what was there before is unchanged.") from error
