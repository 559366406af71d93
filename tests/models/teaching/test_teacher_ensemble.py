"""Several teachers: the mean by hand, what a student learns from it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import (
    Distiller,
    HiddenStateLoss,
    InputError,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    TeacherEnsemble,
)
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint

LABELS = ["no", "yes", "maybe"]
MakeConfig = Callable[..., Any]
MakeInputs = Callable[..., dict[str, np.ndarray]]


@pytest.fixture
def teachers(make_config: MakeConfig) -> list[Teacher]:
    """A BERT and a DistilBERT, of another depth and width."""
    keras.utils.set_random_seed(3)
    other = make_config(model_type="distilbert", type_vocab_size=0, num_hidden_layers=3, hidden_size=8)
    configs = (make_config(), other)
    return [Teacher(SequenceClassifier(config, 3, LABELS, dtype="float32")) for config in configs]


def test_logits_are_the_weighted_mean(teachers: list[Teacher], make_inputs: MakeInputs) -> None:
    inputs = make_inputs([5, 3])
    one, other = (np.asarray(teacher(inputs)["logits"]) for teacher in teachers)
    assert np.abs(one - other).max() > 0.01
    alike, weighted = TeacherEnsemble(teachers), TeacherEnsemble(teachers, shares=[3, 1])
    np.testing.assert_allclose(alike(inputs)["logits"], (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(weighted(inputs)["logits"], 0.75 * one + 0.25 * other, atol=1e-6)
    assert alike.trainable_variables == []
    assert list(alike.id2label.values()) == LABELS


def test_a_student_learns_its_predictions(
    teachers: list[Teacher], make_config: MakeConfig, make_inputs: MakeInputs
) -> None:
    ensemble, inputs = TeacherEnsemble(teachers, shares=[1, 4]), make_inputs([6, 4, 2])
    student = SequenceClassifier(make_config(num_hidden_layers=1), 3, dtype="float32")
    distiller = Distiller(ensemble, student, losses=[PredictionLoss()])
    assert list(student.id2label.values()) == LABELS
    distiller.compile(optimizer=keras.optimizers.Adam(1e-2), run_eagerly=True)
    loss = distiller.evaluate(inputs, verbose=0, return_dict=True)["loss"]
    wanted = keras.ops.softmax(ensemble(inputs)["logits"])
    ours = keras.ops.log_softmax(student(inputs, training=False)["logits"])
    assert loss == pytest.approx(-float(np.sum(wanted * ours) / 3), rel=1e-5)
    before = [teacher.model.get_weights() for teacher in teachers]
    distiller.fit(inputs, epochs=5, verbose=0)
    assert distiller.evaluate(inputs, verbose=0, return_dict=True)["loss"] < loss
    for teacher, weights in zip(teachers, before, strict=True):
        for now, then in zip(teacher.model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(now, then)


def test_what_is_inside_is_the_first_ones(
    teachers: list[Teacher], make_config: MakeConfig, make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble, inputs = TeacherEnsemble(teachers), make_inputs([5, 3])
    outputs = ensemble(inputs, output_hidden_states=(1, 2), output_attention_scores=True)
    alone = teachers[0](inputs, output_hidden_states=(1, 2), output_attention_scores=True)
    for name in ("hidden_states", "attention_scores"):
        assert outputs[name].keys() == alone[name].keys()
        for layer, values in outputs[name].items():
            np.testing.assert_array_equal(values, alone[name][layer])
    # Losses of what is inside do not run the others.
    student = SequenceClassifier(make_config(num_hidden_layers=1), 3, dtype="float32")
    distiller = Distiller(ensemble, student, losses=[HiddenStateLoss()], layer_map=[(1, 1)])
    assert distiller.teacher_arguments == {"output_hidden_states": (1,), "last_layer": 1}
    monkeypatch.setattr(Teacher, "call", lambda self, *_, **given: asked.append(self) or {"hidden_states": given})
    asked: list[Teacher] = []
    ensemble.call(inputs, **distiller.teacher_arguments)
    assert asked == [teachers[0]]


def test_a_cache_tells_ensembles_apart(teachers: list[Teacher]) -> None:
    alike = teacher_fingerprint(TeacherEnsemble(teachers))
    assert alike == teacher_fingerprint(TeacherEnsemble(teachers, shares=[2, 2]))
    assert alike != teacher_fingerprint(TeacherEnsemble(teachers, shares=[2, 1]))
    assert alike != teacher_fingerprint(TeacherEnsemble(teachers[::-1]))


def test_what_is_no_ensemble(teachers: list[Teacher], make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match="an ensemble: expected 2 teachers or more, got 1"):
        TeacherEnsemble(teachers[:1])
    for shares in ([1.0], [1.0, 0.0], [1.0, -1.0]):
        with pytest.raises(InputError, match="expected a finite number > 0 for each of 2 teachers"):
            TeacherEnsemble(teachers, shares)
    other = Teacher(SequenceClassifier(make_config(), 3, LABELS[::-1]))
    with pytest.raises(
        InputError, match=r"expected equal labels, got \['no', 'yes', 'maybe'\] and \['maybe', 'yes', 'no'\]"
    ):
        TeacherEnsemble([teachers[0], other])
