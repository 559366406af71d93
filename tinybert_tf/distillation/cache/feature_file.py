"""The file of one feature of one layer: values row after row, a checksum of each, and a description of the whole."""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import read_object

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class CachedFeature:
    """One feature of one layer: the name of its file, and the shape and size of its rows.

    `key`: its name in a batch, see `tinybert_tf.features.teacher_key`. `shape`: the shape of a row, None for each axis
    of the row's length. Logits are stored as float32, everything else as bfloat16, in half the bytes.
    """

    key: str
    shape: Shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the stored values."""
        return np.dtype(np.float32 if self.key == features.teacher_key(features.LOGITS) else ml_dtypes.bfloat16)

    @property
    def file_name(self) -> str:
        """The name of its files of values and of checksums, without suffix, such as `hidden_states-3`."""
        return self.key.removeprefix(features.TEACHER).replace("/", "-")

    def row_shape(self, length: int) -> tuple[int, ...]:
        """The shape of a row of `length` tokens."""
        return tuple(length if size is None else size for size in self.shape)

    def row_bytes(self, lengths: np.ndarray) -> np.ndarray:
        """The size of each row in bytes, `(rows,)` int64."""
        fixed = int(np.prod([size for size in self.shape if size is not None], dtype=np.int64))
        return fixed * self.dtype.itemsize * lengths.astype(np.int64) ** self.shape.count(None)


class FeatureFile:
    """The values of one feature, row after row, and a checksum of each; threads may read from one."""

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
        self._turn = threading.Lock()

    def read(self, row: int) -> np.ndarray:
        """A row's values."""
        content = bytearray(int(self._sizes[row]))
        with self._turn:  # seek and read together, for one thread at a time
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
        """Wait until the written values are on the disk."""
        os.fsync(self._file.fileno())
        self._checksums.flush()

    def close(self) -> None:
        """End writing."""
        self.save()
        self._file.close()


def corner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The slices of a padded row that hold the values of a row."""
    return tuple(slice(size) for size in shape)


def file_bytes(feature: CachedFeature, lengths: np.ndarray) -> int:
    """The size in bytes of a feature's files for rows of these lengths, checksums included."""
    return int(feature.row_bytes(lengths).sum()) + 4 * len(lengths)


def is_complete(folder: Path, feature: CachedFeature, lengths: np.ndarray) -> bool:
    """Whether a feature's file is complete: its description is written last."""
    try:
        there = read_object(folder / f"{feature.file_name}.json")
        size = sum((folder / f"{feature.file_name}.{suffix}").stat().st_size for suffix in ("bin", "crc"))
    except (OSError, ValueError):
        return False
    return there == description(feature, lengths) and size == file_bytes(feature, lengths)


def description(feature: CachedFeature, lengths: np.ndarray) -> dict[str, Any]:
    """The description of a feature's complete file."""
    return {"key": feature.key, "shape": list(feature.shape), "dtype": feature.dtype.name, "rows": len(lengths)}
