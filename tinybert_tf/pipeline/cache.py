"""`tinybert cache`: lists the folders of the teacher cache, and removes some of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinybert_tf.distillation.cache.folders import CacheFolder, cache_folders, default_directory, total_bytes
from tinybert_tf.errors import InputError

MIB = 2**20


def run_cache_list(directory: str | None = None) -> str:
    """List the folders, those unused for longest first: name, size, days since the last use, rows, features."""
    where = _directory(directory)
    folders = cache_folders(where)
    lines = [_line(folder) for folder in folders]
    return "\n".join([*lines, f"{_counted(folders)} in {where}"])


def run_cache_clear(directory: str | None = None, names: Sequence[str] = (), unused_days: int = 0) -> str:
    """Remove the folders with these names (by default all) that have been unused for `unused_days` days or more.

    Raises:
        InputError: the cache has no folder of a name, or one cannot be removed.
    """
    where = _directory(directory)
    folders = {folder.path.name: folder for folder in cache_folders(where)}
    unknown = [name for name in names if name not in folders]
    if unknown:
        raise InputError(f"{where}: has no folder {unknown[0]}; `tinybert cache list` shows the folders.")
    chosen = [folders[name] for name in (names or folders)]
    removed = [folder for folder in chosen if folder.days_unused >= unused_days]
    try:
        for folder in removed:
            folder.remove()
    except OSError as error:
        raise InputError(f"{where}: cannot be cleared ({error.strerror}: {error.filename}).") from None
    return f"removed {_counted(removed)} from {where}"


def _directory(given: str | None) -> Path:
    return default_directory() if given is None else Path(given)


def _line(folder: CacheFolder) -> str:
    features, rows = folder.contents()
    used = f"unused for {folder.days_unused} days" if folder.days_unused else "used today"
    what = f"{rows:,} rows: {', '.join(features)}" if features else "not complete"
    return f"{folder.path.name}  {folder.num_bytes / MIB:10,.1f} MiB  {used}  {what}"


def _counted(folders: Sequence[CacheFolder]) -> str:
    noun = "folder" if len(folders) == 1 else "folders"
    return f"{len(folders)} {noun}, {total_bytes(folders) / MIB:,.1f} MiB,"
