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

    What a teacher answers to a text depends on all that it computes with (`teacher_fingerprint`) and on the text's
    tokens: these, hashed, name a folder, and in it every feature of every layer is a file of its own. So a second
    stage, seed or ablation finds what it shares with the first. An interrupted filling goes on where it was. Nothing is
    ever deleted: that is the user's.

    Args:
        directory: made where it is not there.
        max_bytes: of all files in it; who fills it asks `has_room` first.
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
        """Bytes that are still to be written for these features."""
        return sum(file_bytes(feature, lengths) for feature in cached if not is_complete(folder, feature, lengths))

    def has_room(self, num_bytes: int) -> bool:
        """Whether that much more stays below `max_bytes`, and fits the disk."""
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
        """Compute the features of a data set that are not there yet.

        Args:
            folder: as `folder` gives it.
            cached: the features to keep.
            lengths: tokens of each row, `(rows,)`.
            batches: makes the rows that the teacher is asked for.
            answer: the teacher: inputs to its features by key, with at least the keys of `cached`.

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
