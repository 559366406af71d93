"""`TeacherCache`: a directory of teachers' features, computed once, read in every epoch, stage and run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_directory import sweep_partials
from tinybert_tf.distillation.cache.feature_file import CachedFeature, file_bytes, is_complete
from tinybert_tf.distillation.cache.fill import TeacherBatches, fill
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint
from tinybert_tf.errors import InputError
from tinybert_tf.short_repr import short_repr

FORMAT = 2


class TeacherCache:
    """A directory of teachers' features, at most `max_bytes` large.

    A teacher's features depend on everything in `teacher_fingerprint` and on the tokens of the data set. A hash of both
    names a folder, which has a file for every feature of every layer. So a second stage, seed or ablation finds the
    files that it shares with the first. An interrupted filling continues where it ended. Nothing is ever deleted: that
    is left to the user.

    Args:
        directory: the directory; it is made if it does not exist.
        max_bytes: the largest size of all its files; ask `has_room` before `fill`.
    """

    def __init__(self, directory: str | Path, max_bytes: float = 5 * 2**30) -> None:
        self.directory = Path(directory)
        self.max_bytes = max_bytes

    def __repr__(self) -> str:
        return short_repr(self, directory=str(self.directory), max_bytes=self.max_bytes)

    def folder(self, teacher: keras.Model, data: str) -> Path:
        """The folder of this teacher's features, as its weights are now, for a data set of this fingerprint."""
        return self.folder_of(teacher_fingerprint(teacher), data)

    def folder_of(self, teacher: str, data: str) -> Path:
        """The folder of the features of a teacher and a data set, both given by their fingerprints."""
        return self.directory / hashlib.sha256(f"{FORMAT} {teacher} {data}".encode()).hexdigest()[:24]

    def missing_bytes(self, folder: Path, cached: Sequence[CachedFeature], lengths: np.ndarray) -> int:
        """The number of bytes that are still to be written for these features."""
        return sum(file_bytes(feature, lengths) for feature in cached if not is_complete(folder, feature, lengths))

    def has_room(self, num_bytes: int) -> bool:
        """Whether `num_bytes` more stay below `max_bytes`, and fit on the disk."""
        there = next(place for place in (self.directory, *self.directory.absolute().parents) if place.exists())
        used = sum(file.stat().st_size for file in self.directory.rglob("*") if file.is_file())
        return used + num_bytes <= self.max_bytes and num_bytes < shutil.disk_usage(there).free

    def fill(
        self,
        folder: Path,
        cached: Sequence[CachedFeature],
        lengths: np.ndarray,
        batches: Callable[[], TeacherBatches],
        answer: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]],
    ) -> None:
        """Compute the features of a data set that the cache does not have yet.

        Args:
            folder: the folder, from `folder` or `folder_of`.
            cached: the features to keep.
            lengths: the number of tokens of each row, `(rows,)`.
            batches: makes the batches on which the teacher is run.
            answer: runs the teacher: from inputs to features by key, with at least the keys of `cached`.

        Raises:
            InputError: the directory cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with directory_lock(folder):
                sweep_partials(folder)
                missing = [feature for feature in cached if not is_complete(folder, feature, lengths)]
                if missing:
                    fill(folder, missing, lengths, batches(), answer)
        except OSError as error:
            raise InputError(
                f"teacher cache {folder}: cannot be written ({error.strerror}); expected another "
                f"cache_dir, or teacher_cache=off."
            ) from error
