"""A file that one process writes in many steps, and that goes on after an interruption."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_file import one_line_of_the_disk, replace_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import read_object

logger = logging.getLogger(__name__)


class GrowingFile:
    """An unfinished augmentation: `OUTPUT.partial`, and `OUTPUT.state.json` with its progress.

    Args:
        target: `OUTPUT`, the final name of the file.
        fingerprint: the settings and the hashes from which the file is made.

    Raises:
        InputError: `target` exists already, cannot be made, or was begun from other settings.
    """

    def __init__(self, target: Path, fingerprint: Mapping[str, Any]) -> None:
        self.rows = 0
        self.written = 0
        self._bytes = 0
        self._target = target
        self._fingerprint = dict(fingerprint)
        self._partial = target.with_name(f"{target.name}.partial")
        self._state = target.with_name(f"{target.name}.state.json")
        if target.exists():
            raise InputError(f"{target}: the file exists already; give another name")
        if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
            raise InputError(f"{target}: its directory does not exist or cannot be written; give another one")
        if not self._state.is_file():
            return
        try:
            state = read_object(self._state)
            there = state["settings"]
            self.rows, self.written, self._bytes = state["rows"], state["written"], state["bytes"]
            is_whole = self._partial.stat().st_size >= self._bytes
        except (OSError, ValueError, KeyError, TypeError):
            is_whole, there = False, {}
        if not is_whole:
            raise InputError(f"{self._state}: not the state of an interrupted augmentation; remove it to begin anew")
        differing = [name for name, value in self._fingerprint.items() if there.get(name) != value]
        if differing:
            raise InputError(
                f"{self._state}: an augmentation with another {differing[0]} was interrupted here (there "
                f"{there.get(differing[0])!r}, here {self._fingerprint[differing[0]]!r}); remove it, or give another "
                f"--output"
            )
        logger.info(f"augment: goes on after row {self.rows:,}")

    @contextlib.contextmanager
    def begin(self, header: str) -> Iterator[None]:
        """Cut off an unfinished line of an interrupted run, or write the header; the body can then call `add`.

        Raises:
            InputError: another process writes the file or has written it meanwhile, or it cannot be written.
        """
        with one_line_of_the_disk(self._partial), contextlib.ExitStack() as held:
            self._partial.touch()
            try:
                held.enter_context(directory_lock(self._partial, wait=False))
            except BlockingIOError:
                raise self._written_by_another() from None
            if self._target.exists() or self._state.is_file() != bool(self.rows):
                raise self._written_by_another()
            if self.rows:
                os.truncate(self._partial, self._bytes)
            else:
                self._partial.write_bytes(b"")
                self._append(header)
            yield

    def add(self, rows: int, lines: Sequence[str]) -> None:
        """Write the lines of `rows` more rows of the input."""
        self.rows += rows
        self.written += len(lines)
        self._append("".join(lines))
        state = {"settings": self._fingerprint, "rows": self.rows, "written": self.written, "bytes": self._bytes}
        replace_text(self._state, json.dumps(state, indent=2) + "\n")

    def end(self) -> None:
        """Give the finished file its final name."""
        os.replace(self._partial, self._target)
        self._state.unlink(missing_ok=True)

    def _written_by_another(self) -> InputError:
        return InputError(f"{self._target}: another process writes this file; wait for it, or give another --output")

    def _append(self, text: str) -> None:
        content = text.encode("utf-8")
        with self._partial.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._bytes += len(content)
