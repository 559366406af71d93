"""The folders of a cache of teachers' features: their contents, sizes, and times of last use."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinybert_tf.checkpoints.directory_lock import directory_lock

FOLDER_NAME = re.compile(r"[0-9a-f]{24}")
# The suffixes of a folder's files; a folder with any other file is not ours to remove.
SUFFIXES = {".bin", ".crc", ".json", ".partial"}
SECONDS_PER_DAY = 24 * 60 * 60
GIB = 2**30


def default_directory() -> Path:
    """The default directory of caches: `$TINYBERT_CACHE`, or `tinybert_tf/teachers` among the user's caches."""
    if os.environ.get("TINYBERT_CACHE"):
        return Path(os.environ["TINYBERT_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinybert_tf" / "teachers"


@dataclass(frozen=True)
class CacheFolder:
    """The features that one teacher gives for one data set. `last_used`: seconds since the epoch."""

    path: Path
    num_bytes: int
    last_used: float

    @property
    def days_unused(self) -> int:
        """The number of whole days since a run last read it or wrote into it."""
        return max(0, int((time.time() - self.last_used) // SECONDS_PER_DAY))

    def contents(self) -> tuple[list[str], int]:
        """The complete features, such as `hidden_states/3`, and the number of their rows."""
        found = [_described(path) for path in sorted(self.path.glob("*.json"))]
        complete = [entry for entry in found if entry is not None]
        return [name for name, _ in complete], max((rows for _, rows in complete), default=0)

    def remove(self) -> None:
        """Delete the folder, as soon as no other process writes into it."""
        with directory_lock(self.path):
            shutil.rmtree(self.path)


def cache_folders(directory: Path) -> list[CacheFolder]:
    """The folders of a cache, the longest unused first; anything else in the directory is skipped."""
    folders = [path for path in directory.glob("*") if FOLDER_NAME.fullmatch(path.name) and path.is_dir()]
    found = [_folder(path) for path in folders if {file.suffix for file in path.iterdir()} <= SUFFIXES]
    return sorted(found, key=lambda folder: folder.last_used)


def mark_used(path: Path) -> None:
    """Note that a folder is used now: its time of change is the time of last use."""
    with contextlib.suppress(OSError):  # a cache that can only be read
        os.utime(path)


def longest_unused(directory: Path, num_bytes: int, but: Path) -> str:
    """A clause that names folders to remove, to make room for `num_bytes`; empty if there are none."""
    chosen: list[CacheFolder] = []
    for folder in cache_folders(directory):
        if folder.path != but and sum(each.num_bytes for each in chosen) < num_bytes:
            chosen.append(folder)
    if not chosen:
        return ""
    names = ", ".join(f"{each.path.name} ({each.num_bytes / GIB:.2f} GiB, {each.days_unused} days)" for each in chosen)
    return f"; unused for longest: {names}; `tinybert cache clear FOLDER` removes one"


def total_bytes(folders: Sequence[CacheFolder]) -> int:
    """The size of all folders together in bytes."""
    return sum(folder.num_bytes for folder in folders)


def _folder(path: Path) -> CacheFolder:
    return CacheFolder(path, sum(file.stat().st_size for file in path.iterdir()), path.stat().st_mtime)


def _described(path: Path) -> tuple[str, int] | None:
    """The feature and the number of rows in a description; None if the file is something else."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return description["key"].removeprefix("teacher/"), int(description["rows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
