"""Arrays that stay in their file."""

from __future__ import annotations

import mmap
from typing import IO

import numpy as np
from numpy.typing import DTypeLike


class MappedArray:
    """A file's bytes as a one-dimensional array that is only read.

    What is read of `values` is paged in by the operating system and stays resident, which counts as this process's
    memory although it can be dropped at any time; `release` drops it. The file's own name may be gone by then.
    """

    def __init__(self, file: IO[bytes], dtype: DTypeLike) -> None:
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.values: np.ndarray = np.frombuffer(self._map, dtype)

    def release(self) -> None:
        """Give the pages that were read back; the next read finds them again."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)
