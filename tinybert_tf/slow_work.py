"""A sign of life from work that takes long."""

from __future__ import annotations

import logging
import sys
import time

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class SlowWork:
    """Says every few seconds how far a piece of work is: in the package's log, or on stderr where nobody reads that.

    Nothing is said of work that is done within the first few seconds.

    Args:
        name: what is done, with which each line begins.
        steps: how many there are.
    """

    def __init__(self, name: str, steps: int) -> None:
        self._name = name
        self._steps = steps
        self._done = 0
        self._begin = self._last_line = time.monotonic()

    def step(self, done: int | None = None) -> None:
        """One more step is done, or so many of them by now."""
        self._done = self._done + 1 if done is None else done
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            fraction = min(1.0, self._done / max(self._steps, 1))
            say(f"{self._name}: {fraction:.0%} done after {now - self._begin:.0f} s")


def say(line: str) -> None:
    """A line in the package's log; on stderr where that shows no such lines, as in a Python session by default."""
    if logger.isEnabledFor(logging.INFO):
        logger.info(line)
    else:
        print(line, file=sys.stderr, flush=True)
