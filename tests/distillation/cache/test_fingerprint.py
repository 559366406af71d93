"""What tells teachers apart: everything they compute with, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tinybert_tf import SequenceClassifier, Teacher, TeacherCache, TeacherEnsemble, quantize_aware
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint

Make = Callable[..., SequenceClassifier]
MakeInputs = Callable[..., dict[str, np.ndarray]]


class Hot(keras.Model):
    """A teacher of the user's own around a model, which Keras cannot describe: `scale` is a function."""

    def __init__(self, model: keras.Model, temperature: float, scale: Callable[[Any], Any] = ops.tanh) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.scale = scale
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return {"logits": self.scale(self.model(inputs, training=False)["logits"]) / self.temperature}


class Cold(Hot):
    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return {"logits": self.scale(self.model(inputs, training=False)["logits"]) * self.temperature}


class Boxed(keras.Model):
    """A teacher that hides its table from Keras."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self._private = _Box(table)

    def call(self, inputs: Any) -> Any:
        return {"logits": ops.take(self._private.content, inputs["input_ids"][:, 0], axis=0)}


class _Box:
    def __init__(self, content: np.ndarray) -> None:
        self.content = content


class Refusing(Hot):
    """Says itself that Keras cannot describe it."""

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError


def half(values: Any) -> Any:
    return values / 2


def third(values: Any) -> Any:
    return values / 3


def all_different(*teachers: keras.Model) -> bool:
    return len({teacher_fingerprint(teacher) for teacher in teachers}) == len(teachers)


def all_equal(*teachers: keras.Model) -> bool:
    return len({teacher_fingerprint(teacher) for teacher in teachers}) == 1


def test_weights_precision_and_architecture(make_model: Make) -> None:
    assert all_different(
        Teacher(make_model(1), precision="float32"),
        Teacher(make_model(2), precision="float32"),
        Teacher(make_model(1), precision="bfloat16"),
        Teacher(make_model(1, num_attention_heads=4), precision="float32"),
        Teacher(make_model(1, hidden_act="relu"), precision="float32"),
    )


def test_names_do_not_count(make_model: Make, tmp_path: Path) -> None:
    make_model(1).save_pretrained(tmp_path)
    loaded = [SequenceClassifier.from_pretrained(tmp_path) for _ in range(4)]
    assert len({model.name for model in loaded}) == 4
    assert all_equal(Teacher(loaded[0]), Teacher(loaded[1], name="other"))
    assert all_equal(*(TeacherEnsemble([Teacher(one) for one in pair]) for pair in (loaded[:2], loaded[2:])))


def test_names_in_a_graph_of_layers_do_not_count() -> None:
    def functional(swapped: bool = False) -> keras.Model:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3,))
        one, two = keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)
        return keras.Model(inputs, keras.layers.subtract([two, one] if swapped else [one, two]))

    assert all_equal(functional(), functional())
    assert all_different(functional(), functional(swapped=True))


def test_the_rounding_of_an_ensembles_members(make_model: Make, make_inputs: MakeInputs) -> None:
    def ensemble(*texts: Any) -> TeacherEnsemble:
        """Two teachers that are called alike each time, the second one rounded in its ranges on these texts."""
        members = [make_model(1).copy(name="first"), make_model(2).copy(name="second")]
        if texts:
            quantize_aware(members[1], texts)
        return TeacherEnsemble([Teacher(member, name=f"of_{member.name}") for member in members], name="ensemble")

    assert all_different(ensemble(), ensemble(make_inputs([3, 2])), ensemble(make_inputs([3, 2], seed=5)))


def test_a_model_that_keras_cannot_describe(make_model: Make) -> None:
    assert all_equal(Hot(make_model(1), 2.0), Hot(make_model(1), 2.0))
    assert all_different(
        Hot(make_model(1), 2.0),
        Hot(make_model(2), 2.0),
        Hot(make_model(1), 3.0),
        Hot(make_model(1), 2.0, half),
        Hot(make_model(1), 2.0, third),
        Hot(make_model(1), 2.0, lambda values: values / 4),
        Cold(make_model(1), 2.0),
        Refusing(make_model(1), 2.0),
    )
    assert all_equal(Boxed(np.eye(2)), Boxed(np.eye(2)))
    assert all_different(Boxed(np.eye(2)), Boxed(np.ones((2, 2))))


def test_an_attribute_set_afterwards(make_model: Make) -> None:
    changed = Hot(make_model(1), 2.0)
    before = teacher_fingerprint(changed)
    changed.temperature = 5.0
    assert teacher_fingerprint(changed) != before


@pytest.mark.parametrize("wrap", [Teacher, lambda model: Hot(model, 2.0)])
def test_running_it_changes_nothing(wrap: Callable[..., Any], make_model: Make, make_inputs: MakeInputs) -> None:
    teacher = wrap(make_model(1))
    before = teacher_fingerprint(teacher)
    teacher.compile()
    teacher.predict_on_batch(make_inputs([3, 2]))
    teacher.trainable = False
    assert teacher_fingerprint(teacher) == before


def test_a_teacher_that_learned_in_between_has_another_folder(make_model: Make, tmp_path: Path) -> None:
    model = make_model(1)
    cache, teacher = TeacherCache(tmp_path), Teacher(model)
    before = cache.folder(teacher, "data")
    assert cache.folder(teacher, "data") == before != cache.folder(teacher, "other data")
    model.classifier.bias.assign([1.0, 0.0, 0.0])
    assert cache.folder(teacher, "data") != before


def test_another_process_finds_the_same() -> None:
    """Sets have another order there, and objects other addresses."""
    program = """
import keras
from tinybert_tf.distillation.cache.fingerprint import teacher_fingerprint

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.names = {"one", "two", "three"}
        self.dense = keras.layers.Dense(2, kernel_initializer="ones")
        self.built = True
    def call(self, inputs):
        return self.dense(inputs) if "a" in {"a", "b", "c"} else None

found = teacher_fingerprint(Model())
"""
    here: dict[str, Any] = {"__name__": "__main__"}
    exec(program, here)
    there = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(found)"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == [here["found"]]
