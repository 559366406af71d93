"""Replaces a directory in one move, so that it is complete at every moment."""

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
    """Give `path` new files in one move: after an interruption it is the old directory or the new one.

    Args:
        path: the directory, which loses its contents. Its parent exists.
        write: writes the files into the empty directory that it is given.

    Raises:
        InputError: the files cannot be written; `path` is then unchanged.
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
    """Move `new`, a file or a directory, to `path`, and remove the one that was there.

    If the system cannot swap two directories, the old one is set aside for a moment; `sweep_partials` restores it after
    a process was killed at that moment.
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
    """Remove the unfinished files of killed processes from a directory; its only writer calls this first.

    A directory that was set aside when its process was killed gets its name again.

    Args:
        directory: an existing directory.
        is_deep: whether the directories inside it are swept too.
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
    """Swap two names in one step; return whether the system can, as Linux does on most file systems."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
