"""A teacher's features on disk: the same ones, once computed, whatever interrupts or damages them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    AttentionLoss,
    Distiller,
    EmbeddingLoss,
    EncoderConfig,
    HiddenStateLoss,
    InputError,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    TeacherCache,
    features,
)
from tinybert_tf.distillation.cache import fill as filling
from tinybert_tf.distillation.cache.feature_file import CachedFeature
from tinybert_tf.distillation.cache.teacher_features import TeacherFeatures

LENGTHS = np.array([3, 1, 4, 2, 4])
HIDDEN = CachedFeature("teacher/hidden_states/2", (None, 8))
SCORES = CachedFeature("teacher/attention_scores/1", (2, None, None))
LOGITS = CachedFeature("teacher/logits", (3,))
ALL = [HIDDEN, SCORES, LOGITS]
GIB = 2.0**30


class Rows:
    """Two rows a batch, padded to the longer; what the "teacher" says is a function of the row, and junk in padding."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[int] = []
        self._stop_at = stop_at

    def __len__(self) -> int:
        return 3

    def __getitem__(self, step: int) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        if step == self._stop_at:
            raise KeyboardInterrupt
        rows = np.arange(5)[2 * step : 2 * step + 2]
        self.asked += rows.tolist()
        return rows, {"rows": rows, "length": np.array(LENGTHS[rows].max())}


def values_of(row: int, feature: CachedFeature) -> np.ndarray:
    shape = feature.row_shape(int(LENGTHS[row]))
    return np.random.default_rng((row, len(feature.key))).normal(size=shape).astype(feature.dtype)


def answer(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for feature in ALL:
        padded = np.full((len(inputs["rows"]), *feature.row_shape(int(inputs["length"]))), 7.0, np.float32)
        for place, row in enumerate(inputs["rows"]):
            values = values_of(row, feature)
            padded[place][tuple(slice(size) for size in values.shape)] = values
        found[feature.key] = padded
    return found


def fill(folder: Path, cached: list[CachedFeature], rows: Rows | None = None) -> TeacherFeatures:
    cache = TeacherCache(folder.parent, GIB)
    batches = rows or Rows()
    cache.fill(folder, cached, LENGTHS, lambda: batches, answer)
    return TeacherFeatures(folder, cached, LENGTHS)


def check(found: TeacherFeatures, cached: list[CachedFeature]) -> None:
    rows = np.array([4, 1, 0])
    padded = found(rows, 5)
    assert padded.keys() == {feature.key for feature in cached} == found.shapes.keys()
    for feature in cached:
        expected = np.zeros((3, *feature.row_shape(5)), feature.dtype)
        for place, row in enumerate(rows):
            values = values_of(row, feature)
            expected[place][tuple(slice(size) for size in values.shape)] = values
        assert padded[feature.key].dtype == feature.dtype
        np.testing.assert_array_equal(padded[feature.key], expected)


def test_what_was_written_is_read_with_zeros_for_padding(tmp_path: Path) -> None:
    found = fill(tmp_path / "one", ALL)
    check(found, ALL)
    assert found.shapes == {HIDDEN.key: (None, None, 8), SCORES.key: (None, 2, None, None), LOGITS.key: (None, 3)}
    # 14 tokens of 8 numbers, 46 pairs of tokens of 2 heads, 5 rows of 3 float32; and a checksum a row
    sizes = {HIDDEN.key: 14 * 8 * 2 + 20, SCORES.key: (9 + 1 + 16 + 4 + 16) * 2 * 2 + 20, LOGITS.key: 5 * 12 + 20}
    assert found.num_bytes == sizes
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    names = ("attention_scores-1", "hidden_states-2", "logits")
    assert files == sorted(f"{name}.{suffix}" for name in names for suffix in ("bin", "crc", "json"))


def test_threads_that_make_batches_read_their_own_rows(
    tmp_path: Path, threads_change_often: None, in_threads: Callable[..., list[Any]]
) -> None:
    found = fill(tmp_path / "one", ALL)
    in_threads(lambda _: check(found, ALL), range(60))


def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    fill(tmp_path / "one", [HIDDEN, LOGITS])
    rows = Rows()
    check(fill(tmp_path / "one", [LOGITS], rows), [LOGITS])
    assert rows.asked == []
    cache = TeacherCache(tmp_path, GIB)
    assert cache.missing_bytes(tmp_path / "one", ALL, LENGTHS) == 46 * 2 * 2 + 20
    before = (tmp_path / "one" / "logits.bin").stat().st_mtime_ns
    check(fill(tmp_path / "one", ALL, rows), ALL)
    assert rows.asked == [0, 1, 2, 3, 4]
    assert (tmp_path / "one" / "logits.bin").stat().st_mtime_ns == before


def test_an_interrupted_filling_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "BATCHES_PER_SAVE", 1)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "one", ALL, Rows(stop_at=2))
    assert not list((tmp_path / "one").glob("*-*.json"))
    rows = Rows()
    check(fill(tmp_path / "one", ALL, rows), ALL)
    assert rows.asked == [4]
    assert not (tmp_path / "one" / "progress.json").exists()


def test_an_interrupted_filling_of_other_features_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "BATCHES_PER_SAVE", 1)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "one", [LOGITS], Rows(stop_at=2))
    check(fill(tmp_path / "one", ALL), ALL)


@pytest.mark.parametrize("damage", ["a bit", "a tail"])
def test_damage_is_found_when_the_row_is_read(tmp_path: Path, damage: str) -> None:
    fill(tmp_path / "one", ALL)
    path = tmp_path / "one" / "hidden_states-2.bin"
    found = TeacherFeatures(tmp_path / "one", ALL, LENGTHS)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content if damage == "a bit" else content[:-20])
    found(np.array([0, 1, 2]), 4)  # the other rows are whole
    with pytest.raises(InputError, match=r"hidden_states-2\.bin: damaged at row 4; remove .*one\.$"):
        found(np.array([4]), 4)


def test_files_of_another_size_are_written_anew(tmp_path: Path) -> None:
    fill(tmp_path / "one", ALL)
    path = tmp_path / "one" / "logits.bin"
    path.write_bytes(path.read_bytes()[:-1])
    rows = Rows()
    check(fill(tmp_path / "one", ALL, rows), ALL)
    assert rows.asked == [0, 1, 2, 3, 4]


def test_room(tmp_path: Path) -> None:
    fill(tmp_path / "one", ALL)
    used = sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    assert TeacherCache(tmp_path, used + 10).has_room(10)
    assert not TeacherCache(tmp_path, used + 10).has_room(11)
    assert not TeacherCache(tmp_path / "new" / "one", 1e30).has_room(10**19)  # more than any disk has


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"cannot be written \(Not a directory\); expected another cache_dir, or teacher_cache"
    ):
        fill(tmp_path / "file" / "one", ALL)


# === With a Distiller ===


def make(num_hidden_layers: int, seed: int, **sizes: int) -> SequenceClassifier:
    keras.utils.set_random_seed(seed)
    given = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, **sizes}
    config = EncoderConfig(
        vocab_size=20,
        num_hidden_layers=num_hidden_layers,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **given,
    )
    return SequenceClassifier(config, dtype="float32")


def batch() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], "int32")
    return {"input_ids": draw.integers(1, 20, (2, 4)).astype("int32") * mask, "attention_mask": mask}


def cached_inputs(distiller: Distiller, inputs: dict[str, Any]) -> dict[str, Any]:
    """The batch with the teacher's features, as a cache gives them: nothing in padding."""
    outputs = features.by_teacher_key(distiller.teacher(inputs, **distiller.teacher_arguments))
    mask = inputs["attention_mask"].astype("float32")
    found = dict(inputs)
    for key, shape in distiller.teacher_shapes.items():
        values = np.asarray(outputs[key])
        if shape.count(None) == 3:
            values = values * mask[:, None, :, None] * mask[:, None, None, :]
        elif shape.count(None) == 2:
            values = values * mask[:, :, None]
        found[key] = values
    return found


@pytest.mark.parametrize("losses", [[EmbeddingLoss(), AttentionLoss(), HiddenStateLoss()], [PredictionLoss()]])
def test_the_same_losses_without_the_teacher(losses: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(4, seed=1, hidden_size=12)
    distiller = Distiller(Teacher(model), make(2, seed=2), losses=losses)
    inputs = batch()
    outputs = distiller(inputs, training=False)
    expected = float(distiller.compute_loss(x=inputs, y_pred=outputs))
    with_features = cached_inputs(distiller, inputs)
    monkeypatch.setattr(distiller.teacher, "call", lambda *_, **__: pytest.fail("the teacher is asked"))
    found = float(distiller.compute_loss(x=with_features, y_pred=distiller(with_features, training=False)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_with_a_feature_missing_the_teacher_is_run() -> None:
    distiller = Distiller(Teacher(make(4, seed=1)), make(2, seed=2), losses=[HiddenStateLoss()])
    assert list(distiller.teacher_shapes) == ["teacher/hidden_states/2", "teacher/hidden_states/4"]
    inputs = batch()
    outputs = distiller(inputs)
    expected = float(distiller.compute_loss(x=inputs, y_pred=outputs))
    some = cached_inputs(distiller, inputs)
    del some["teacher/hidden_states/2"]
    some["teacher/hidden_states/4"] *= 2
    assert float(distiller.compute_loss(x=some, y_pred=outputs)) == expected


def test_keys_lead_back_to_the_output_dict() -> None:
    outputs = {"logits": 1, "hidden_states": {0: 2, 3: 4}}
    flat = features.by_teacher_key(outputs)
    assert flat == {"teacher/logits": 1, "teacher/hidden_states/0": 2, "teacher/hidden_states/3": 4}
    assert features.from_teacher_keys(flat, flat) == outputs
