"""Lets the C library keep memory that a step has freed."""

from __future__ import annotations

import ctypes
import functools
import platform

# Constants of glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 64 * 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, instead of returning it to the system; return whether it can.

    A step frees its large tensors, and the next step allocates the same again. By default glibc maps each of them anew,
    and the system clears every page: a third of the time of a step on a CPU. After this call the process keeps its peak
    of memory until it ends. It works only with glibc; other C libraries and allocators are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Large tensors get no mapping of their own, and the heap's top, which grows in large steps, is never trimmed.
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, TOP_PAD))
    return all(mallopt(name, value) == 1 for name, value in settings)
