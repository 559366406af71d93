"""Models with a prediction for each token: what they compute, learn from, save and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, QuestionAnswering, SequenceClassifier, TokenClassifier
from tinybert_tf.models.heads.tasks import load_for_labels, load_teaching, task_of

MakeConfig = Callable[..., EncoderConfig]
MakeInputs = Callable[..., dict[str, np.ndarray]]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def evaluated(model: Any, inputs: Any, labels: np.ndarray) -> float:
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    return model.evaluate(inputs, labels, verbose=0)


def test_tags_are_of_the_last_hidden_state(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = TokenClassifier(make_config(), num_labels=3, dtype="float32")
    outputs = model(make_inputs([5, 2]))
    expected = np.asarray(outputs["last_hidden_state"]) @ np.asarray(model.classifier.kernel)
    np.testing.assert_allclose(outputs["logits"], expected, atol=1e-6)
    assert "pooled_output" not in outputs


def test_the_loss_is_over_tokens_with_a_label(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = TokenClassifier(make_config(), num_labels=3, dtype="float32")
    inputs, labels = make_inputs([4, 2]), np.array([[-100, 1, -100, 2], [0, -100, -100, -100]])
    chosen = log_softmax(np.asarray(model(inputs)["logits"], "float64"))[[0, 0, 1], [1, 3, 0], [1, 2, 0]]
    assert evaluated(model, inputs, labels) == pytest.approx(-chosen.mean(), rel=1e-5)


def test_positions_are_those_of_real_tokens(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = QuestionAnswering(make_config(), dtype="float32")
    inputs, labels = make_inputs([4, 2]), np.array([[1, 3], [0, 1]])
    logits = np.asarray(model(inputs)["logits"], "float64")
    assert logits.shape == (2, 4, 2)
    starts_ends = [log_softmax(logits[row, :length].T) for row, length in enumerate([4, 2])]
    chosen = [log[column, labels[row, column]] for row, log in enumerate(starts_ends) for column in (0, 1)]
    assert evaluated(model, inputs, labels) == pytest.approx(-np.mean(chosen), rel=1e-5)


def test_predict_gives_the_tokens_of_all_batches(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = QuestionAnswering(make_config(), dtype="float32")
    inputs = make_inputs([4, 2])
    logits = np.asarray(model(inputs)["logits"])
    np.testing.assert_allclose(model.predict(inputs, verbose=0)["logits"], logits.reshape(8, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("model_class", "task", "labels"),
    [(TokenClassifier, "token_classification", ["O", "B-x", "I-x"]), (QuestionAnswering, "question_answering", [])],
)
def test_save_and_load(
    model_class: Any, task: str, labels: list[str], make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    arguments = {"num_labels": 3, "id2label": labels} if labels else {}
    model = model_class(make_config(), dtype="float32", **arguments)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [model_class.architecture]
    assert list(config.get("id2label", {}).values()) == labels
    assert task_of(tmp_path) == task
    loaded = load_teaching(tmp_path, task)
    assert loaded.get_config() == {**model.get_config(), "name": loaded.name}
    inputs = make_inputs([5, 2])
    np.testing.assert_array_equal(loaded(inputs)["logits"], model(inputs)["logits"])
    assert load_for_labels(tmp_path, task, labels).has_loaded_head


@pytest.mark.parametrize(("num_labels", "task"), [(1, "regression"), (2, "sequence_classification")])
def test_the_task_of_a_config_without_labels(
    num_labels: int, task: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    SequenceClassifier(make_config(), num_labels=num_labels).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    bare = {name: value for name, value in config.items() if name not in ("id2label", "label2id", "problem_type")}
    (tmp_path / "config.json").write_text(json.dumps(bare))
    assert task_of(tmp_path) == task


def test_a_classifiers_encoder_gets_a_head_for_tokens(make_config: MakeConfig, tmp_path: Path) -> None:
    classifier = SequenceClassifier(make_config(), num_labels=2)
    classifier.save_pretrained(tmp_path)
    model = load_for_labels(tmp_path, "token_classification", ["O", "B-x", "I-x"])
    assert isinstance(model, TokenClassifier)
    assert model.label_names == ["O", "B-x", "I-x"]
    ours, theirs = (one.encoder.variables_by_name() for one in (model, classifier))
    assert len(ours) == len(theirs) - 2  # without the pooler
    for name, variable in ours.items():
        np.testing.assert_array_equal(variable, theirs[name])
