"""`distill` and `finetune` that are interrupted end where an uninterrupted run does; other sources are refused."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf.training.run_checkpoint import RunCheckpoint

# The last line of a process that the system ends without a word: its second epoch is over, and not in the checkpoint.
KILLED_IN_THE_SECOND_EPOCH = """
import os, signal, sys
from tinybert_tf.cli import main
from tinybert_tf.trainable.trainable_model import TrainableModel
from tinybert_tf.training.run_checkpoint import RunCheckpoint

compile, save, saved = TrainableModel.compile, RunCheckpoint.save, []

def compile_eagerly(self, *arguments, **kwargs):
    compile(self, *arguments, **{"run_eagerly": True, **kwargs})

def save_once(self, notes):
    if saved:
        os.kill(os.getpid(), signal.SIGKILL)
    saved.append(notes)
    save(self, notes)

TrainableModel.compile = compile_eagerly
RunCheckpoint.save = save_once
main(sys.argv[1:])
"""

STAGES = """
stages:
  - {name: inside, losses: [embedding, hidden_state], layer_map: emd, epochs: 2}
  - {name: both, losses: [{name: prediction, weight: {start: 0.0, end: 1.0, steps: 3}}], epochs: 1}
  - {name: last, losses: [hidden_state, prediction], epochs: 1}
baseline: true
"""

Interrupted = Callable[..., str]


@pytest.fixture
def interrupted(tinybert: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> Interrupted:
    """Runs a command up to the end of the epoch after `epochs`, stops it there as Ctrl-C does, and gives its log."""

    def interrupted(epochs: int, *arguments: object) -> str:
        save, saved = RunCheckpoint.save, []

        def save_some(self: RunCheckpoint, notes: dict[str, Any]) -> None:
            if len(saved) == epochs:
                raise KeyboardInterrupt
            saved.append(notes)
            save(self, notes)

        caplog.clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(RunCheckpoint, "save", save_some)
            with pytest.raises(KeyboardInterrupt):
                tinybert(*arguments)
        return caplog.text

    return interrupted


@pytest.fixture
def distill_flags(teacher_run: Path, data_flags: list[str], training_flags: list[str]) -> list[object]:
    """A distillation, but for its stages and its directory."""
    return ["distill", "--teacher", teacher_run, *data_flags, *training_flags, "--no-augment"]


def rows_of(path: Path) -> list[dict[str, str]]:
    """A log, without what is different in every run."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "input_wait"} for row in csv.DictReader(file)]


def metrics_of(run: Path) -> Any:
    """`metrics.json`, without what is different in every run."""
    metrics = json.loads((run / "metrics.json").read_text())
    for values in metrics.values():
        for name in ("seconds", "latency_ms"):
            values.pop(name, None)
    return metrics


def assert_same(run: Path, other: Path) -> None:
    """The same files, but for what is different in every run."""
    assert {path.name for path in run.iterdir()} == {path.name for path in other.iterdir()}
    for name in ("student", "baseline", "model"):
        for path in (other / name).glob("*"):
            assert (run / name / path.name).read_bytes() == path.read_bytes(), path
    for path in other.glob("*.csv"):
        assert rows_of(run / path.name) == rows_of(path), path
    assert metrics_of(run) == metrics_of(other)


@pytest.mark.usefixtures("eager")
def test_an_interrupted_distillation(
    tinybert: Callable[..., Any], interrupted: Interrupted, distill_flags: list[object], tmp_path: Path
) -> None:
    """Killed within a stage, then stopped between two of them, and within the baseline."""
    (tmp_path / "run.yaml").write_text(STAGES)
    # Narrower: two of the stages have a projection.
    flags = [*distill_flags, "--batch-size", 40, "--set", "student.hidden_size=8", tmp_path / "run.yaml"]
    whole = tmp_path / "whole"
    assert tinybert(*flags, "--out", whole).status == 0

    out = tmp_path / "run"
    arguments = [*map(str, flags), "--out", str(out)]
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_THE_SECOND_EPOCH, *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(rows_of(out / "log.csv")) == 2
    assert "goes on after epoch 1 of the student's stage 'inside'\n" in interrupted(2, *arguments)
    assert "goes on after epoch 1 of the student's stage 'both'\n" in interrupted(2, *arguments)
    again = tinybert(*arguments)
    assert again.status == 0, again.err
    assert "goes on after epoch 1 of the baseline's stage 'inside'\n" in again.err
    assert "[both] learns" not in again.err
    assert_same(out, whole)


@pytest.mark.usefixtures("eager")
def test_an_interrupted_fine_tuning(
    tinybert: Callable[..., Any],
    interrupted: Interrupted,
    encoder_dir: Path,
    data_flags: list[str],
    training_flags: list[str],
    tmp_path: Path,
) -> None:
    flags = ["finetune", "--model", encoder_dir, *data_flags, *training_flags, "--batch-size", 40, "--epochs", 3]
    assert tinybert(*flags, "--out", tmp_path / "whole").status == 0
    interrupted(2, *flags, "--out", tmp_path / "run")
    again = tinybert(*flags, "--out", tmp_path / "run")
    assert again.status == 0, again.err
    assert f"{tmp_path / 'run'}: goes on after epoch 2 of the model's stage 'finetune'\n" in again.err
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("verb", ["finetune", "distill"])
def test_the_command_of_a_complete_run_trains_nothing(
    request: pytest.FixtureRequest,
    tinybert: Callable[..., Any],
    encoder_dir: Path,
    distill_flags: list[object],
    data_flags: list[str],
    training_flags: list[str],
    opinions: Path,
    verb: str,
) -> None:
    commands: dict[str, list[object]] = {
        "finetune": ["finetune", "--model", encoder_dir, *data_flags, "--test", opinions / "test.tsv",
                     *training_flags, "--epochs", 6],
        "distill": [*distill_flags, "--epochs", 2, "--baseline"],
    }  # fmt: skip
    run, first = request.getfixturevalue({"finetune": "finetuned", "distill": "distilled"}[verb])
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*")}
    again = tinybert(*commands[verb], "--out", run)
    assert again.status == 0, again.err
    assert again.out == first.out
    assert again.err == f"{run}: this run is complete; it measured:\n"
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.rglob("*")} == before


@pytest.mark.usefixtures("eager")
def test_patience_goes_on(
    tinybert: Callable[..., Any], interrupted: Interrupted, distill_flags: list[object], tmp_path: Path
) -> None:
    """Nothing is learned at this rate: the first epoch is never beaten, and the third one is the last."""
    stages = "stages=[{name: one, losses: [prediction], epochs: 9, patience: 2, learning_rate: 1e-12}]"
    flags = [*distill_flags, "--batch-size", 40, "--set", stages, "--out", tmp_path]
    interrupted(2, *flags)
    again = tinybert(*flags)
    assert again.status == 0, again.err
    assert "[one] ends early: 2 epochs without a higher dev accuracy\n" in again.err
    assert [row["epoch"] for row in rows_of(tmp_path / "log.csv")] == ["1", "2", "3"]


@pytest.mark.usefixtures("eager")
def test_other_sources_are_refused(
    tinybert: Callable[..., Any],
    interrupted: Interrupted,
    encoder_dir: Path,
    opinions: Path,
    training_flags: list[str],
    tmp_path: Path,
) -> None:
    train = tmp_path / "train.tsv"
    train.write_bytes((opinions / "train.tsv").read_bytes())
    files = ["--train", train, "--dev", opinions / "dev.tsv", "--text", "text", "--label", "label", "--max-length", 16]
    fixed = ["--batch-size", 40, "--epochs", 2, "--out", tmp_path / "run"]
    flags = ["finetune", "--model", encoder_dir, *files, *training_flags, *fixed]
    interrupted(1, *flags)
    before = (tmp_path / "run" / "log.csv").read_bytes()
    rows = train.read_text().splitlines()
    train.write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    refused = tinybert(*flags)
    assert refused.status == 2
    assert refused.err.splitlines()[-1] == (
        f"tinybert: {tmp_path / 'run'}: train file {train} has changed since this run began; restore it, or give "
        f"another --out, or --overwrite to train anew."
    )
    assert (tmp_path / "run" / "log.csv").read_bytes() == before
    anew = tinybert(*flags, "--overwrite")
    assert anew.status == 0, anew.err
    assert "goes on after" not in anew.err
    assert [row["epoch"] for row in rows_of(tmp_path / "run" / "log.csv")] == ["1", "2"]
