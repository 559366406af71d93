"""A file that is a whole one at every moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Give `path` new contents in one move: whoever is interrupted, the disk included, leaves the old or the new ones.

    Args:
        path: the file; its directory is there.
        write: writes the contents to the path that it is given, `partial_of(path)`.

    Raises:
        OSError: it cannot be written; `path` is then as it was.
    """
    temporary = partial_of(path)
    try:
        # safetensors makes its files readable to their owner alone: give them the mode of any other new file.
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Where the new contents are while they are written, and stay when the process is killed: `NAME.partial`."""
    return path.with_name(f"{path.name}.partial")


def replace_text(path: Path, text: str) -> None:
    """`replace_file` with text, UTF-8, its line ends as they are."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))
