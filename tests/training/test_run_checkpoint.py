"""A checkpoint of a run: what goes on from it ends where an uninterrupted run does; what it cannot be is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import SafetensorError, safe_open

from tinybert_tf import InputError, bert_optimizer
from tinybert_tf.trainable.trainable_model import TrainableModel
from tinybert_tf.training.run_checkpoint import RunCheckpoint, read_notes

INPUTS = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
NOTES = {"step": 3, "seconds": 1.5, "before": {"loss": 0.25}}


class Small(TrainableModel):
    """Two layers with dropout between them: weights, and the state of a random generator."""

    def __init__(self, width: int = 5, dtype: str = "float32") -> None:
        super().__init__(dtype=dtype)
        self.below = keras.layers.Dense(width, dtype=dtype)
        self.dropout = keras.layers.Dropout(0.5, dtype=dtype)
        self.above = keras.layers.Dense(1, dtype=dtype)
        self.below.build((None, 4))
        self.above.build((None, width))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.above(self.dropout(self.below(inputs), training=training))


def small(seed: int, **arguments: Any) -> Small:
    keras.utils.set_random_seed(seed)
    model = Small(**arguments)
    optimizer = bert_optimizer(1e-1, total_steps=10, warmup_fraction=0.3)
    model.compile(optimizer=optimizer, loss="mse", run_eagerly=True)
    return model


def train(model: Small, first: int, last: int) -> None:
    for step in range(first, last):
        rows = INPUTS[step : step + 4]
        model.train_on_batch(rows, rows.sum(axis=1, keepdims=True))


def state_of(model: Small) -> list[np.ndarray]:
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def same(one: Small, other: Small) -> bool:
    pairs = zip(state_of(one), state_of(other), strict=True)
    return all(first.shape == second.shape and (first == second).all() for first, second in pairs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoints" / "last.safetensors"


@pytest.fixture
def saved(path: Path) -> Small:
    """A model after three of six steps, which is saved at `path`."""
    model = small(1)
    train(model, 0, 3)
    RunCheckpoint(path, model).save(NOTES)
    return model


def test_going_on_ends_where_an_uninterrupted_run_does(path: Path, saved: Small) -> None:
    resumed = small(2)
    assert not same(resumed, saved)
    assert RunCheckpoint(path, resumed).restore() == read_notes(path) == NOTES
    assert same(resumed, saved)
    assert int(resumed.optimizer.iterations) == 3
    # The generator's state is not a weight; with another one, dropout would drop others.
    assert len(resumed.variables) == len(resumed.weights) + 1

    uninterrupted = small(1)
    train(uninterrupted, 0, 6)
    train(resumed, 3, 6)
    assert same(resumed, uninterrupted)


def test_every_shape_is_kept(path: Path, saved: Small) -> None:
    with safe_open(path, "numpy") as file:
        shapes = [tuple(file.get_tensor(name).shape) for name in sorted(file.keys())]
        assert json.loads(file.metadata()["notes"]) == NOTES
    assert shapes == [value.shape for value in state_of(saved)]
    assert () in shapes


def test_the_scale_of_float16s_loss_goes_on(path: Path) -> None:
    model, other = (small(seed, dtype="mixed_float16") for seed in (1, 2))
    model.optimizer.dynamic_scale.assign(2.0**7)
    model.optimizer.step_counter.assign(5)
    RunCheckpoint(path, model).save({})
    RunCheckpoint(path, other).restore()
    assert same(other, model)
    assert (float(other.optimizer.dynamic_scale), int(other.optimizer.step_counter)) == (2.0**7, 5)


def test_nothing_there(path: Path) -> None:
    model = small(1)
    before = state_of(model)
    checkpoint = RunCheckpoint(path, model)
    assert checkpoint.restore() is read_notes(path) is None
    assert all(map(np.array_equal, state_of(model), before))


def test_the_file_is_replaced_in_one_move(path: Path, saved: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    train(saved, 3, 4)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            RunCheckpoint(path, saved).save({"step": 4})
    resumed = small(2)
    assert RunCheckpoint(path, resumed).restore() == NOTES
    assert int(resumed.optimizer.iterations) == 3
    RunCheckpoint(path, saved).save({"step": 4})
    assert RunCheckpoint(path, resumed).restore() == {"step": 4}
    assert same(resumed, saved)
    assert [file.name for file in path.parent.iterdir()] == ["last.safetensors"]


# === Refused ===


@pytest.mark.parametrize("width", [4, 6])
def test_another_models(path: Path, saved: Small, width: int) -> None:
    other = small(1, width=width)
    before = state_of(other)
    with pytest.raises(InputError) as caught:
        RunCheckpoint(path, other).restore()
    assert str(caught.value) == f"{path}: a checkpoint of another model; remove it, or give another --out."
    assert all(map(np.array_equal, state_of(other), before))


@pytest.mark.parametrize("content", ["", "empty", "cut"])
def test_a_damaged_one(path: Path, saved: Small, content: str) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] if content == "cut" else content.encode())
    before = state_of(saved)
    with pytest.raises(InputError, match=r"last\.safetensors: damaged \(.*\); remove it, or give another --out\.$"):
        RunCheckpoint(path, saved).restore()
    assert all(map(np.array_equal, state_of(saved), before))


@pytest.mark.parametrize("obstacle", ["run", "run/checkpoints"])
def test_a_place_that_cannot_be_written(tmp_path: Path, path: Path, obstacle: str) -> None:
    (tmp_path / obstacle).parent.mkdir(exist_ok=True)
    (tmp_path / obstacle).touch()
    with pytest.raises(InputError) as caught:
        RunCheckpoint(path, small(1)).save(NOTES)
    assert re.fullmatch(
        rf"{path}: cannot be written \(.*(exists|directory).*\); what was there before is unchanged\.",
        str(caught.value),
    )


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
)
def test_a_disk_that_is_full(path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("tinybert_tf.training.run_checkpoint.save_file", full)
    with pytest.raises(InputError, match=r"cannot be written \((I/O error: )?No space left on device\); what was"):
        RunCheckpoint(path, small(1)).save(NOTES)
