"""A run: new, interrupted or complete, made from files that do not change, worked on by one process."""

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
from tinybert_tf.pipeline.runs.same_config import config_difference
from tinybert_tf.pipeline.runs.sources import GONE, changed_source, source_files, sources_of

logger = logging.getLogger(__name__)

# Where a run is trained anew, inside its directory, until it is complete and takes the old one's place.
ANEW = "anew"


class RunState(enum.Enum):
    """How far a run is: `INTERRUPTED` has a checkpoint to go on from, `COMPLETE` has its metrics."""

    NEW = "new"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"


class Run(RunDirectory):
    """The run of a config, in the directory that its `out` names. Nothing is written before `begin`.

    As a context it keeps other processes out of the directory, and refuses a run whose sources changed. Without it,
    the run can be looked at.

    `path` is where training writes: `out` itself, or while a run that is there is trained anew, a directory in it. What
    is there stays until `finish`, which replaces it.

    Args:
        config: a resolved config, with an `out`.
        overwrite: train a run anew that is there, whatever its config and sources.

    Raises:
        InputError: `out` is a file, cannot be written, holds something that is no run, or a run with another config;
            entered: another process works in it, or what an unfinished or complete run was made from has changed.
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
        """How far the run is."""
        if (self.path / METRICS).is_file():
            return RunState.COMPLETE
        return RunState.INTERRUPTED if self.checkpoint.is_file() else RunState.NEW

    @cached_property
    def sources(self) -> dict[str, str]:
        """What the run is made from now."""
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
            if self.state is not RunState.NEW:
                self._check_sources()
            refused.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._is_held = False

    def results(self) -> dict[str, Any] | None:
        """What a complete run measured; None of one that is to be trained."""
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
        """Make the directory; a run that was interrupted keeps what it has, of any other run nothing stays."""
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
        """Make the directory for the body to check its input in: where that is refused, what was not there is gone."""
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
        """Write `metrics.json`: the run is complete, its checkpoint goes, and so does the run that it replaces."""
        self.write_metrics(results)
        self.checkpoint.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in it, or it is not there
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
        """Write what the run is, first its config, which makes the directory a run's; and what it is made from."""
        replace_text(self.path / CONFIG, dump_config(resolved(self.config)))
        self.write_sources(self.sources)

    def _claim(self) -> None:
        """Lock the directory, and put in order what a killed process left in it."""
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
        """Whether an interrupted overwriting of this run is one of the same config and sources."""
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
        """Refuse to replace a run by one that is made from it."""
        for name, path in source_files(self.config):
            if path.resolve().is_relative_to(self.out.resolve()):
                raise InputError(f"out: {self.out}: --overwrite would replace the {name}; give another --out.")

    def _say_unknown_sources(self) -> None:
        logger.warning(f"{self.out}: begun by an earlier version, which did not write down what it was made from")

    def _check_sources(self) -> None:
        before = self.read_sources()
        name = None if before is None else changed_source(before, self.sources)
        if name is not None:
            what = "is not there any more" if self.sources.get(name) in (None, GONE) else "has changed"
            raise InputError(
                f"{self.out}: {name} {what} since this run began; give what it was made from, another --out, or "
                f"--overwrite to train anew."
            )


def _holds_run(out: Path) -> bool:
    """Whether a directory has a run's `config.yaml`; those of other programs name no `out`."""
    try:
        config = parse_yaml((out / CONFIG).read_text(encoding="utf-8"), CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(config, Mapping) and "out" in config


def look_at_run(config: Any, overwrite: bool = False) -> dict[str, Any] | None:
    """What the complete run of a config measured; None where there is something to train.

    Raises:
        InputError: as `Run`.
    """
    with Run(config, overwrite) as run:
        return run.results()


def remove(path: Path) -> None:
    """Delete a file or a directory that may be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace_run(out: Path) -> None:
    """Give a complete run that was trained anew the place of the one around it; a process that is killed goes on here.

    `sources.json` moves first: as long as it is there, the old run is whole. `metrics.json` moves last.
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
