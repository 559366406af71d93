"""Layers copied from a teacher: exactly the mapped ones, everything else by name, nothing on an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinybert_tf import EncoderConfig, InputError, MaskedLM, SequenceClassifier, TransformerEncoder, copy_layers


def make(num_hidden_layers: int, seed: int, cls: Any = SequenceClassifier, **values: Any) -> Any:
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, **values}
    model = cls(EncoderConfig(num_hidden_layers=num_hidden_layers, max_position_embeddings=16, **sizes))
    generator = np.random.default_rng(seed)
    for variable in model.weights:  # biases and LayerNorm too: a copy of zeros would prove nothing
        if variable.dtype == "float32":  # not the state of a dropout layer
            variable.assign(generator.normal(size=variable.shape))
    return model


def values(model: Any) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in model.variables_by_name().items()}


def test_mapped_layers_and_all_else_by_name() -> None:
    teacher, student = make(4, seed=1), make(2, seed=2)
    expected = values(teacher)
    copy_layers(student, teacher, [(1, 4), (2, 3)])
    copied = values(student)
    assert "layer_2/attention/query/kernel" in copied
    for name, value in copied.items():
        source = (
            name.replace("layer_1/", "layer_4/")
            if name.startswith("layer_1/")
            else name.replace("layer_2/", "layer_3/")
        )
        np.testing.assert_array_equal(value, expected[source], err_msg=name)
    for name, value in values(teacher).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_layers_that_are_not_mapped_stay() -> None:
    teacher, student = make(2, seed=1), make(2, seed=2)
    before = values(student)
    copy_layers(student, teacher, [(2, 1)])
    for name, value in values(student).items():
        assert np.array_equal(value, before[name]) is name.startswith("layer_1/"), name


def test_a_layer_may_be_copied_twice_and_a_student_may_be_deeper() -> None:
    teacher, student = make(1, seed=1), make(2, seed=2)
    copy_layers(student, teacher, [(1, 1), (2, 1)])
    copied = values(student)
    for name, value in copied.items():
        if name.startswith("layer_1/"):
            np.testing.assert_array_equal(value, copied[name.replace("layer_1/", "layer_2/")])


def test_models_with_other_heads_share_what_they_both_have() -> None:
    teacher, student = make(2, seed=1), make(2, seed=2, cls=MaskedLM)
    transform = student.transform.kernel.numpy()
    copy_layers(student, teacher, [(1, 1), (2, 2)])
    np.testing.assert_array_equal(transform, student.transform.kernel)
    np.testing.assert_array_equal(
        teacher.encoder.embeddings.word_embeddings.embeddings, student.encoder.embeddings.word_embeddings.embeddings
    )
    encoder = make(2, seed=3, cls=TransformerEncoder)
    copy_layers(encoder, teacher, [(1, 2), (2, 1)])
    np.testing.assert_array_equal(encoder.pooler.kernel, teacher.encoder.pooler.kernel)


@pytest.mark.parametrize("other", [{"hidden_size": 16}, {"vocab_size": 31}, {"intermediate_size": 13}])
def test_other_shapes_are_refused_and_nothing_is_copied(other: dict[str, int]) -> None:
    teacher, student = make(2, seed=1), make(2, seed=2, **other)
    before = values(student)
    with pytest.raises(InputError, match=r"the student's .* has shape .*, the teacher's"):
        copy_layers(student, teacher, [(1, 1), (2, 2)])
    for name, value in values(student).items():
        np.testing.assert_array_equal(value, before[name])
