"""The directory of a run: claimed for one resolved config, filled as the run goes."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.config.load import dump_config
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import read_object

LOGS = ("log.csv", "layer_maps.csv")


class RunDirectory:
    """`config.yaml`, `log.csv`, `tensorboard/`, `metrics.json` and the trained model of one run.

    Nothing is written before `create`, so a run that is refused leaves nothing behind.

    Raises:
        InputError: the path is a file, holds a run with another resolved config, holds something that is no run, or
            cannot be made.
    """

    def __init__(self, path: str | Path, config: Any) -> None:
        self.path = Path(path)
        self._config = dump_config(config)
        self._rows: dict[str, list[dict[str, Any]]] = {}
        written = self.path / "config.yaml"
        check_can_be_made(self.path)
        if written.is_file():
            difference = _first_difference(written.read_text(encoding="utf-8", errors="replace"), self._config)
            if difference:
                raise InputError(
                    f"out: {self.path} holds a run with another config ({difference}); give another directory."
                )
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(f"out: {self.path} is not empty and holds no run; give a new or an empty directory.")

    def create(self) -> None:
        """Make the directory and write the resolved config; what an earlier run measured here is no longer true."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (*LOGS, "metrics.json"):
            (self.path / name).unlink(missing_ok=True)
        replace_text(self.path / "config.yaml", self._config)

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Make the directory for the body to check its input in: where that is refused, what was not there is gone.

        What an earlier run of the same config measured here stays; `keep_logs` says up to where it is true.
        """
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        is_new = not (self.path / "config.yaml").is_file()
        self.path.mkdir(parents=True, exist_ok=True)
        replace_text(self.path / "config.yaml", self._config)
        try:
            yield
        except InputError:
            if is_new:
                for inside in self.path.iterdir():
                    shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
                for folder in missing:
                    folder.rmdir()
            raise

    @property
    def num_logged(self) -> dict[str, int]:
        """The rows of each log."""
        return {name: len(rows) for name, rows in self._rows.items()}

    def keep_logs(self, num_logged: Mapping[str, int]) -> None:
        """Go on with an interrupted run's logs, the first rows of each; those that are not named begin anew."""
        for name in LOGS:
            path, count = self.path / name, num_logged.get(name, 0)
            if count and path.is_file():
                with path.open(newline="", encoding="utf-8") as file:
                    self._rows[name] = list(itertools.islice(csv.DictReader(file), count))
            else:
                path.unlink(missing_ok=True)

    def read_metrics(self) -> dict[str, Any] | None:
        """What `metrics.json` holds; None where the run has not come to its end."""
        path = self.path / "metrics.json"
        return read_object(path) if path.is_file() else None

    def log(self, *rows: dict[str, Any], name: str = "log.csv") -> None:
        """Add rows to one of `LOGS`; stages log different columns, the file has them all."""
        logged = self._rows.setdefault(name, [])
        logged += rows
        columns = list(dict.fromkeys(column for row in logged for column in row))
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(logged)
        replace_text(self.path / name, table.getvalue())

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`."""
        replace_text(self.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def check_can_be_made(path: Path) -> None:
    """Refuse a path for output that is a file, is inside one, or may not be written."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        inside = "" if there == path else f", {there}"
        raise InputError(f"out: {path} is {inside and 'inside '}a file{inside}; a new or an empty directory is wanted.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"out: {path} cannot be written: no permission for {there}; another directory is wanted.")


def _first_difference(there: str, here: str) -> str:
    """The first line that two configs do not share, as `there: x, here: y`; empty where they are equal."""
    if there == here:
        return ""
    theirs, ours = there.splitlines(), here.splitlines()
    only_there = next((line.strip() for line in theirs if line not in ours), "nothing")
    only_here = next((line.strip() for line in ours if line not in theirs), "nothing")
    return f"there {only_there!r}, here {only_here!r}"
