"""Callbacks of a run: progress lines, the log, the cap on steps, the best epoch, the guard against NaN."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, InputError, SequenceClassifier
from tinybert_tf.data.batches.batch_source import BatchSource
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.pipeline.runs import callbacks
from tinybert_tf.pipeline.runs.callbacks import (
    BestEpoch,
    CountsSteps,
    FiniteTraining,
    MeasureDev,
    Progress,
    StopAfterSteps,
    stage_callbacks,
)
from tinybert_tf.pipeline.runs.directory import RunDirectory

INPUTS = {"input_ids": np.array([[1, 2, 3]], "int32"), "attention_mask": np.ones((1, 3), "int32")}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    (tmp_path / "run").mkdir()
    return RunDirectory(tmp_path / "run")


def make_model(dtype: str = "float32") -> SequenceClassifier:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return SequenceClassifier(EncoderConfig(vocab_size=10, **sizes), dtype=dtype, name="student")


def linear_model(**compile_arguments: Any) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse", run_eagerly=True, **compile_arguments)
    return model


class Numbers(BatchSource):
    """Six batches of one row, each ready after `seconds`."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(batch_size=1, seed=None)
        self.seconds = seconds

    num_rows = 6

    def _batch(self, epoch: int, step: int) -> tuple[Any, ...]:
        time.sleep(self.seconds)
        return np.ones((1, 1), "float32"), np.ones((1, 1), "float32")


class SavesItsTokenizer:
    def save_pretrained(self, directory: Path) -> None:
        (directory / "tokenizer.json").write_text("{}")


def test_epochs_are_said_and_logged(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((6, 1), "float32")
    linear_model().fit(x, x, batch_size=2, epochs=2, verbose=0, callbacks=[Progress("one", 6, run)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("[one]")
    assert "epoch 2  step 6/6  loss" in lines[1]
    rows = list(csv.DictReader((run.path / "log.csv").read_text().splitlines()))
    assert [(row["stage"], row["epoch"], row["step"]) for row in rows] == [("one", "1", "3"), ("one", "2", "6")]
    assert float(rows[0]["loss"]) >= 0


def test_a_long_epoch_says_where_it_is(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now)
    progress = Progress("one", 4, run)
    progress.set_params({"steps": 4})
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    for step in range(4):
        now += 11  # seconds a step
        progress.on_train_batch_end(step, {"loss": 0.25})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["[one]    22 s  step 2/4  loss 0.2500", "[one]    44 s  step 4/4  loss 0.2500"]


@pytest.mark.alone
@pytest.mark.parametrize(("seconds_to_make", "seconds_to_train"), [(0.2, 0.0), (0.0, 0.1)])
def test_waiting_for_input_is_logged(run: RunDirectory, seconds_to_make: float, seconds_to_train: float) -> None:
    batches = Numbers(seconds_to_make)
    model = linear_model()
    model.fit(batches, epochs=1, verbose=0)  # whatever takes longer for the first time
    slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(seconds_to_train))
    history = model.fit(batches, epochs=2, verbose=0, callbacks=[slow, *stage_callbacks("one", 12, run, batches)])
    for waited in history.history["input_wait"]:
        assert 0.5 < waited <= 1 if seconds_to_make else waited < 0.2
    assert "input_wait" in (run.path / "log.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(("steps_per_execution", "seen"), [(1, [1, 2, 3, 4, 5, 6]), (4, [4, 6]), (6, [6])])
def test_steps_are_counted_where_several_are_executed_at_once(steps_per_execution: int, seen: list[int]) -> None:
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", steps_per_execution=steps_per_execution)
    counter = CountsSteps()
    counted: list[int] = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: counted.append(counter.step))
    model.fit(Numbers(), epochs=2, verbose=0, callbacks=[counter, note])
    assert counted == [*seen, *(6 + step for step in seen)]
    assert counter.step == int(model.optimizer.iterations)


def test_tensorboard_events_of_each_stage(run: RunDirectory) -> None:
    batches = Numbers()
    linear_model().fit(batches, validation_data=batches, verbose=0, callbacks=stage_callbacks("one", 6, run, batches))
    folders = {path.parent.name for path in (run.path / "tensorboard" / "one").rglob("events.out.tfevents.*")}
    assert folders == {"train", "validation"}


@pytest.mark.parametrize(("max_steps", "steps", "epochs"), [(4, 4, 2), (3, 3, 1), (99, 6, 2)])
def test_the_cap_on_steps(max_steps: int, steps: int, epochs: int) -> None:
    x = np.ones((6, 1), "float32")
    model = linear_model()
    history = model.fit(x, x, batch_size=2, epochs=2, verbose=0, callbacks=[StopAfterSteps(max_steps)])
    assert int(model.optimizer.iterations) == steps
    assert len(history.history["loss"]) == epochs


def test_the_first_best_epoch_is_saved_and_restored(tmp_path: Path) -> None:
    student = make_model()
    scores = iter([0.5, 0.75, 0.75, 0.25])
    best = BestEpoch(student, lambda model: {"accuracy": next(scores)}, "accuracy", tmp_path / "s", SavesItsTokenizer())
    for epoch in range(4):
        student.classifier.bias.assign([epoch, -epoch])
        logs: dict[str, Any] = {"loss": 1.0}
        best.on_epoch_end(epoch, logs)
        assert logs.keys() == {"loss", "dev_accuracy"}
    best.restore()
    assert best.best == 0.75
    assert student.classifier.bias.numpy().tolist() == [1, -1]
    saved = SequenceClassifier.from_pretrained(tmp_path / "s", dtype="float32")
    np.testing.assert_array_equal(saved(INPUTS)["logits"], student(INPUTS)["logits"])
    assert (tmp_path / "s" / "tokenizer.json").exists()


def test_only_epochs_that_count_are_best(tmp_path: Path) -> None:
    student, counts, scores = make_model(), iter([False, True, True]), iter([0.9, 0.25, 0.5])
    best = BestEpoch(
        student,
        lambda model: {"accuracy": next(scores)},
        "accuracy",
        tmp_path / "s",
        SavesItsTokenizer(),
        lambda: next(counts),
    )
    best.on_epoch_end(0)
    assert best.best is None
    assert not (tmp_path / "s").exists()
    best.on_epoch_end(1)
    best.on_epoch_end(2)
    assert best.best == 0.5


def test_measured_without_being_saved() -> None:
    logs: dict[str, Any] = {"loss": 1.0}
    measured = MeasureDev("student", lambda model: {"accuracy": 0.5, "model": model})
    measured.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0, "dev_accuracy": 0.5, "dev_model": "student"}
    measured.on_epoch_end(1)  # without logs


def test_saved_logits_are_those_of_a_float32_copy(tmp_path: Path) -> None:
    student = make_model("mixed_bfloat16")
    BestEpoch(student, lambda model: {"accuracy": 1.0}, "accuracy", tmp_path, SavesItsTokenizer()).on_epoch_end(0)
    saved = SequenceClassifier.from_pretrained(tmp_path, dtype="float32")
    np.testing.assert_array_equal(saved(INPUTS)["logits"], in_precision(student, "float32")(INPUTS)["logits"])
    assert json.loads((tmp_path / "config.json").read_text())["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_training(bad: float) -> None:
    x = np.array([[1.0], [1.0], [bad], [1.0]], "float32")
    model = linear_model()
    with pytest.raises(
        InputError, match=r"stage 'one': the loss is (nan|inf) after step 3 of 4 with learning_rate=0.5"
    ):
        model.fit(x, x, batch_size=1, shuffle=False, verbose=0, callbacks=[FiniteTraining("one", 4, 0.5)])


def test_weights_that_are_no_numbers_end_training() -> None:
    x = np.ones((1, 1), "float32")
    model = linear_model()
    guard = FiniteTraining("one", 1, 0.5)
    model.fit(x, x, verbose=0, callbacks=[guard])
    model.layers[0].bias.assign([np.nan])
    with pytest.raises(InputError, match=r"stage 'one': .*bias is not finite after step 1 of 1 with learning_rate=0.5"):
        guard.on_epoch_end(0)
