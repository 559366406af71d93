"""What libraries print while they work, kept back unless they fail."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator

# Streams belong to the process: of two threads at once, one would put back what the other had set.
_turn = threading.RLock()


@contextlib.contextmanager
def quiet(shown_if_it_fails: bool = True) -> Iterator[None]:
    """Keep back what the body prints and warns of, and what C++ writes to stdout and stderr.

    Where the body raises, what was printed is shown, unless the exception is known to say it all. Threads take turns.
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
