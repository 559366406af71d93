"""What the C library does with memory that a step has freed."""

from __future__ import annotations

import ctypes
import functools
import platform

# Of glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, instead of returning it to the system; True where that works.

    A step frees its large tensors, and the next one asks for the same again. glibc maps each of them anew, and the
    system clears every page: a third of the time of a step on a CPU. Afterwards the process holds its peak until it
    ends. Works with glibc alone; other C libraries and allocators are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # No own mapping for a large tensor; nothing is trimmed from the heap's top, which grows in large steps.
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD))
    return all(mallopt(name, value) == 1 for name, value in settings)
