"""A file that is written in many steps, by one process, and goes on after an interruption."""

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
    """The file of an augmentation while it is `OUTPUT.partial`, and `OUTPUT.state.json`, which says how far it is true.

    Args:
        target: `OUTPUT`, which it becomes.
        fingerprint: what the file is made from.

    Raises:
        InputError: `target` is there, cannot be made, or was begun from something else.
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
            raise InputError(f"{target}: is there already; give another name")
        if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
            raise InputError(f"{target}: its directory is not there, or cannot be written; give another one")
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
            raise InputError(f"{self._state}: not what an interrupted augmentation leaves; remove it to begin anew")
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
        """Cut off what was being written when the run was interrupted, or write the header; the body may then add.

        Raises:
            InputError: another process writes the file, or has written it meanwhile; it cannot be written.
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
        """Write the lines of so many rows of the input."""
        self.rows += rows
        self.written += len(lines)
        self._append("".join(lines))
        state = {"settings": self._fingerprint, "rows": self.rows, "written": self.written, "bytes": self._bytes}
        replace_text(self._state, json.dumps(state, indent=2) + "\n")

    def end(self) -> None:
        """Give the finished file its name."""
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
