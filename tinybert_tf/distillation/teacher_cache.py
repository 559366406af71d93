"""A teacher's features of a data set's rows, on disk: computed once, read in every epoch, stage and run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import keras
import ml_dtypes
import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.errors import InputError

logger = logging.getLogger(__name__)

FORMAT = 1
PROGRESS = "progress.json"
# Batches between two places to go on from after an interruption.
BATCHES_PER_SAVE = 64

Shape = tuple[int | None, ...]


class TeacherBatches(Protocol):
    """Rows of the data set and their padded inputs, every row once, in an order that is always the same."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int, /) -> tuple[np.ndarray, Mapping[str, np.ndarray]]: ...


@dataclass(frozen=True)
class CachedFeature:
    """One feature of one layer: the file it is in, and what a row of it is.

    `key`: as a batch has it, see `tinybert_tf.features.teacher_key`. `shape`: of one row, None for each axis of its
    length. Logits are float32; everything else bfloat16, half the bytes.
    """

    key: str
    shape: Shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """What is stored."""
        return np.dtype(np.float32 if self.key == features.teacher_key(features.LOGITS) else ml_dtypes.bfloat16)

    @property
    def file_name(self) -> str:
        """`hidden_states-3`, of which there are the values and the checksums."""
        return self.key.removeprefix(features.TEACHER).replace("/", "-")

    def row_shape(self, length: int) -> tuple[int, ...]:
        """The shape of a row of `length` tokens."""
        return tuple(length if size is None else size for size in self.shape)

    def row_bytes(self, lengths: np.ndarray) -> np.ndarray:
        """Bytes of each row, `(rows,)` int64."""
        fixed = int(np.prod([size for size in self.shape if size is not None], dtype=np.int64))
        return fixed * self.dtype.itemsize * lengths.astype(np.int64) ** self.shape.count(None)


class TeacherFeatures:
    """Cached features of a data set's rows, read row by row; memory does not grow with the cache.

    `features(rows, length)` gives them padded with zeros to `length` tokens, by their keys. A row is checked against
    its checksum when it is read for the first time.

    Raises:
        InputError: when called, a file is damaged.
    """

    def __init__(self, directory: Path, cached: Sequence[CachedFeature], lengths: np.ndarray) -> None:
        self.shapes: dict[str, Shape] = {feature.key: (None, *feature.shape) for feature in cached}
        self.num_bytes = {feature.key: _file_bytes(feature, lengths) for feature in cached}
        self._files = [_FeatureFile(directory, feature, lengths, "rb") for feature in cached]

    def __call__(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """`{key: (len(rows), ...)}`, each of its shape with `length` for the axes of a row's length."""
        found = {}
        for file in self._files:
            padded = np.zeros((len(rows), *file.feature.row_shape(length)), file.feature.dtype)
            for place, row in enumerate(rows):
                values = file.read(int(row))
                padded[place][_corner(values.shape)] = values
            found[file.feature.key] = padded
        return found


class TeacherCache:
    """A directory of teachers' features, at most `max_bytes` large.

    What a teacher says to a text depends on its weights, its precision and the text's tokens: these, hashed, name a
    folder, and in it every feature of every layer is a file of its own. So a second stage, seed or ablation finds what
    it shares with the first. An interrupted filling goes on where it was. Nothing is ever deleted: that is the user's.

    Args:
        directory: made where it is not there.
        max_bytes: of all files in it; who fills it asks `has_room` first.
    """

    def __init__(self, directory: str | Path, max_bytes: float = 20 * 2**30) -> None:
        self.directory = Path(directory)
        self.max_bytes = max_bytes
        self._fingerprints: weakref.WeakKeyDictionary[keras.Model, str] = weakref.WeakKeyDictionary()

    def folder(self, teacher: keras.Model, data: str) -> Path:
        """Where the features of this teacher, whose weights stay, for a data set of this fingerprint are."""
        if teacher not in self._fingerprints:
            self._fingerprints[teacher] = teacher_fingerprint(teacher)
        key = f"{FORMAT} {self._fingerprints[teacher]} {data}"
        return self.directory / hashlib.sha256(key.encode()).hexdigest()[:24]

    def missing_bytes(self, folder: Path, cached: Sequence[CachedFeature], lengths: np.ndarray) -> int:
        """Bytes that are still to be written for these features."""
        return sum(_file_bytes(feature, lengths) for feature in cached if not _is_complete(folder, feature, lengths))

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
            cached: what is wanted.
            lengths: tokens of each row, `(rows,)`.
            batches: what the teacher is asked.
            answer: the teacher: inputs to its features by key, with at least the keys of `cached`.

        Raises:
            InputError: the directory cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with directory_lock(folder):
                missing = [feature for feature in cached if not _is_complete(folder, feature, lengths)]
                if missing:
                    _fill(folder, missing, lengths, batches(), answer)
        except OSError as error:
            raise InputError(
                f"teacher cache {folder}: cannot be written ({error.strerror}); another cache_dir, or "
                f"teacher_cache=off, is wanted."
            ) from error


def teacher_fingerprint(teacher: keras.Model) -> str:
    """A hash of a model's weights, in the precision they are stored and computed in, and of its configuration."""
    digest = hashlib.sha256()
    inside = getattr(teacher, "model", teacher)
    config = {name: value for name, value in inside.get_config().items() if name != "name"}
    quantizer = getattr(inside, "fake_quantizer", None)
    if quantizer is not None:
        config["fake_quantization"] = quantizer.get_config()
    digest.update(json.dumps([type(inside).__name__, config], sort_keys=True, default=str).encode())
    for variable in inside.weights:
        values = np.ascontiguousarray(ops.convert_to_numpy(variable))
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.view(np.uint8).data if values.ndim else values.tobytes())
    return digest.hexdigest()


class _FeatureFile:
    """The values of one feature, row after row, and a checksum of each."""

    def __init__(self, folder: Path, feature: CachedFeature, lengths: np.ndarray, mode: str) -> None:
        self.feature = feature
        self._path = folder / f"{feature.file_name}.bin"
        self._file: IO[bytes] = self._path.open(mode, buffering=0)
        weakref.finalize(self, self._file.close)
        self._lengths = lengths
        self._sizes = feature.row_bytes(lengths)
        self._offsets = np.cumsum(self._sizes) - self._sizes
        sums = folder / f"{feature.file_name}.crc"
        self._checksums = np.memmap(sums, np.uint32, "r" if mode == "rb" else "r+", shape=(len(lengths),))
        self._is_checked = np.zeros(len(lengths), np.bool_)

    def read(self, row: int) -> np.ndarray:
        """A row's values."""
        content = bytearray(int(self._sizes[row]))
        self._file.seek(int(self._offsets[row]))
        count = self._file.readinto(content)  # type: ignore[attr-defined]
        if not self._is_checked[row]:
            if count != len(content) or zlib.crc32(content) != self._checksums[row]:
                raise InputError(f"teacher cache {self._path}: damaged at row {row}; remove {self._path.parent}.")
            self._is_checked[row] = True
        return np.frombuffer(content, self.feature.dtype).reshape(self.feature.row_shape(int(self._lengths[row])))

    def write(self, row: int, values: np.ndarray) -> None:
        """Put a row's values, without padding, in their place."""
        content = np.ascontiguousarray(values.astype(self.feature.dtype)).tobytes()
        self._file.seek(int(self._offsets[row]))
        self._file.write(content)
        self._checksums[row] = zlib.crc32(content)

    def save(self) -> None:
        """See that what was written is on the disk."""
        os.fsync(self._file.fileno())
        self._checksums.flush()

    def close(self) -> None:
        """End writing."""
        self.save()
        self._file.close()


def _corner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the values of a row are in a padded one."""
    return tuple(slice(size) for size in shape)


def _file_bytes(feature: CachedFeature, lengths: np.ndarray) -> int:
    return int(feature.row_bytes(lengths).sum()) + 4 * len(lengths)


def _is_complete(folder: Path, feature: CachedFeature, lengths: np.ndarray) -> bool:
    """Whether a feature's file is whole: its description is written last."""
    try:
        there = json.loads((folder / f"{feature.file_name}.json").read_text(encoding="utf-8"))
        size = sum((folder / f"{feature.file_name}.{suffix}").stat().st_size for suffix in ("bin", "crc"))
    except (OSError, ValueError):
        return False
    return there == _description(feature, lengths) and size == _file_bytes(feature, lengths)


def _description(feature: CachedFeature, lengths: np.ndarray) -> dict[str, Any]:
    return {"key": feature.key, "shape": list(feature.shape), "dtype": feature.dtype.name, "rows": len(lengths)}


def _fill(
    folder: Path,
    missing: Sequence[CachedFeature],
    lengths: np.ndarray,
    batches: TeacherBatches,
    answer: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]],
) -> None:
    """Ask the teacher for every row, and write what it says."""
    wanted = {"features": [_description(feature, lengths) for feature in missing], "of": len(batches)}
    done = _batches_done(folder, wanted)
    total = sum(_file_bytes(feature, lengths) for feature in missing)
    where = f"goes on after batch {done} of {len(batches)}" if done else f"{len(lengths):,} rows"
    logger.info(f"teacher cache: {where}, {total / 2**20:,.0f} MiB into {folder}")
    if not done:
        for feature in missing:
            for suffix, size in (("bin", int(feature.row_bytes(lengths).sum())), ("crc", 4 * len(lengths))):
                with (folder / f"{feature.file_name}.{suffix}").open("wb") as empty:
                    empty.truncate(size)
    with contextlib.ExitStack() as stack:
        files = [_FeatureFile(folder, feature, lengths, "r+b") for feature in missing]
        for file in files:
            stack.callback(file.close)
        for step, rows, answers in _asked(batches, done, answer, [feature.key for feature in missing]):
            for file in files:
                values = answers[file.feature.key]
                for place, row in enumerate(rows):
                    shape = file.feature.row_shape(int(lengths[row]))
                    file.write(int(row), values[place][_corner(shape)])
            if (step + 1) % BATCHES_PER_SAVE == 0:
                for file in files:
                    file.save()
                replace_text(folder / PROGRESS, json.dumps({**wanted, "batches": step + 1}))
    for feature in missing:
        replace_text(folder / f"{feature.file_name}.json", json.dumps(_description(feature, lengths)))
    (folder / PROGRESS).unlink(missing_ok=True)


def _asked(
    batches: TeacherBatches, done: int, answer: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]], keys: list[str]
) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
    """The other batches: number, rows, answers; each is asked while the one before is written."""

    def ask(step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rows, inputs = batches[step]
        answers = answer(inputs)
        return rows, {key: np.asarray(ops.convert_to_numpy(answers[key])) for key in keys}

    with ThreadPoolExecutor(1) as thread:
        coming = None
        for step in range(done, len(batches)):
            # The first one in the caller's own thread: it is traced there.
            rows, answers = ask(step) if coming is None else coming.result()
            coming = thread.submit(ask, step + 1) if step + 1 < len(batches) else None
            yield step, rows, answers


def _batches_done(folder: Path, wanted: Mapping[str, Any]) -> int:
    """Where an interrupted filling of the same features was."""
    try:
        there = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        done = int(there.pop("batches"))
        return done if there == wanted else 0
    except (OSError, ValueError, KeyError):
        return 0
