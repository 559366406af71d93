"""Fills a cache: runs a teacher on every row of a data set, and writes its features."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from keras import ops

from tinybert_tf.checkpoints.replace_file import replace_text
from tinybert_tf.distillation.cache.feature_file import CachedFeature, FeatureFile, corner, description, file_bytes
from tinybert_tf.json_file import read_object
from tinybert_tf.slow_work import SlowWork

logger = logging.getLogger(__name__)

PROGRESS = "progress.json"
# The number of batches after which progress is noted, for a restart after an interruption.
BATCHES_PER_SAVE = 64


Answered = tuple[int, np.ndarray, dict[str, np.ndarray]]  # a batch: its number, its rows, the answers by key


class TeacherBatches(Protocol):
    """Rows of the data set and their padded inputs: every row once, always in the same order."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int, /) -> tuple[np.ndarray, Mapping[str, np.ndarray]]: ...


def fill(
    folder: Path,
    missing: Sequence[CachedFeature],
    lengths: np.ndarray,
    batches: TeacherBatches,
    answer: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]],
) -> None:
    """Run the teacher on every row, and write its features; after an interruption continue from there.

    Args:
        folder: the cache's folder, which exists; `PROGRESS` in it says which batches are done.
        missing: the features to write; those that are complete are not among them.
        lengths: the number of tokens of each row, `(rows,)`.
        batches: all rows once, in the same order each time.
        answer: the teacher: from the padded inputs of a batch to `{teacher_key: (rows, ...)}`.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    plan = {"features": [description(feature, lengths) for feature in missing], "of": len(batches)}
    done = _batches_done(folder, plan)
    total = sum(file_bytes(feature, lengths) for feature in missing)
    where = f"goes on after batch {done} of {len(batches)}" if done else f"{len(lengths):,} rows"
    logger.info(f"teacher cache: {where}, {total / 2**20:,.0f} MiB into {folder}")
    if not done:
        _make_files(folder, missing, lengths)
    with contextlib.ExitStack() as stack:
        files = [FeatureFile(folder, feature, lengths, "r+b") for feature in missing]
        for file in files:
            stack.callback(file.close)
        _write_answers(folder, files, lengths, _asked(batches, done, answer, [each.key for each in missing]), plan)
    for feature in missing:
        replace_text(folder / f"{feature.file_name}.json", json.dumps(description(feature, lengths)))
    (folder / PROGRESS).unlink(missing_ok=True)


def _make_files(folder: Path, features: Sequence[CachedFeature], lengths: np.ndarray) -> None:
    """Make empty files of their final size."""
    for feature in features:
        for suffix, size in (("bin", int(feature.row_bytes(lengths).sum())), ("crc", 4 * len(lengths))):
            with (folder / f"{feature.file_name}.{suffix}").open("wb") as empty:
                empty.truncate(size)


def _write_answers(
    folder: Path, files: Sequence[FeatureFile], lengths: np.ndarray, answers: Iterator[Answered], plan: dict[str, Any]
) -> None:
    """Write every row in its place, and note the progress now and then."""
    work = SlowWork("teacher cache", plan["of"])
    for step, rows, values in answers:
        for file in files:
            for place, row in enumerate(rows):
                shape = file.feature.row_shape(int(lengths[row]))
                file.write(int(row), values[file.feature.key][place][corner(shape)])
        work.step(step + 1)
        if (step + 1) % BATCHES_PER_SAVE == 0:
            for file in files:
                file.save()
            replace_text(folder / PROGRESS, json.dumps({**plan, "batches": step + 1}))


def _asked(
    batches: TeacherBatches, done: int, answer: Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]], keys: list[str]
) -> Iterator[Answered]:
    """The remaining batches: number, rows, answers; the teacher computes one while the one before is written."""

    def ask(step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rows, inputs = batches[step]
        answers = answer(inputs)
        return rows, {key: np.asarray(ops.convert_to_numpy(answers[key])) for key in keys}

    with ThreadPoolExecutor(1) as thread:
        coming = None
        for step in range(done, len(batches)):
            # The first batch runs in the caller's thread, where it is traced.
            rows, answers = ask(step) if coming is None else coming.result()
            coming = thread.submit(ask, step + 1) if step + 1 < len(batches) else None
            yield step, rows, answers


def _batches_done(folder: Path, plan: Mapping[str, Any]) -> int:
    """The number of batches that an interrupted filling of the same features has written."""
    try:
        there = read_object(folder / PROGRESS)
        done = int(there.pop("batches"))
        return done if there == plan else 0
    except (OSError, ValueError, KeyError):
        return 0
