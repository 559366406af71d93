"""`distill` end to end: stages, baseline, run directory, determinism, and the guard on the teacher."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, SequenceClassifier, load_tokenizer
from tinybert_tf.config.load import load_config
from tinybert_tf.config.schema import (
    Data,
    DistillConfig,
    LossSection,
    StageSection,
    StudentSection,
    TeacherSection,
    Train,
)
from tinybert_tf.pipeline import distill
from tinybert_tf.pipeline.parts import training
from tinybert_tf.pipeline.parts.distillation import prepare
from tinybert_tf.pipeline.runs.callbacks import BestEpoch, MeasureDev

NUMBERS = {"accuracy", "f1", "f1_macro", "matthews_correlation"}
METRICS = NUMBERS | {"standard_error", "positive_label", "per_class"}
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
        "baseline", "config.yaml", "log.csv", "metrics.json", "resamples.npz", "sources.json", "student", "tensorboard",
    }  # fmt: skip
    for name in ("student", "baseline"):
        assert {path.name for path in (distilled_run / name).iterdir()} == {
            "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
            "vocab.txt",
        }  # fmt: skip
        assert json.loads((distilled_run / name / "config.json").read_text())["num_hidden_layers"] == 1
    written = load_config(DistillConfig, distilled_run / "config.yaml")
    assert written == dataclasses.replace(
        config,
        out=str(distilled_run),
        student=StudentSection(size="medium"),
        baseline=True,
        metric="accuracy",
        data=dataclasses.replace(config.data, augment=0),
        chosen=("data.augment",),
    )
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
    assert list(metrics) == ["teacher", "student", "baseline", "comparisons", "data"]
    assert metrics["data"] == {"train": {"rows": 80, "truncated": 0}, "dev": {"rows": 40, "truncated": 0}}
    assert metrics["teacher"].keys() == METRICS | COST
    assert metrics["baseline"].keys() == METRICS | COST | {"seconds"}
    assert metrics["student"].keys() == METRICS | COST | {"seconds", "steps", "before_training"}
    assert metrics["student"]["steps"] == 40
    assert metrics["student"]["before_training"]["dev"].keys() == NUMBERS
    of_teacher = json.loads((teacher_run / "metrics.json").read_text())["model"]
    assert {name: metrics["teacher"][name] for name in METRICS} == {name: of_teacher[name] for name in METRICS}
    assert metrics["student"]["parameters"] == metrics["baseline"]["parameters"] < metrics["teacher"]["parameters"]
    for name in ("teacher", "baseline"):
        ((split, by_pair),) = metrics["comparisons"].items()
        assert split == "dev"
        found = by_pair[f"student_{name}"]
        assert found.keys() == NUMBERS
        for metric, comparison in found.items():
            assert comparison["difference"] == metrics["student"][metric] - metrics[name][metric]
            assert comparison["interval"][0] <= comparison["difference"] <= comparison["interval"][1]
    rows = log_rows(distilled_run)
    for name, prefixes in {"student": ("prediction",), "baseline": ("baseline-",)}.items():
        best = max(float(row["dev_accuracy"]) for row in rows if row["stage"].startswith(prefixes))
        assert metrics[name]["accuracy"] == best


def test_what_is_said(distilled: tuple[Path, Any]) -> None:
    _, command = distilled
    said = command.err
    assert said.index("teacher: dev accuracy") < said.index("[intermediate] learns\nstudent  teacher\n")
    assert said.index("[intermediate] learns") < said.index("  epoch 1  step 10/20  ")
    assert "student: cut from the teacher's layers [2] on 80 texts; " in said
    assert "[prediction] learns" in said
    assert "WARNING" not in said
    table, _, meaning = command.out.partition("\n\n")
    names = [line.split("|")[1].strip() for line in table.splitlines()]
    assert names[2:] == ["teacher", "student", "baseline"]
    assert re.match(r"the (baseline (may be as good|is better)|teacher helps): dev accuracy \d", meaning)
    assert "\nstudent: dev F1 by class (and how many): negative " in meaning
    inside = said[said.index("[intermediate] learns") :]
    assert inside.startswith(
        "[intermediate] learns\nstudent  teacher\n      0        0  embedding output\n      1        2\n["
    )


# === Student and baseline ===


@dataclass
class Training:
    """What one call of `train_stage` was given."""

    stage: Any
    weights: list[np.ndarray]
    first_epoch: int
    order: list[list[int]]
    tokens: Any
    labels: list[int] | None
    steps: int
    last_step: int | None
    watched: str
    measures: bool

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def learning_rate(self) -> float:
        return self.stage.learning_rate


@pytest.fixture
def ends_after() -> dict[str, int]:
    """Epochs after which the student's stages of these names have no patience any more."""
    return {}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch, ends_after: dict[str, int]) -> list[Training]:
    """The calls of `train_stage`, which trains nothing here; nor is anything measured at the end."""
    calls: list[Training] = []

    def record(
        model: Any, stage: Any, train: Any, callbacks: list[Any], watched: str, last_step: int | None, **_: Any
    ) -> SimpleNamespace:
        student = getattr(model, "student", model)
        weights = [variable.numpy().copy() for variable in student.weights]
        order = [train.rows(step).tolist() for step in range(len(train))]
        steps = stage.total_steps(len(train))
        labels = None if train.labels is None else train.labels.tolist()
        measures = any(isinstance(callback, MeasureDev) for callback in callbacks)
        calls.append(
            Training(stage, weights, train.epoch, order, train.tokens, labels, steps, last_step, watched, measures)
        )
        for callback in callbacks:
            if isinstance(callback, BestEpoch):
                callback.on_epoch_end(0)
        planned = -(-(last_step or steps) // len(train))
        epochs = planned if last_step else min(planned, ends_after.get(stage.name, planned))
        train.epoch += epochs
        return SimpleNamespace(epoch=list(range(epochs)))

    monkeypatch.setattr(training, "train_stage", record)
    monkeypatch.setattr(distill, "measure_models", lambda models, *_: {name: {} for name in models})
    return calls


def test_the_baseline_differs_in_the_teacher_only(config: DistillConfig, trainings: list[Training]) -> None:
    random = dataclasses.replace(config, student=StudentSection(init="random", hidden_size=8), baseline=True)
    distill.run_distill(random)
    student, baseline = trainings[:2], trainings[2:]
    assert [call.name for call in student] == ["intermediate", "prediction"]
    for ours, theirs in zip(student, baseline, strict=True):
        assert (ours.order, ours.first_epoch, ours.steps) == (theirs.order, theirs.first_epoch, theirs.steps)
        assert (ours.stage, ours.labels) == (theirs.stage, theirs.labels)
        assert (ours.last_step, theirs.last_step) == (None, ours.steps)
        for weight, its_weight in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(weight, its_weight)
    assert [call.first_epoch for call in student] == [0, 2]  # the second stage goes on where the first one ended
    assert student[0].order != student[1].order


def test_stages_from_a_config(config: DistillConfig, trainings: list[Training]) -> None:
    losses = config.stages[1].losses
    stages = (
        StageSection("one", losses, epochs=3, learning_rate=1e-3),
        StageSection("two", losses, batch_size=40),
        StageSection("three", losses, max_steps=5),
    )
    distill.run_distill(
        dataclasses.replace(
            config, stages=stages, train=Train(epochs=1, batch_size=20, max_steps=9, precision="float32")
        )
    )
    assert [(call.name, call.steps, call.first_epoch) for call in trainings] == [
        ("one", 9, 0),
        ("two", 2, 3),
        ("three", 4, 4),
    ]
    assert [call.learning_rate for call in trainings] == [1e-3, 1e-3, 1e-3]  # the highest that is chosen


def more_rows(directory: Path, header: str = "text\tlabel") -> str:
    """A training file of 12 rows, as augmentation makes one: other texts, and the labels of what they come from."""
    path = directory / "more.tsv"
    rows = [f"her acting is {word}\t{label}" for word, label in [("good", "positive"), ("bad", "negative")] * 6]
    lines = [header, *(row if "label" in header else row.split("\t")[0] for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_the_baseline_takes_the_students_files_and_steps(
    config: DistillConfig, trainings: list[Training], ends_after: dict[str, int], tmp_path: Path
) -> None:
    """Also the steps of a stage that ends early, and the labels of an augmented file."""
    more = more_rows(tmp_path)
    ends_after["second"] = 2
    stages = (
        StageSection("first", (LossSection("prediction"),), train=more, batch_size=5, epochs=3, max_steps=7),
        StageSection("second", (LossSection("hidden_state"),), train=more, epochs=6, patience=1),
        StageSection("third", (LossSection("prediction"),), epochs=1),
    )
    distill.run_distill(dataclasses.replace(config, stages=stages, baseline=True))
    student, baseline = trainings[:3], trainings[3:]
    # 12 rows: 3 steps of 5 an epoch, or 2 of 8; 80 rows: 10 steps of 8.
    assert [(call.first_epoch, call.steps) for call in student] == [(0, 7), (3, 12), (5, 10)]
    assert [call.last_step for call in baseline] == [7, 4, 10]
    for ours, theirs in zip(student, baseline, strict=True):
        assert ours.tokens is theirs.tokens
        assert (ours.first_epoch, ours.order) == (theirs.first_epoch, theirs.order)
    assert [len(call.tokens) for call in student] == [12, 12, 80]
    assert student[0].tokens is student[1].tokens  # read and tokenized once
    assert baseline[0].labels == [1, 0] * 6
    assert [call.watched for call in student] == ["dev_accuracy", "val_loss", "dev_accuracy"]
    assert [call.measures for call in student] == [True, False, True]


@pytest.mark.parametrize(
    ("loss", "baseline", "wanted"),
    [
        (LossSection("prediction"), False, False),
        (LossSection("prediction", options={"hard_label_weight": 0.5}), False, True),
        (LossSection("hidden_state"), True, True),
    ],
)
def test_labels_of_an_own_file_are_read_where_they_are_wanted(
    config: DistillConfig, tmp_path: Path, loss: LossSection, baseline: bool, wanted: bool
) -> None:
    stages = (StageSection("one", (loss,), train=more_rows(tmp_path, header="text")),)
    given = dataclasses.replace(config, stages=stages, baseline=baseline)
    if wanted:
        with pytest.raises(InputError, match=r"more\.tsv: no column 'label'; it has 'text'"):
            prepare(given)
    else:
        assert prepare(given).splits[str(tmp_path / "more.tsv")].labels is None


@pytest.mark.usefixtures("eager")
def test_three_stages_in_an_odd_order(
    config: DistillConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Predictions first, on a file without labels; then what is inside, until nothing gets better; then both."""
    stages = (
        StageSection("outside", (LossSection("prediction"),), train=more_rows(tmp_path, header="text"), epochs=2),
        # Nothing is learned at this rate: the first epoch's loss is never beaten.
        StageSection(
            "inside", (LossSection("hidden_state"),), epochs=7, patience=1, learning_rate=1e-12, schedule="constant"
        ),
        StageSection("both", (LossSection("attention"), LossSection("prediction")), max_steps=13, schedule="cosine"),
    )
    results = distill.run_distill(dataclasses.replace(config, stages=stages))
    rows = log_rows(tmp_path / "run")
    assert [(row["stage"], int(row["epoch"]), int(row["step"])) for row in rows] == [
        ("outside", 1, 2), ("outside", 2, 4), ("inside", 1, 10), ("inside", 2, 20), ("both", 1, 10), ("both", 2, 13),
    ]  # fmt: skip
    assert [bool(row["dev_accuracy"]) for row in rows] == [True, True, False, False, True, True]
    assert "[inside] ends early: 1 epoch without a lower dev loss\n" in capsys.readouterr().err
    assert results["data"] == {
        "train": {"rows": 80, "truncated": 0},
        "dev": {"rows": 40, "truncated": 0},
        str(tmp_path / "more.tsv"): {"rows": 12, "truncated": 0},
    }
    assert results["student"]["accuracy"] == max(float(row["dev_accuracy"]) for row in rows[4:])
    assert load_config(DistillConfig, tmp_path / "run" / "config.yaml").stages == stages


def test_a_baseline_stops_where_its_student_did(config: DistillConfig, tmp_path: Path) -> None:
    stages = (StageSection("one", (LossSection("prediction"),), epochs=3, patience=1, learning_rate=1e-12),)
    distill.run_distill(dataclasses.replace(config, stages=stages, baseline=True))
    steps = [(row["stage"], row["step"]) for row in log_rows(tmp_path / "run")]
    assert steps == [("one", "10"), ("one", "20"), ("baseline-one", "10"), ("baseline-one", "20")]


# === Scores ===


def test_scores_are_distilled(
    tinybert: Callable[..., Any], score_teacher: tuple[Path, Any], score_flags: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(
        "stages:\n"
        "  - {name: inside, losses: [embedding, attention, hidden_state], epochs: 4}\n"
        "  - {name: outside, losses: [{name: prediction, hard_label_weight: 0.5}], epochs: 4}\n"
        "train: {batch_size: 8, learning_rate: 1e-2, precision: float32}\n"
    )
    run = tmp_path / "run"
    command = tinybert(
        "distill", tmp_path / "run.yaml", "--teacher", score_teacher[0], *score_flags, "--out", run, "--baseline"
    )
    assert command.status == 0, command.err
    assert "(always answering the mean: 0.000)" in command.err
    metrics = json.loads((run / "metrics.json").read_text())
    expected = {"pearson", "spearman", "standard_error", "seconds"} | COST
    assert metrics["student"].keys() == expected | {"steps", "before_training"}
    assert metrics["baseline"].keys() == expected
    assert metrics["student"]["pearson"] > 0.6
    model = SequenceClassifier.from_pretrained(run, dtype="float32")
    assert (model.num_labels, model.num_hidden_layers) == (1, 1)
    found, error = metrics["student"]["pearson"], metrics["student"]["standard_error"]["pearson"]
    assert f"| student  | {found:.3f} ± {error:.3f} |" in command.out


def test_scores_are_not_softened(
    tinybert: Callable[..., Any], score_teacher: tuple[Path, Any], score_flags: list[str], tmp_path: Path
) -> None:
    """Seen before anything is written."""
    stages = "stages=[{name: one, losses: [{name: prediction, temperature: 2.0, hard_label_weight: 0.5}]}]"
    flags = ["--teacher", score_teacher[0], *score_flags, "--set", stages, "--out", tmp_path / "run"]
    command = tinybert("distill", *flags)
    assert command.status == 2
    assert "prediction_loss: temperature=2.0 softens classes; scores take 1." in command.err
    assert not (tmp_path / "run").exists()
    command = tinybert("distill", *flags, "--set", "stages=[{name: one, losses: [kl]}]")
    assert "kl_loss compares classes, and the models predict scores; " in command.err


def test_a_teacher_of_scores_that_knows_nothing(
    config: DistillConfig, score_teacher: tuple[Path, Any], scored_pairs: Path, tmp_path: Path
) -> None:
    model = SequenceClassifier.from_pretrained(score_teacher[0], dtype="float32")
    model.classifier.kernel.assign(-model.classifier.kernel)
    model.save_pretrained(tmp_path / "weak", tokenizer=load_tokenizer(score_teacher[0]))
    data = Data(
        train=str(scored_pairs / "train.tsv"), dev=str(scored_pairs / "dev.tsv"), text=("first", "second"),
        label="score", max_length=24,
    )  # fmt: skip
    weak = TeacherSection(str(tmp_path / "weak"))
    with pytest.raises(
        InputError, match=r"dev pearson -0\.\d+ is no better than a guess \(always answering the mean: 0\.000\); fine-"
    ):
        distill.run_distill(dataclasses.replace(config, teacher=weak, data=data, task="regression"))
    assert not (tmp_path / "run").exists()


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
    metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert list(metrics) == ["teacher", "student", "comparisons", "data"]


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
    with pytest.raises(InputError, match=r"is no better than a guess \(always answering one class: 50.0%\)"):
        distill.run_distill(given)
    assert not (tmp_path / "run").exists()
    distill.run_distill(dataclasses.replace(given, allow_weak_teacher=True))
    assert [(call.name, call.steps, call.learning_rate) for call in trainings] == [
        ("inside", 7, 1e-3),
        ("outside", 7, 1e-3),
    ]
    assert not (tmp_path / "elsewhere").exists()
    written = load_config(DistillConfig, tmp_path / "run" / "config.yaml")
    assert (written.train.epochs, written.student.hidden_size, written.allow_weak_teacher) == (1, 8, True)
    assert [stage.epochs for stage in written.stages] == [None, None]
