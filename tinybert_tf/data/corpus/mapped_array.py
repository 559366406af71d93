"""Arrays that stay in their file."""

from __future__ import annotations

import mmap
from typing import IO

import numpy as np
from numpy.typing import DTypeLike


class MappedArray:
    """A file's bytes as a one-dimensional, read-only array.

    The operating system loads the pages of `values` that are read and keeps them, which counts as this process's memory
    although they can be dropped at any time; `release` drops them. The file may have lost its name meanwhile.
    """

    def __init__(self, file: IO[bytes], dtype: DTypeLike) -> None:
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.values: np.ndarray = np.frombuffer(self._map, dtype)

    def release(self) -> None:
        """Drop the pages that were read; the next read loads them again."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)
