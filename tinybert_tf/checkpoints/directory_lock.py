"""A lock on a directory, so that one process at a time writes into it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def directory_lock(directory: Path, wait: bool = True) -> Iterator[None]:
    """Keep other processes out of a directory while the body runs; a process that ends releases its lock.

    Args:
        directory: an existing directory, or a file.
        wait: whether to wait for a process that has the lock; else an error is raised.

    Raises:
        BlockingIOError: another process has the lock, and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError as error:  # some network file systems have no such locks
            logger.warning(f"{directory}: cannot be locked ({error.strerror}); use it from one process at a time")
        yield
    finally:
        os.close(handle)
