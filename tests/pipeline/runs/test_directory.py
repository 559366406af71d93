"""A run directory: who may claim it, and what is written into it when."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from pathlib import Path

import pytest

from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import Data, FinetuneConfig, ModelSection, Train
from tinybert_tf.errors import InputError
from tinybert_tf.pipeline.runs.directory import RunDirectory

CONFIG = FinetuneConfig(
    model=ModelSection("bert"),
    data=Data(train="train.tsv", dev="dev.tsv", text=("text",), label="label"),
    train=Train(learning_rate=1e-4),
    out="run",
)


def refusal(path: Path, config: FinetuneConfig = CONFIG) -> str:
    with pytest.raises(InputError) as caught:
        RunDirectory(path, config)
    return str(caught.value)


def test_nothing_is_written_before_create(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "runs" / "one", CONFIG)
    assert list(tmp_path.iterdir()) == []
    run.create()
    assert [path.name for path in run.path.iterdir()] == ["config.yaml"]
    assert load_config(FinetuneConfig, run.path / "config.yaml") == CONFIG


def test_the_same_config_may_come_back(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path, CONFIG)
    first.create()
    first.log({"loss": 1.0})
    first.write_metrics({})
    (tmp_path / "model").mkdir()
    again = RunDirectory(tmp_path, CONFIG)
    assert (tmp_path / "metrics.json").exists()
    again.create()
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "model"}


def test_another_config_is_refused(tmp_path: Path) -> None:
    RunDirectory(tmp_path, CONFIG).create()
    other = dataclasses.replace(CONFIG, train=Train(learning_rate=2e-4))
    message = refusal(tmp_path, other)
    assert f"out: {tmp_path} holds a run with another config" in message
    assert "0.0001" in message
    assert "0.0002" in message
    longer = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, test="test.tsv"))
    assert "there 'nothing'" in refusal(tmp_path, longer)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert refusal(file) == f"out: {file} is a file; a new or an empty directory is wanted."
    assert (
        refusal(file / "run") == f"out: {file / 'run'} is inside a file, {file}; a new or an empty directory is wanted."
    )
    assert f"out: {tmp_path} is not empty and holds no run" in refusal(tmp_path)
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    assert "holds a run with another config" in refusal(tmp_path)


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
    run = RunDirectory(tmp_path, CONFIG)
    run.create()
    run.log({"stage": "one", "step": 1, "loss": 0.5})
    run.log({"stage": "two", "step": 2, "accuracy": 0.75})
    with (tmp_path / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"stage": "one", "step": "1", "loss": "0.5", "accuracy": ""},
        {"stage": "two", "step": "2", "loss": "", "accuracy": "0.75"},
    ]


def test_metrics(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, CONFIG)
    run.create()
    run.write_metrics({"model": {"accuracy": 0.5}})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"model": {"accuracy": 0.5}}


def test_logs_go_on_after_an_interruption(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path, CONFIG)
    first.create()
    for epoch in (1, 2):
        first.log({"epoch": epoch, "loss": 0.5})
        first.log({"layer": 1}, {"layer": 2}, name="layer_maps.csv")
    assert first.num_logged == {"log.csv": 2, "layer_maps.csv": 4}
    again = RunDirectory(tmp_path, CONFIG)
    again.keep_logs({"log.csv": 1})
    assert not (tmp_path / "layer_maps.csv").exists()
    again.log({"epoch": 2, "dev_accuracy": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["epoch,loss,dev_accuracy", "1,0.5,", "2,,0.75"]
    assert again.num_logged == {"log.csv": 2}
