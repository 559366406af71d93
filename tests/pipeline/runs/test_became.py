"""The last lines of a run: what its student became, what a smaller one would save, how to export it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinybert_tf import EncoderConfig
from tinybert_tf.pipeline.runs.became import became
from tinybert_tf.pipeline.runs.directory import RunDirectory

TEACHER = EncoderConfig(num_hidden_layers=6, hidden_size=384, intermediate_size=1536, vocab_size=1000)
SMALL = dict(num_hidden_layers=3, hidden_size=264, intermediate_size=1056)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with a `small` student."""
    for name, config in {"teacher": TEACHER, "run/student": dataclasses.replace(TEACHER, **SMALL)}.items():
        (tmp_path / name).mkdir(parents=True)
        config.to_json(tmp_path / name / "config.json")
    (tmp_path / "run" / "config.yaml").write_text(f"teacher: {{dir: {tmp_path / 'teacher'}}}\nout: run\n")
    return RunDirectory(tmp_path / "run")


def results(teacher: float = 0.9, student: float = 0.81, test: bool = True) -> dict[str, Any]:
    values = {
        "teacher": {"accuracy": teacher, "parameters": 11_000_000, "latency_ms": 6.0},
        "student": {"accuracy": student, "parameters": 4_000_000, "latency_ms": 2.0},
    }
    return {
        name: {**each, "test": {"accuracy": each["accuracy"] / 2}} if test else each for name, each in values.items()
    }


def test_size_speed_and_score(run: RunDirectory) -> None:
    start = "student: 3 x 264, 4.00 M parameters, 2.8x smaller and 3.0x faster than its teacher; "
    values = results()
    assert became(values, run, "accuracy")[0] == f"{start}test accuracy 40.5%, 90.0% of its teacher's"
    values["student"]["test"]["standard_error"] = {"accuracy": 0.021}
    assert became(values, run, "accuracy")[0] == f"{start}test accuracy 40.5% ± 2.1, 90.0% of its teacher's"
    assert became(results(test=False), run, "accuracy")[0] == f"{start}dev accuracy 81.0%, 90.0% of its teacher's"


def test_no_share_of_a_score_that_is_not_above_0(run: RunDirectory) -> None:
    assert became(results(teacher=-0.1), run, "accuracy")[0].endswith("than its teacher; test accuracy 40.5%")


def test_a_slower_student_is_called_so(run: RunDirectory) -> None:
    values = results()
    values["student"]["latency_ms"] = 9.0
    assert "2.8x smaller and 1.5x slower than its teacher" in became(values, run, "accuracy")[0]


def test_the_next_smaller_size(run: RunDirectory) -> None:
    """By hand, with w the width: embeddings 1514 w and LayerNorm 2 w; a layer 12 w^2 + 13 w; a pooler w^2 + w; and
    w + 1 for the head. Arithmetic of a layer: 24 w^2 + 256 w, for 64 tokens."""
    weights = {w: 1516 * w + 3 * (12 * w * w + 13 * w) + w * w + w + w + 1 for w in (264, 168)}
    saved = (weights[264] - weights[168]) / 1e6
    share = 1 - (24 * 168**2 + 256 * 168) / (24 * 264**2 + 256 * 264)
    assert became(results(), run, "accuracy")[1] == (
        f"the next smaller one: --student tiny, 3 x 168, would save {saved:.2f} M of its 4.00 M parameters and "
        f"{share:.0%} of the arithmetic of its layers"
    )


def test_nothing_is_smaller_than_tiny(run: RunDirectory) -> None:
    dataclasses.replace(TEACHER, num_hidden_layers=2, hidden_size=168, intermediate_size=672).to_json(
        run.path / "student" / "config.json"
    )
    assert len(became(results(), run, "accuracy")) == 2


def test_a_teacher_that_is_gone(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "teacher" / "config.json").unlink()
    first, last = became(results(), run, "accuracy")
    assert first.startswith("student: ")
    assert last.startswith("export it: ")


def test_the_command_that_exports_it(run: RunDirectory) -> None:
    flags = "--format litert --quantize dynamic_int8"
    assert (
        became(results(), run, "accuracy")[-1]
        == f"export it: tinybert export {run.path} {flags} --out {run.path}/export"
    )
    (run.path / "export").mkdir()
    assert became(results(), run, "accuracy")[-1] == f"exported: {run.path}/export"
    spaced = RunDirectory(run.path.rename(run.path.parent / "my run"))
    (spaced.path / "export").rmdir()
    assert f"tinybert export '{spaced.path}' " in became(results(), spaced, "accuracy")[-1]


def test_a_run_without_a_student(tmp_path: Path) -> None:
    assert became({"model": {"accuracy": 0.5}}, RunDirectory(tmp_path), "accuracy") == []


def test_the_command_works(distilled: tuple[Path, Any], tinybert: Callable[..., Any], tmp_path: Path) -> None:
    """The text at the end of a run, without its directory."""
    pytest.importorskip("ai_edge_litert")
    line = distilled[1].out.rstrip().splitlines()[-1]
    words = line.removeprefix("export it: tinybert ").split()
    assert line.startswith("export it: ")
    assert words[:2] == ["export", str(distilled[0])]
    command = tinybert(*words[:-1], tmp_path / "export")
    assert command.status == 0, command.err
    assert (tmp_path / "export" / "model.tflite").is_file()
