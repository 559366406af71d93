"""The log lines of a run, which go to stderr once the user's input has been checked."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from logging.handlers import BufferingHandler

from tinybert_tf.errors import InputError

_PACKAGE = logging.getLogger("tinybert_tf")
# More lines than any check logs; a BufferingHandler drops all lines when it is full.
_CAPACITY = 100_000


@contextlib.contextmanager
def on_stderr() -> Iterator[None]:
    """Write the package's log lines, from INFO on, to stderr while the body runs."""
    handler, level = logging.StreamHandler(sys.stderr), _PACKAGE.level
    _PACKAGE.addHandler(handler)
    _PACKAGE.setLevel(logging.INFO)
    try:
        yield
    finally:
        _PACKAGE.removeHandler(handler)
        _PACKAGE.setLevel(level)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold the body's log lines back until it ends; an InputError drops them, so that only its line is shown."""
    buffer = BufferingHandler(_CAPACITY)
    handlers, propagate = _PACKAGE.handlers, _PACKAGE.propagate
    _PACKAGE.handlers, _PACKAGE.propagate = [buffer], False
    try:
        yield
    except InputError:
        buffer.flush()
        raise
    finally:
        _PACKAGE.handlers, _PACKAGE.propagate = handlers, propagate
        for record in buffer.buffer:
            _PACKAGE.handle(record)
