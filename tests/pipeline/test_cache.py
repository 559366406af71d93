"""`tinybert cache` lists folders, removes those that are named, and leaves other files alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import TeacherCache
from tinybert_tf.config.schema import DistillConfig
from tinybert_tf.distillation.cache.feature_file import CachedFeature
from tinybert_tf.distillation.cache.folders import longest_unused
from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures

FEATURES = [CachedFeature("teacher/logits", (2,)), CachedFeature("teacher/hidden_states/3", (None, 8))]
LENGTHS = np.array([3, 1])


class Rows:
    """Both rows in one batch."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return np.arange(2), {}


def answer(inputs: Any) -> dict[str, np.ndarray]:
    return {"teacher/logits": np.ones((2, 2), "float32"), "teacher/hidden_states/3": np.ones((2, 3, 8), "float32")}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders of a cache, the first unused for ten days and the second for two; and what is no folder of one."""
    cache = TeacherCache(tmp_path)
    made = []
    for name, days in (("old", 10), ("new", 2)):
        made.append(cache.folder_of("a teacher", name))
        cache.fill(made[-1], FEATURES, LENGTHS, Rows, answer)
        os.utime(made[-1], (time.time() - days * 86400 - 60,) * 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / ("0" * 24)).mkdir()
    (tmp_path / ("0" * 24) / "thesis.tex").write_text("mine")
    return made


@pytest.fixture
def cache(tinybert: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    return lambda *flags: tinybert("cache", *flags, "--dir", tmp_path)


def test_list_shows_the_longest_unused_first(cache: Callable[..., Any], folders: list[Path], tmp_path: Path) -> None:
    first, second, total = cache("list").out.splitlines()
    assert first.split() == (f"{folders[0].name} 0.0 MiB unused for 10 days 2 rows: hidden_states/3, logits".split())
    assert second.startswith(folders[1].name)
    assert total == f"2 folders, 0.0 MiB, in {tmp_path}"


def test_reading_is_using(cache: Callable[..., Any], folders: list[Path]) -> None:
    TeacherFeatures(folders[0], FEATURES, LENGTHS)
    last = cache("list").out.splitlines()[1]
    assert last.startswith(folders[0].name)
    assert "used today" in last


@pytest.mark.parametrize(
    ("flags", "left"),
    [([], []), (["--unused-days", 5], ["new"]), (["NEW"], ["old"]), (["NEW", "--unused-days", 5], ["old", "new"])],
)
def test_clear_removes_what_is_asked_for_and_nothing_of_the_users(
    flags: list[Any], left: list[str], cache: Callable[..., Any], folders: list[Path], tmp_path: Path
) -> None:
    done = cache("clear", *(folders[1].name if flag == "NEW" else flag for flag in flags))
    assert done.status == 0, done.err
    assert [path for name, path in zip(("old", "new"), folders, strict=True) if name in left] == [
        path for path in folders if path.exists()
    ]
    assert done.out.startswith(f"removed {2 - len(left)} folder")
    assert (tmp_path / "notes").exists()
    assert (tmp_path / ("0" * 24) / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["empty"], "tinybert: cache: got 'empty'; expected list or clear."),
        (["list", "abc"], "tinybert: cache list: got 'abc'; expected no folder, since it lists all of them."),
        (["clear", "abc"], "has no folder abc; `tinybert cache list` shows the folders."),
    ],
)
def test_refused(flags: list[str], message: str, cache: Callable[..., Any], folders: list[Path]) -> None:
    refused = cache(*flags)
    assert refused.status == 2
    assert message in refused.err
    assert all(folder.exists() for folder in folders)


def test_over_the_limit_the_longest_unused_are_named(folders: list[Path], tmp_path: Path) -> None:
    assert longest_unused(tmp_path, 1, but=tmp_path) == (
        f"; unused for longest: {folders[0].name} (0.00 GiB, 10 days); `tinybert cache clear FOLDER` removes one"
    )
    assert f"{folders[1].name} (0.00 GiB, 2 days)" in longest_unused(tmp_path, 1000, but=tmp_path)
    assert folders[0].name not in longest_unused(tmp_path, 1, but=folders[0])
    assert longest_unused(tmp_path / "notes", 1, but=tmp_path) == ""


def test_the_limit_is_5_gib(tmp_path: Path) -> None:
    assert DistillConfig.max_disk_gib == 5.0
    assert TeacherCache(tmp_path).max_bytes == 5 * 2**30
