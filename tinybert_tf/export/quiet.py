"""Keeping back the output of libraries unless they fail."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator

# Streams belong to the process: with two threads at once, one would undo the other's change.
_turn = threading.RLock()


@contextlib.contextmanager
def quiet(shown_if_it_fails: bool = True) -> Iterator[None]:
    """Keep back the body's output and warnings, and the output of C++ to stdout and stderr.

    If the body raises, the output is shown after all, unless `shown_if_it_fails` is false. Threads take turns.
    """
    said = io.StringIO()
    sys.stdout.flush()
    sys.stderr.flush()
    with _turn, tempfile.TemporaryFile() as noise:
        streams = os.dup(1), os.dup(2)
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except BaseException:
            if shown_if_it_fails:
                noise.seek(0)
                os.write(streams[1], noise.read() + said.getvalue().encode())
            raise
        finally:
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
