"""A run: new, interrupted or complete; its source files do not change, and one process works on it."""

from __future__ import annotations

import contextlib
import enum
import logging
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tinybert_tf.checkpoints.directory_lock import directory_lock
from tinybert_tf.checkpoints.replace_directory import move_over, sweep_partials
from tinybert_tf.checkpoints.replace_file import PARTIAL, one_line_of_the_disk, replace_text
from tinybert_tf.config.load import dump_config
from tinybert_tf.config.resolved import resolved
from tinybert_tf.config.strict_yaml import parse_yaml
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.runs.directory import (
    CONFIG,
    METRICS,
    MODELS,
    RESULTS,
    SOURCES,
    RunDirectory,
    check_can_be_made,
)
from tinybert_tf.pipeline.runs.same_config import as_begun, config_difference
from tinybert_tf.pipeline.runs.sources import GONE, changed_source, source_files, sources_of

logger = logging.getLogger(__name__)

# The folder in a run directory in which a run is trained anew, until it is complete and replaces the old one.
ANEW = "anew"


class RunState(enum.Enum):
    """The state of a run: `INTERRUPTED` has a checkpoint to go on from, `COMPLETE` has its metrics."""

    NEW = "new"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"


class Run(RunDirectory):
    """The run of a config in the directory `out`. Nothing is written before `begin`.

    As a context manager it keeps other processes out of the directory, and refuses a run whose sources have changed.
    Outside of it the run can only be read.

    Training writes to `path`: to `out` itself, or, while an existing run is trained anew, to a directory in it. The old
    run stays until `finish` replaces it.

    On entry, `config` gets what an existing run has chosen for itself: the size of its student.

    Args:
        config: a resolved config, with an `out`.
        overwrite: whether to train an existing run anew, whatever its config and sources.

    Raises:
        InputError: `out` is a file, cannot be written, or holds something else than a run of this config; on entry:
            another process works in it, or the sources of the existing run have changed.
    """

    def __init__(self, config: Any, overwrite: bool = False) -> None:
        self.out = Path(config.out)
        self.config = config
        self._held = contextlib.ExitStack()
        self._is_held = False
        check_can_be_made(self.out)
        is_there = _holds_run(self.out)
        if not is_there and self.out.is_dir() and any(path.suffix != PARTIAL for path in self.out.iterdir()):
            raise InputError(f"out: {self.out} is not empty and holds no run; give a new or an empty directory.")
        if is_there and not overwrite and not (self.out / ANEW / METRICS).is_file():
            self._check_config()
        super().__init__(self.out / ANEW if is_there and overwrite else self.out)

    @property
    def state(self) -> RunState:
        """The state of the run."""
        if (self.path / METRICS).is_file():
            return RunState.COMPLETE
        return RunState.INTERRUPTED if self.checkpoint.is_file() else RunState.NEW

    @cached_property
    def sources(self) -> dict[str, str]:
        """The hashes of the run's sources as they are now."""
        return sources_of(self.config)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as refused:
            refused.push(self.__exit__)
            if self.out.is_dir():
                self._claim()
            if self.path != self.out:
                self._refuse_own_sources()
                if not self._goes_on_anew():
                    shutil.rmtree(self.path, ignore_errors=True)
            self.config = as_begun(self.path / CONFIG, self.config)
            if self.state is not RunState.NEW:
                self._check_sources()
            refused.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._is_held = False

    def results(self) -> dict[str, Any] | None:
        """Return the results of a complete run; None if the run is to be trained."""
        measured = self.read_metrics()
        if measured is None:
            return None
        if not any((self.path / name / "config.json").is_file() for name in MODELS):
            raise InputError(f"{self.out}: this run is complete, but its model is gone; --overwrite trains it anew.")
        if self.read_sources() is None:
            self._say_unknown_sources()
        logger.info(f"{self.out}: this run is complete; it measured:")
        return measured

    def begin(self) -> None:
        """Make the directory; an interrupted run keeps its files, and those of any other run are removed."""
        if self.state is RunState.INTERRUPTED:
            if self.read_sources() is None:
                self._say_unknown_sources()
                self.write_sources(self.sources)
            return
        with one_line_of_the_disk(self.path):
            self._make()
            for name in RESULTS:
                remove(self.path / name)
        self._describe()

    @contextlib.contextmanager
    def made_for_checks(self) -> Iterator[None]:
        """Make the directory while the body checks the input; if the body refuses it, remove the new directory."""
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        is_new = not (self.path / CONFIG).is_file()
        with one_line_of_the_disk(self.path):
            self._make()
        if is_new:
            self._describe()
        try:
            yield
        except InputError:
            if is_new:
                for inside in self.path.iterdir():
                    remove(inside)
                for folder in missing:
                    folder.rmdir()
            raise

    def finish(self, results: dict[str, Any]) -> None:
        """Write `metrics.json`, which completes the run, and remove its checkpoint and the run that it replaces."""
        self.write_metrics(results)
        self.checkpoint.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it has other content, or does not exist
            self.checkpoint.parent.rmdir()
        if self.path != self.out:
            _replace_run(self.out)
            self.path = self.out

    def _make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if not self._is_held:
            self._claim()
            if (self.out / CONFIG).is_file():  # since this process looked
                raise InputError(f"out: {self.out}: another process has begun a run there; give another directory.")

    def _describe(self) -> None:
        """Write the config, which makes the directory a run's, and the hashes of the sources."""
        replace_text(self.path / CONFIG, dump_config(resolved(self.config)))
        self.write_sources(self.sources)

    def _claim(self) -> None:
        """Lock the directory, and clean up after a killed process."""
        try:
            self._held.enter_context(directory_lock(self.out, wait=False))
        except BlockingIOError:
            raise InputError(
                f"out: {self.out}: another process works on this run; wait for it, or give another directory."
            ) from None
        self._is_held = True
        sweep_partials(self.out)
        if (self.out / ANEW / METRICS).is_file():
            _replace_run(self.out)
            if self.path == self.out:
                self._check_config()

    def _goes_on_anew(self) -> bool:
        """Return whether an interrupted retraining in this directory has the same config and sources."""
        config = self.path / CONFIG
        is_same = config.is_file() and not config_difference(config, self.config)
        return is_same and self.read_sources() == self.sources

    def _check_config(self) -> None:
        difference = config_difference(self.out / CONFIG, self.config)
        if difference:
            raise InputError(
                f"out: {self.out} holds a run with another config ({difference}); give another directory, or "
                f"--overwrite to train anew."
            )

    def _refuse_own_sources(self) -> None:
        """Refuse to replace a run by one that has it as a source."""
        for name, path in source_files(self.config):
            if path.resolve().is_relative_to(self.out.resolve()):
                raise InputError(f"out: {self.out}: --overwrite would replace the {name}; give another --out.")

    def _say_unknown_sources(self) -> None:
        logger.warning(f"{self.out}: begun by an earlier version, which did not record the run's sources")

    def _check_sources(self) -> None:
        before = self.read_sources()
        name = None if before is None else changed_source(before, self.sources)
        if name is not None:
            what = "does not exist any more" if self.sources.get(name) in (None, GONE) else "has changed"
            raise InputError(
                f"{self.out}: {name} {what} since this run began; restore it, or give another --out, or --overwrite to "
                f"train anew."
            )


def _holds_run(out: Path) -> bool:
    """Return whether a directory has a run's `config.yaml`; those of other programs have no `out`."""
    try:
        config = parse_yaml((out / CONFIG).read_text(encoding="utf-8"), CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(config, Mapping) and "out" in config


def look_at_run(config: Any, overwrite: bool = False) -> dict[str, Any] | None:
    """Return the results of a config's complete run; None if there is something to train.

    Raises:
        InputError: as `Run`.
    """
    with Run(config, overwrite) as run:
        return run.results()


def remove(path: Path) -> None:
    """Delete a file or a directory if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace_run(out: Path) -> None:
    """Move a complete retrained run to the place of the old one; after a killed process the next one goes on here.

    `sources.json` moves first: as long as the new run has it, the old run is complete. `metrics.json` moves last.
    """
    anew, names = out / ANEW, (SOURCES, "corpus", *RESULTS, CONFIG, METRICS)
    if (anew / SOURCES).is_file():
        for name in names:
            if not (anew / name).exists():
                remove(out / name)
    for name in names:
        if (anew / name).exists():
            move_over(anew / name, out / name)
    shutil.rmtree(anew)
