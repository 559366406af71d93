"""A directory that is a whole one at every moment."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tinybert_tf.checkpoints.replace_file import PARTIAL, one_line_of_the_disk, partial_of, sync_file

SET_ASIDE = f".old{PARTIAL}"
# Linux's numbers: "relative to the current directory", and renameat2's "swap the two names".
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def replace_directory(path: Path, write: Callable[[Path], object]) -> None:
    """Give `path` new files in one move: whoever is interrupted leaves the old directory or the new one.

    Args:
        path: the directory; what is in it goes. The directory around it is there.
        write: writes the files into the empty directory that it is given.

    Raises:
        InputError: they cannot be written; `path` is then as it was.
    """
    temporary = partial_of(path)
    try:
        with one_line_of_the_disk(path):
            temporary.mkdir()
            write(temporary)
            for file in temporary.rglob("*"):
                if file.is_file():
                    sync_file(file)
            move_over(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_over(new: Path, path: Path) -> None:
    """Give `new`, a file or a directory, the name of another one, `path`, which goes.

    Where the system cannot swap two directories, the old one is set aside for a moment; `sweep_partials` heals what a
    process left that was killed in it.
    """
    if not path.is_dir():
        os.replace(new, path)
    elif _swapped(new, path):
        shutil.rmtree(new)
    else:
        aside = path.with_name(f"{path.name}{SET_ASIDE}")
        os.replace(path, aside)
        os.replace(new, path)
        shutil.rmtree(aside)


def sweep_partials(directory: Path, is_deep: bool = True) -> None:
    """Remove what killed processes left unfinished in a directory; its one writer calls this before it writes.

    A directory that was set aside when its process was killed gets its name again.

    Args:
        directory: is there.
        is_deep: whether what is below its directories is swept too.
    """
    for path in list(directory.rglob(f"*{PARTIAL}") if is_deep else directory.glob(f"*{PARTIAL}")):
        name = path.with_name(path.name.removesuffix(SET_ASIDE))
        if name != path and not name.exists():
            os.replace(path, name)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _swapped(one: Path, other: Path) -> bool:
    """Swap two names in one step, and return whether that was possible: on most of Linux's file systems it is."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
