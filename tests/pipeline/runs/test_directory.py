"""The files of a run directory: logs, metrics, and where one can be."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.pipeline.runs.directory import RunDirectory, check_can_be_made


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_can_be_made(path)
    return str(caught.value)


def test_a_path_that_is_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    expected = "expected a new or an empty directory."
    assert refusal(file) == f"out: {file} is a file; {expected}"
    assert refusal(file / "run") == f"out: {file / 'run'} is inside a file, {file}; {expected}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(tmp_path / "run")


def test_permission_is_asked_of_the_nearest_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, mode: bool(asked.append(path)))
    assert f"cannot be written: no permission for {tmp_path}" in refusal(tmp_path / "a" / "b")
    assert asked == [tmp_path]


def test_the_log_has_the_columns_of_all_stages(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.log({"stage": "one", "step": 1, "loss": 0.5})
    run.log({"stage": "two", "step": 2, "accuracy": 0.75})
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == RunDirectory(tmp_path).read_log()
    assert rows == [
        {"stage": "one", "step": "1", "loss": "0.5", "accuracy": ""},
        {"stage": "two", "step": "2", "loss": "", "accuracy": "0.75"},
    ]


def test_metrics(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.read_metrics() is None
    run.write_metrics({"model": {"accuracy": 0.5}})
    assert json.loads((tmp_path / "metrics.json").read_text()) == run.read_metrics() == {"model": {"accuracy": 0.5}}
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: not valid JSON"):
        run.read_metrics()


def test_resamples(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.read_resamples() == {}
    values = np.random.default_rng(0).random(1000)
    run.write_resamples({"student/dev/accuracy": values})
    read = run.read_resamples()
    assert list(read) == ["student/dev/accuracy"]
    np.testing.assert_array_equal(read["student/dev/accuracy"], values)


@pytest.mark.parametrize("content", [b"", b"PK", b"not an archive"])
def test_resamples_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "resamples.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"resamples\.npz: expected NumPy arrays, got a file that cannot be read \("):
        RunDirectory(tmp_path).read_resamples()


def test_logs_go_on_after_an_interruption(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path)
    for epoch in (1, 2):
        first.log({"epoch": epoch, "loss": 0.5})
        first.log({"layer": 1}, {"layer": 2}, name="layer_maps.csv")
    assert first.num_logged == {"log.csv": 2, "layer_maps.csv": 4}
    again = RunDirectory(tmp_path)
    again.keep_logs({"log.csv": 1})
    assert not (tmp_path / "layer_maps.csv").exists()
    again.log({"epoch": 2, "dev_accuracy": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["epoch,loss,dev_accuracy", "1,0.5,", "2,,0.75"]
    assert again.num_logged == {"log.csv": 2}
