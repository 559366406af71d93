"""The folders of a cache of teachers' features: what is in them, how large they are, when they were last used."""

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
# What a folder holds; one with anything else in it is not ours to remove.
SUFFIXES = {".bin", ".crc", ".json", ".partial"}
SECONDS_PER_DAY = 24 * 60 * 60
GIB = 2**30


def default_directory() -> Path:
    """Where caches are by default: `$TINYBERT_CACHE`, or `tinybert_tf` among the user's caches."""
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
        """Whole days since a run has read it or written into it."""
        return max(0, int((time.time() - self.last_used) // SECONDS_PER_DAY))

    def contents(self) -> tuple[list[str], int]:
        """The features that are complete, such as `hidden_states/3`, and the rows that there are of each."""
        found = [_described(path) for path in sorted(self.path.glob("*.json"))]
        complete = [entry for entry in found if entry is not None]
        return [name for name, _ in complete], max((rows for _, rows in complete), default=0)

    def remove(self) -> None:
        """Delete it, as soon as no other process writes into it."""
        with directory_lock(self.path):
            shutil.rmtree(self.path)


def cache_folders(directory: Path) -> list[CacheFolder]:
    """The folders of a cache, those that were unused for longest first; what else lies there is passed over."""
    folders = [path for path in directory.glob("*") if FOLDER_NAME.fullmatch(path.name) and path.is_dir()]
    found = [_folder(path) for path in folders if {file.suffix for file in path.iterdir()} <= SUFFIXES]
    return sorted(found, key=lambda folder: folder.last_used)


def mark_used(path: Path) -> None:
    """Note that a folder is used now: its own time of change says when it was last."""
    with contextlib.suppress(OSError):  # a cache that can only be read
        os.utime(path)


def longest_unused(directory: Path, num_bytes: int, but: Path) -> str:
    """What could be removed to make room for so many bytes, in words: a clause, empty where there is nothing."""
    chosen: list[CacheFolder] = []
    for folder in cache_folders(directory):
        if folder.path != but and sum(each.num_bytes for each in chosen) < num_bytes:
            chosen.append(folder)
    if not chosen:
        return ""
    names = ", ".join(f"{each.path.name} ({each.num_bytes / GIB:.2f} GiB, {each.days_unused} days)" for each in chosen)
    return f"; unused for longest: {names}; `tinybert cache clear FOLDER` removes one"


def total_bytes(folders: Sequence[CacheFolder]) -> int:
    """Of all of them."""
    return sum(folder.num_bytes for folder in folders)


def _folder(path: Path) -> CacheFolder:
    return CacheFolder(path, sum(file.stat().st_size for file in path.iterdir()), path.stat().st_mtime)


def _described(path: Path) -> tuple[str, int] | None:
    """The feature and the rows that a description names; None of another file."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return description["key"].removeprefix("teacher/"), int(description["rows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
