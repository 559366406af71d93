"""`Teacher`: frozen, in inference mode, in its own precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import EncoderConfig, InputError, MaskedLM, SequenceClassifier, Teacher, TransformerEncoder

MakeConfig = Callable[..., EncoderConfig]
MakeInputs = Callable[..., dict[str, np.ndarray]]
EVERYTHING = {"output_hidden_states": True, "output_attention_scores": True, "output_queries_keys_values": True}


def arrays(outputs: Any) -> Any:
    return keras.tree.map_structure(
        lambda tensor: keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), outputs
    )


@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM, TransformerEncoder])
def test_answers_as_the_model_does(model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = model_class(make_config())
    teacher = Teacher(model)
    inputs = make_inputs([5, 2])
    assert (teacher.num_hidden_layers, teacher.num_attention_heads, teacher.config) == (2, 2, model.config)
    outputs = teacher(inputs, **EVERYTHING)
    keras.tree.map_structure(np.testing.assert_array_equal, arrays(outputs), arrays(model(inputs, **EVERYTHING)))
    assert set(teacher(inputs, output_hidden_states=(1,), last_layer=1)) == {"hidden_states"}
    assert set(teacher(inputs)) == set(model(inputs))


def test_always_in_inference_mode(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    teacher = Teacher(SequenceClassifier(make_config(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)))
    inputs = make_inputs([5, 2])
    expected = np.asarray(teacher(inputs)["logits"])
    np.testing.assert_array_equal(teacher(inputs, training=True)["logits"], expected)
    np.testing.assert_allclose(teacher.predict(inputs, verbose=0)["logits"], expected, atol=1e-6)


def test_no_gradient(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    model = SequenceClassifier(make_config())
    teacher = Teacher(model)
    assert teacher.trainable_variables == model.trainable_variables == []
    variables = [variable.value for variable in teacher.weights]
    assert variables
    with tf.GradientTape() as tape:
        tape.watch(variables)
        outputs = teacher(make_inputs([3]), **EVERYTHING)
        total = sum(tf.reduce_sum(tensor) for tensor in keras.tree.flatten(outputs))
    assert tape.gradient(total, variables) == [None] * len(variables)


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.15), ("float16", 0.02)])
@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM, TransformerEncoder])
def test_a_precision_copy_leaves_the_model_alone(
    model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs, precision: str, tolerance: float
) -> None:
    model = model_class(make_config())
    before = [variable.numpy().copy() for variable in model.weights]
    teacher = Teacher(model, precision=precision)
    assert (teacher.precision, teacher.model is model) == (precision, False)
    assert {variable.dtype for variable in teacher.weights} == {precision}
    assert not teacher.trainable_variables
    assert model.trainable
    assert len(model.trainable_variables) == len(before)
    for variable, original in zip(model.weights, before, strict=True):
        assert variable.dtype == "float32"
        np.testing.assert_array_equal(variable, original)
    inputs = make_inputs([5, 1, 12])
    for actual, expected in zip(
        keras.tree.flatten(arrays(teacher(inputs, **EVERYTHING))),
        keras.tree.flatten(arrays(model(inputs, **EVERYTHING))),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_a_copy_keeps_the_labels(make_config: MakeConfig) -> None:
    model = SequenceClassifier(make_config(), num_labels=3, id2label=["a", "b", "c"])
    assert Teacher(model, precision="bfloat16").model.id2label == model.id2label


@pytest.mark.parametrize(
    ("policy", "precision"), [("float32", "float32"), ("mixed_bfloat16", "bfloat16"), ("mixed_float16", "float16")]
)
def test_auto_follows_the_global_policy(
    make_config: MakeConfig, global_policy: Callable[[str], None], policy: str, precision: str
) -> None:
    model = SequenceClassifier(make_config(), dtype="float32")
    global_policy(policy)
    teacher = Teacher(model)
    assert teacher.precision == precision
    assert {variable.dtype for variable in teacher.weights} == {precision}
    assert (teacher.model is model) is (precision == "float32")


def test_a_mixed_model_in_float32(make_config: MakeConfig) -> None:
    model = SequenceClassifier(make_config(), dtype="mixed_bfloat16")
    teacher = Teacher(model, precision="float32")
    assert teacher.model.dtype_policy.name == "float32"
    assert model.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("task", "model_class"), [("sequence_classification", SequenceClassifier), ("masked_lm", MaskedLM)]
)
def test_from_pretrained(
    task: str, model_class: Any, make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path
) -> None:
    model = model_class(make_config())
    model.save_pretrained(tmp_path)
    teacher = Teacher.from_pretrained(tmp_path, task=task)
    inputs = make_inputs([4, 2])
    np.testing.assert_array_equal(teacher(inputs)["logits"], model(inputs)["logits"])
    assert Teacher.from_pretrained(tmp_path, task=task, precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("task", "tensor"), [("sequence_classification", "classifier"), ("masked_lm", "cls.predictions")]
)
def test_a_bare_encoder_directory_cannot_teach(task: str, tensor: str, make_config: MakeConfig, tmp_path: Path) -> None:
    TransformerEncoder(make_config()).save_pretrained(tmp_path)
    message = rf"{tmp_path} has no {task} head: {tensor}.* is missing.*tinybert finetune --model {tmp_path}"
    with pytest.raises(InputError, match=message):
        Teacher.from_pretrained(tmp_path, task=task)


def test_a_teacher_of_scores(make_config: MakeConfig, tmp_path: Path) -> None:
    SequenceClassifier(make_config(), num_labels=1).save_pretrained(tmp_path)
    assert Teacher.from_pretrained(tmp_path, task="regression").model.num_labels == 1
    SequenceClassifier(make_config(), num_labels=3).save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=rf"^{tmp_path} gives classes, one of them right; a model for task regression gives one score"
    ):
        Teacher.from_pretrained(tmp_path, task="regression")


def test_refusals(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="teacher precision: got 'int8'; expected one of auto, float32, bfloat16, float16"
    ):
        Teacher(SequenceClassifier(make_config()), precision="int8")
    with pytest.raises(InputError, match="task 'chess': expected one of sequence_classification, regression, "):
        Teacher.from_pretrained(tmp_path, task="chess")


def test_the_students_first_weights_do_not_depend_on_the_teachers_precision(make_config: MakeConfig) -> None:
    """`auto` is another precision on another machine."""

    def student(precision: str) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        Teacher(SequenceClassifier(make_config()), precision=precision)
        return [np.asarray(weight) for weight in SequenceClassifier(make_config(num_hidden_layers=1)).weights]

    for exact, other in zip(student("float32"), student("bfloat16"), strict=True):
        np.testing.assert_array_equal(exact, other)
