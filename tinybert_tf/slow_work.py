"""Progress lines for work that takes long."""

from __future__ import annotations

import logging
import sys
import time

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class SlowWork:
    """Reports the progress of a piece of work every few seconds, in the package's log or on stderr (see `say`).

    Work that ends within the first few seconds gets no line.

    Args:
        name: the name of the work, with which each line begins.
        steps: the number of its steps.
    """

    def __init__(self, name: str, steps: int) -> None:
        self._name = name
        self._steps = steps
        self._done = 0
        self._begin = self._last_line = time.monotonic()

    def step(self, done: int | None = None) -> None:
        """Count one more step as done, or `done` steps in all."""
        self._done = self._done + 1 if done is None else done
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            fraction = min(1.0, self._done / max(self._steps, 1))
            say(f"{self._name}: {fraction:.0%} done after {now - self._begin:.0f} s")


def say(line: str) -> None:
    """Write a line to the package's log, or to stderr if the log does not show it, as is the default in Python."""
    if logger.isEnabledFor(logging.INFO):
        logger.info(line)
    else:
        print(line, file=sys.stderr, flush=True)
