"""`teacher_cache`: what is kept, where, how large, and that nothing else changes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import Teacher
from tinybert_tf.distillation.cache.folders import default_directory

ONE_STAGE = ("--set", "stages=[{name: all, losses: [embedding, attention, hidden_state, prediction]}]")
PAPER = "stages.0.losses=[{name: attention, reduction: paper}]"


@pytest.fixture
def run(
    tinybert: Callable[..., Any], teacher_run: Path, data_flags: list[str], training_flags: list[str], tmp_path: Path
) -> Callable[..., Any]:
    """Runs `distill` or `cache-teacher` for two epochs a stage, of two steps each, with a cache of its own."""

    def with_cache(*flags: object, verb: str = "distill", out: str = "run", max_disk_gib: float = 1.0) -> Any:
        settings = [f"cache_dir={tmp_path / 'cache'}", f"max_disk_gib={max_disk_gib}"]
        given = [part for setting in settings for part in ("--set", setting)]
        training = [*training_flags, "--batch-size", 40, "--epochs", 2]
        fixed = ["--teacher", teacher_run, *data_flags, *training, "--out", tmp_path / out]
        return tinybert(verb, *fixed, *given, *flags)

    return with_cache


def losses(run: Path) -> list[dict[str, float]]:
    with (run / "log.csv").open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value and name != "stage"}
            for row in csv.DictReader(file)
        ]


def cached_files(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*.bin")}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every time the teacher's computation is traced."""
    calls: list[int] = []
    call = Teacher.call

    def counting(self: Teacher, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(Teacher, "call", counting)
    return calls


@pytest.mark.usefixtures("eager")
def test_the_same_training_with_a_cache_and_a_second_run_that_finds_it(
    run: Callable[..., Any], tmp_path: Path, counted: list[int]
) -> None:
    off = run(*ONE_STAGE, "--set", "teacher_cache=off", out="off")
    assert off.status == 0, off.err
    assert not (tmp_path / "cache").exists()
    assert "teacher cache" not in off.err
    without = len(counted)
    first = run(*ONE_STAGE, out="first")
    assert first.status == 0, first.err
    assert first.err.count("teacher cache: ") == 2  # train and dev
    assert cached_files(tmp_path / "cache") == {
        f"{name}.bin" for name in ("attention_scores-2", "hidden_states-0", "hidden_states-2", "logits")
    }
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.bin")}
    counted.clear()
    second = run(*ONE_STAGE, "--seed", 2, "--set", "student.init=random", out="second")
    assert second.status == 0, second.err
    assert "teacher cache" not in second.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.bin")} == written
    # The shapes of its features are asked for, by the Distiller; the training does not run it.
    assert len(counted) < without
    for with_cache, exact in zip(losses(tmp_path / "first"), losses(tmp_path / "off"), strict=True):
        assert with_cache.keys() == exact.keys()
        for name in exact.keys() - {"input_wait"}:
            assert with_cache[name] == pytest.approx(exact[name], rel=5e-3, abs=5e-3), name


def test_logits_alone(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("--set", "teacher_cache=logits", verb="cache-teacher").status == 0
    assert cached_files(tmp_path / "cache") == {"logits.bin"}


def test_what_does_not_fit(run: Callable[..., Any], tmp_path: Path) -> None:
    """80 and 40 rows of two float32 logits and a checksum are a kilobyte; the features are more."""
    small = run(verb="cache-teacher", max_disk_gib=3e-6)
    assert small.status == 0, small.err
    assert "teacher cache: train: the teacher's features need 0.00 GiB, more than max_disk_gib=3e-06 and" in small.err
    assert cached_files(tmp_path / "cache") == {"logits.bin"}
    refused = run("--set", "teacher_cache=features", out="other", max_disk_gib=3e-6)
    assert (refused.status, refused.out) == (2, "")
    assert "tinybert: teacher_cache: train: the teacher's features need" in refused.err
    assert not (tmp_path / "other").exists()


def test_a_loss_that_compares_padding(run: Callable[..., Any], tmp_path: Path) -> None:
    kept = run("--set", PAPER, verb="cache-teacher")
    assert kept.status == 0
    assert kept.err.count("teacher cache: attention_loss compares padding too, which is not kept") == 1
    assert cached_files(tmp_path / "cache") == {"logits.bin"}
    refused = run("--set", PAPER, "--set", "teacher_cache=features", out="other")
    assert refused.status == 2
    assert refused.err.splitlines()[-1] == (
        "tinybert: teacher_cache: 'features' of stage 'intermediate': attention_loss compares padding too, which a "
        "cache does not have; expected a loss that heeds `mask` (reduction 'tokens'), or auto."
    )


@pytest.mark.usefixtures("eager")
def test_one_pass_is_not_worth_a_cache(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(*ONE_STAGE, "--epochs", 1, "--max-steps", 2).status == 0
    assert not (tmp_path / "cache").exists()


def test_damage_ends_the_run(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(verb="cache-teacher").status == 0
    for path in (tmp_path / "cache").rglob("logits.bin"):
        path.write_bytes(bytes(len(path.read_bytes())))
    damaged = run(out="other")
    assert damaged.status == 2
    assert "logits.bin: damaged at row" in damaged.err.splitlines()[-1]


def test_the_verb_fills_it(run: Callable[..., Any], tmp_path: Path) -> None:
    done = run("--epochs", 1, verb="cache-teacher")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        "train, stage intermediate",
        "train, stage prediction",
        "dev, stage intermediate",
        "dev, stage prediction",
    ]
    assert lines[4:] == [f"in {tmp_path / 'cache'}"]
    assert not (tmp_path / "run").exists()
    nothing = run("--set", "teacher_cache=off", verb="cache-teacher")
    assert nothing.out == "nothing to keep: teacher_cache is off, or too little room\n"


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TINYBERT_CACHE", str(tmp_path / "here"))
    assert default_directory() == tmp_path / "here"
    monkeypatch.delenv("TINYBERT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert default_directory() == tmp_path / "there" / "tinybert_tf" / "teachers"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "tinybert_tf" / "teachers"
