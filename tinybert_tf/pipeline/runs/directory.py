"""The files of a run directory: the resolved config, the sources, logs and metrics."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.checkpoints.replace_file import replace_file, replace_text
from tinybert_tf.errors import InputError
from tinybert_tf.json_file import read_object

CONFIG, SOURCES, METRICS = "config.yaml", "sources.json", "metrics.json"
# Each model's metrics on each split, in all resamples of its rows.
RESAMPLES = "resamples.npz"
LOGS = ("log.csv", "layer_maps.csv")
MODELS = ("student", "baseline", "model")
# The files of training and those made from them; a run that is trained anew begins without them.
RESULTS = (*LOGS, "tensorboard", "checkpoints", *MODELS, RESAMPLES, "export", "report.html")


class RunDirectory:
    """`config.yaml`, `sources.json`, `log.csv`, `tensorboard/`, `metrics.json` and the trained model of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: dict[str, list[dict[str, Any]]] = {}

    @property
    def checkpoint(self) -> Path:
        """The checkpoint from which an interrupted run goes on."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def num_logged(self) -> dict[str, int]:
        """The number of rows of each log."""
        return {name: len(rows) for name, rows in self._rows.items()}

    def keep_logs(self, num_logged: Mapping[str, int]) -> None:
        """Keep the first rows of an interrupted run's logs; logs that are not named begin anew."""
        for name in LOGS:
            path, count = self.path / name, num_logged.get(name, 0)
            if count and path.is_file():
                self._rows[name] = self.read_log(name)[:count]
            else:
                path.unlink(missing_ok=True)

    def read_log(self, name: str = LOGS[0]) -> list[dict[str, Any]]:
        """Return the rows of one of `LOGS`, as text; none if the file does not exist."""
        path = self.path / name
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def log(self, *rows: dict[str, Any], name: str = LOGS[0]) -> None:
        """Add rows to one of `LOGS`; stages log different columns, and the file has all of them."""
        logged = self._rows.setdefault(name, [])
        logged += rows
        columns = list(dict.fromkeys(itertools.chain.from_iterable(logged)))
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(logged)
        replace_text(self.path / name, table.getvalue())

    def read_metrics(self) -> dict[str, Any] | None:
        """Return the content of `metrics.json`; None if the run is not complete."""
        return self._read_json(METRICS)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`."""
        replace_text(self.path / METRICS, json.dumps(metrics, indent=2) + "\n")

    def read_resamples(self) -> dict[str, np.ndarray]:
        """Return the arrays of `resamples.npz`; none if an earlier version measured the run.

        Raises:
            InputError: the file is not what `write_resamples` writes.
        """
        path = self.path / RESAMPLES
        if not path.is_file():
            return {}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: expected NumPy arrays, got a file that cannot be read ({error}); delete it to go without "
                "standard errors, or train the run again with --overwrite"
            ) from None

    def write_resamples(self, resamples: Mapping[str, np.ndarray]) -> None:
        """Write `resamples.npz`: each metric in all resamples of the rows, by `model/split/metric`."""

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **resamples)

        replace_file(self.path / RESAMPLES, write)

    def read_sources(self) -> dict[str, str] | None:
        """Return the hashes of the run's sources; None if an earlier version began the run without recording them."""
        return self._read_json(SOURCES)

    def write_sources(self, sources: Mapping[str, str]) -> None:
        """Write `sources.json`."""
        replace_text(self.path / SOURCES, json.dumps(dict(sources), indent=2, ensure_ascii=False) + "\n")

    def _read_json(self, name: str) -> Any:
        path = self.path / name
        return read_object(path) if path.is_file() else None


def check_can_be_made(path: Path) -> None:
    """Refuse a path for output that is a file, is inside a file, or cannot be written."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        inside = "" if there == path else f", {there}"
        raise InputError(f"out: {path} is {inside and 'inside '}a file{inside}; expected a new or an empty directory.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"out: {path} cannot be written: no permission for {there}; give another directory.")
