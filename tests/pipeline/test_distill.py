"""`distill` end to end: stages, baseline, run directory, determinism, and the guard on the teacher."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import Data, DistillConfig, Stage, StudentSection, TeacherSection, Train
from tinybert_tf.errors import InputError
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.pipeline import distill
from tinybert_tf.pipeline.callbacks import BestEpoch

METRICS = {"accuracy", "f1", "matthews_correlation"}
COST = {"parameters", "size_bytes", "latency_ms"}
LOSSES = {"intermediate": {"embedding_loss", "attention_loss", "hidden_state_loss"}, "prediction": {"prediction_loss"}}


@pytest.fixture
def config(teacher_run: Path, opinions: Path, tmp_path: Path) -> DistillConfig:
    files = {split: str(opinions / f"{split}.tsv") for split in ("train", "dev")}
    return DistillConfig(
        teacher=TeacherSection(str(teacher_run)),
        data=Data(**files, text=("text",), label="label", max_length=16),
        train=Train(epochs=2, batch_size=8, learning_rate=1e-2, precision="float32"),
        out=str(tmp_path / "run"),
    )


def log_rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights_of(directory: Path) -> dict[str, np.ndarray]:
    model = SequenceClassifier.from_pretrained(directory, dtype="float32")
    return {name: variable.numpy() for name, variable in model.variables_by_name().items()}


# === The run directory ===


def test_the_run_directory(distilled_run: Path, config: DistillConfig) -> None:
    assert {path.name for path in distilled_run.iterdir()} == {
        "baseline", "config.yaml", "log.csv", "metrics.json", "student", "tensorboard",
    }  # fmt: skip
    for name in ("student", "baseline"):
        assert {path.name for path in (distilled_run / name).iterdir()} == {
            "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
            "vocab.txt",
        }  # fmt: skip
        assert json.loads((distilled_run / name / "config.json").read_text())["num_hidden_layers"] == 1
    written = load_config(DistillConfig, distilled_run / "config.yaml")
    assert written == dataclasses.replace(config, out=str(distilled_run), baseline=True)
    for stage in ("intermediate", "prediction", "baseline-intermediate", "baseline-prediction"):
        for part in ("train", "validation"):
            assert list((distilled_run / "tensorboard" / stage / part).glob("events.out.tfevents.*"))


def test_the_log_has_each_loss_by_name(distilled_run: Path) -> None:
    rows = log_rows(distilled_run)
    assert [(row["stage"], int(row["epoch"]), int(row["step"])) for row in rows] == [
        (f"{prefix}{stage}", epoch, 10 * epoch)
        for prefix in ("", "baseline-")
        for stage in ("intermediate", "prediction")
        for epoch in (1, 2)
    ]
    for row in rows:
        logged = {name for name, value in row.items() if value}
        losses = LOSSES.get(row["stage"], set())
        assert {*losses, *(f"val_{name}" for name in losses), "loss", "val_loss"} <= logged
        others = set().union(*LOSSES.values()) - losses
        assert not others & logged
        # The first stage never trains the head: its epochs are not candidates for the best.
        assert ("dev_accuracy" in logged) is (row["stage"] != "intermediate")
        total = sum(float(row[name]) for name in losses)
        assert not losses or float(row["loss"]) == pytest.approx(total, rel=1e-5)


def test_metrics(distilled_run: Path, teacher_run: Path) -> None:
    metrics = json.loads((distilled_run / "metrics.json").read_text())
    assert list(metrics) == ["teacher", "student", "baseline", "data"]
    assert metrics["data"] == {"train": {"rows": 80, "truncated": 0}, "dev": {"rows": 40, "truncated": 0}}
    assert metrics["teacher"].keys() == METRICS | COST
    assert metrics["student"].keys() == metrics["baseline"].keys() == METRICS | COST | {"seconds"}
    of_teacher = json.loads((teacher_run / "metrics.json").read_text())["model"]
    assert {name: metrics["teacher"][name] for name in METRICS} == {name: of_teacher[name] for name in METRICS}
    assert metrics["student"]["parameters"] == metrics["baseline"]["parameters"] < metrics["teacher"]["parameters"]
    rows = log_rows(distilled_run)
    for name, prefixes in {"student": ("prediction",), "baseline": ("baseline-",)}.items():
        best = max(float(row["dev_accuracy"]) for row in rows if row["stage"].startswith(prefixes))
        assert metrics[name]["accuracy"] == best


def test_what_is_said(distilled: tuple[Path, Any]) -> None:
    _, command = distilled
    said = command.err
    assert said.index("teacher: dev accuracy") < said.index("[intermediate] learns\nstudent  teacher\n")
    assert said.index("[intermediate] learns") < said.index("  epoch 1  step 10/20  ")
    assert "student: starts from the teacher's layers [2]\n" in said
    assert "[prediction] learns" in said
    assert "WARNING" not in said
    names = [line.split("|")[1].strip() for line in command.out.splitlines()]
    assert names[2:] == ["teacher", "student", "baseline"]


# === Student and baseline ===


@dataclass
class Training:
    """What one call of `train_stage` was given."""

    stage: str
    weights: list[np.ndarray]
    first_epoch: int
    order: list[list[int]]
    steps: int
    learning_rate: float


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """The calls of `train_stage`, which trains nothing here; nor is anything measured at the end."""
    calls: list[Training] = []

    def record(model: Any, stage: Any, train: Any, validation_data: Any, callbacks: list[Any], **_: Any) -> None:
        student = getattr(model, "student", model)
        weights = [variable.numpy().copy() for variable in student.weights]
        order = [train.rows(step).tolist() for step in range(len(train))]
        steps = stage.total_steps(train)
        calls.append(Training(stage.name, weights, train.epoch, order, steps, stage.learning_rate))
        for callback in callbacks:
            if isinstance(callback, BestEpoch):
                callback.on_epoch_end(0)

    monkeypatch.setattr(distill, "train_stage", record)
    monkeypatch.setattr(distill, "measure_models", lambda models, *_: {name: {} for name in models})
    return calls


def test_the_baseline_differs_in_the_teacher_only(config: DistillConfig, trainings: list[Training]) -> None:
    random = dataclasses.replace(config, student=StudentSection(init="random", hidden_size=8), baseline=True)
    distill.run_distill(random)
    student, baseline = trainings[:2], trainings[2:]
    assert [call.stage for call in student] == ["intermediate", "prediction"]
    for ours, theirs in zip(student, baseline, strict=True):
        assert (ours.order, ours.first_epoch, ours.steps) == (theirs.order, theirs.first_epoch, theirs.steps)
        assert ours.learning_rate == theirs.learning_rate
        for weight, its_weight in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(weight, its_weight)
    assert [call.first_epoch for call in student] == [0, 2]  # the second stage goes on where the first one ended
    assert student[0].order != student[1].order


def test_stages_from_a_config(config: DistillConfig, trainings: list[Training]) -> None:
    losses = config.stages[1].losses
    stages = (
        Stage("one", losses, epochs=3, learning_rate=1e-3),
        Stage("two", losses, batch_size=40),
        Stage("three", losses, max_steps=5),
    )
    distill.run_distill(
        dataclasses.replace(
            config, stages=stages, train=Train(epochs=1, batch_size=20, max_steps=9, precision="float32")
        )
    )
    assert [(call.stage, call.steps, call.first_epoch) for call in trainings] == [
        ("one", 9, 0),
        ("two", 2, 3),
        ("three", 4, 4),
    ]
    assert [call.learning_rate for call in trainings] == [1e-3, 5e-5, 5e-5]


# === Determinism and caps ===


def test_the_same_seed_gives_the_same_weights(
    distilled_run: Path, config: DistillConfig, tinybert: Callable[..., Any], tmp_path: Path
) -> None:
    """Bit for bit in float32; this time from a YAML file, and without a baseline."""
    text = (distilled_run / "config.yaml").read_text().replace("baseline: true", "baseline: false")
    (tmp_path / "run.yaml").write_text(text)
    command = tinybert("distill", tmp_path / "run.yaml", "--out", tmp_path / "again")
    assert command.status == 0, command.err
    weights = [run / "student" / "model.safetensors" for run in (distilled_run, tmp_path / "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (tmp_path / "again" / "baseline").exists()
    assert list(json.loads((tmp_path / "again" / "metrics.json").read_text())) == ["teacher", "student", "data"]


def test_flags_win_over_a_file_and_a_weak_teacher_may_be_allowed(
    config: DistillConfig, trainings: list[Training], encoder_dir: Path, tmp_path: Path
) -> None:
    weak = SequenceClassifier.from_pretrained(encoder_dir, dtype="float32")
    weak = SequenceClassifier(weak.encoder, id2label=["negative", "positive"], dtype="float32")
    weak.classifier.bias.assign([9.0, -9.0])
    weak.save_pretrained(tmp_path / "weak")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "weak" / file).write_bytes((encoder_dir / file).read_bytes())
    (tmp_path / "run.yaml").write_text(
        f"data: {{train: {config.data.train}, dev: {config.data.dev}, text: text, label: label, max_length: 16}}\n"
        "train: {batch_size: 8, precision: float32}\n"
        "stages:\n"
        "  - {name: inside, losses: [hidden_state], epochs: 5, max_steps: 40}\n"
        "  - {name: outside, losses: [{name: prediction, temperature: 2.0}], epochs: 4, learning_rate: 1e-3}\n"
        f"out: {tmp_path}/elsewhere\n"
    )
    flags = {
        "teacher.dir": str(tmp_path / "weak"),
        "train.epochs": 1,
        "train.max_steps": 7,
        "out": str(tmp_path / "run"),
    }
    given = load_config(DistillConfig, tmp_path / "run.yaml", flags, ["student.hidden_size=8"])
    with pytest.raises(InputError, match="no better than the majority class"):
        distill.run_distill(given)
    assert not (tmp_path / "run").exists()
    distill.run_distill(dataclasses.replace(given, allow_weak_teacher=True))
    assert [(call.stage, call.steps, call.learning_rate) for call in trainings] == [
        ("inside", 7, 5e-5),
        ("outside", 7, 1e-3),
    ]
    assert not (tmp_path / "elsewhere").exists()
    written = load_config(DistillConfig, tmp_path / "run" / "config.yaml")
    assert (written.train.epochs, written.student.hidden_size, written.allow_weak_teacher) == (1, 8, True)
    assert [stage.epochs for stage in written.stages] == [None, None]
