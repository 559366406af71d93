"""BERT's optimizer: the schedule by hand, what decays and what does not, and every refusal."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import EncoderConfig, InputError, MaskedLM, SequenceClassifier, bert_optimizer
from tinybert_tf.training.optimizer import (
    SCHEDULES,
    ConstantAfterWarmup,
    CosineWarmupDecay,
    LinearWarmupDecay,
    WarmupSchedule,
)

CONFIG = EncoderConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def hugging_face_rate(name: str, step: int, peak: float, warmup_steps: int, total_steps: int) -> float:
    """`transformers.get_{linear,constant,cosine}_schedule_with_warmup`, copied."""
    if step < warmup_steps:
        return peak * float(step) / float(max(1, warmup_steps))
    if name == "constant":
        return peak
    if name == "linear":
        return peak * max(0.0, float(total_steps - step) / float(max(1, total_steps - warmup_steps)))
    progress = float(step - warmup_steps) / float(max(1, total_steps - warmup_steps))
    return peak * max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(0, 1), (0, 7), (1, 2), (3, 10), (9, 10)])
def test_schedules_are_hugging_faces(name: str, warmup_steps: int, total_steps: int) -> None:
    schedule = SCHEDULES[name](5e-5, warmup_steps, total_steps)
    for step in range(total_steps + 1):
        rate = schedule(keras.ops.convert_to_tensor(step, dtype="int64"))
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        assert float(rate) == pytest.approx(
            hugging_face_rate(name, step, 5e-5, warmup_steps, total_steps), rel=2e-6, abs=1e-12
        )


@pytest.mark.parametrize(
    ("schedule", "end"), [(LinearWarmupDecay, 0.0), (CosineWarmupDecay, 0.0), (ConstantAfterWarmup, 2.0)]
)
def test_after_the_last_step_nothing_rises_again(schedule: type[WarmupSchedule], end: float) -> None:
    assert [float(schedule(2.0, 1, 4)(step)) for step in (4, 5, 7, 100)] == [end] * 4


@pytest.mark.parametrize(
    ("total_steps", "warmup_fraction", "warmup_steps"), [(100, 0.1, 10), (9, 0.1, 0), (1, 0.99, 0), (3, 0.5, 1)]
)
def test_warm_up_in_whole_steps(total_steps: int, warmup_fraction: float, warmup_steps: int) -> None:
    optimizer = bert_optimizer(total_steps=total_steps, warmup_fraction=warmup_fraction)
    assert optimizer.get_config()["learning_rate"]["config"]["warmup_steps"] == warmup_steps


def test_defaults_are_berts() -> None:
    config = bert_optimizer(total_steps=100).get_config()
    assert config["learning_rate"]["config"] == {"peak": 5e-5, "warmup_steps": 10, "total_steps": 100}
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.999, 1e-6)
    assert (config["weight_decay"], config["global_clipnorm"]) == (0.01, 1.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_by_name(name: str) -> None:
    optimizer = bert_optimizer(1e-3, total_steps=8, schedule=name, warmup_fraction=0.25)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for made in (optimizer, again):
        made.build([keras.Variable(np.zeros(1, "float32"))])
        made.iterations.assign(4)  # two of the six steps after the warm-up
        expected = {"linear": 4 / 6, "constant": 1.0, "cosine": 0.75}[name]  # (1 + cos(pi / 3)) / 2
        assert float(made.learning_rate) == pytest.approx(1e-3 * expected, rel=1e-6)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    optimizer = bert_optimizer(1e-3, total_steps=4, warmup_fraction=0.0, weight_decay=0.0)
    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer.apply([np.array([1.0, -2.0, 0.5], "float32")], [variable])
    # Adam's first step is the rate times the gradient's sign, but for epsilon.
    np.testing.assert_allclose(variable, [-1e-3, 1e-3, -1e-3], rtol=1e-3)
    assert float(optimizer.learning_rate) == pytest.approx(0.75e-3)


@pytest.mark.parametrize("model_class", [SequenceClassifier, MaskedLM])
@pytest.mark.parametrize("wrapped", [False, True])
def test_biases_and_layer_norm_do_not_decay(model_class: type[keras.Model], wrapped: bool) -> None:
    model = model_class(CONFIG)
    optimizer = bert_optimizer(0.1, total_steps=10, warmup_fraction=0.0, weight_decay=0.5)
    if wrapped:  # as Keras does under mixed_float16
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(keras.ops.ones_like(variable))
    optimizer.apply([keras.ops.zeros_like(variable) for variable in variables], variables)
    decayed = {variable.path for variable in variables if np.allclose(variable, 1 - 0.1 * 0.5)}
    kept = {variable.path for variable in variables if np.all(np.asarray(variable) == 1)}
    assert decayed | kept == {variable.path for variable in variables}
    assert {path.rsplit("/", 1)[1] for path in decayed} == {"kernel", "embeddings"}
    assert {path.rsplit("/", 1)[1] for path in kept} == {"bias", "gamma", "beta"}
    # 6 a layer (4 attention, 2 feed-forward) and 3 tables; the pooler and the classifier, or the transform.
    assert len(decayed) == 6 * 2 + 3 + (2 if model_class is SequenceClassifier else 1)


def test_gradients_are_clipped_by_their_common_norm() -> None:
    optimizer = bert_optimizer(total_steps=10, global_clipnorm=1.0)
    variables = [keras.Variable(np.zeros(1, "float32")), keras.Variable(np.zeros(1, "float32"))]
    clipped = optimizer._clip_gradients([np.array([30.0], "float32"), np.array([40.0], "float32")])
    np.testing.assert_allclose(np.concatenate(clipped), [0.6, 0.8], rtol=1e-6)
    optimizer.apply(clipped, variables)


def test_survives_serialization() -> None:
    optimizer = bert_optimizer(2e-4, total_steps=20, warmup_fraction=0.25, weight_decay=0.5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    bias, kernel = (keras.Variable(np.ones(2, "float32"), name=name) for name in ("bias", "kernel"))
    again.build([bias, kernel])
    again.iterations.assign(5)  # the peak
    again.apply([np.zeros(2, "float32")] * 2, [bias, kernel])
    np.testing.assert_array_equal(bias, [1, 1])
    np.testing.assert_allclose(kernel, [1 - 1e-4] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0: expected a number > 0"),
        ({"learning_rate": -1e-3}, "learning_rate=-0.001"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"learning_rate": math.inf}, "learning_rate=inf"),
        ({"total_steps": 0}, "total_steps=0: expected an integer >= 1"),
        ({"total_steps": -5}, "total_steps=-5"),
        ({"schedule": "step"}, "schedule='step': expected one of linear, constant, cosine"),
        ({"warmup_fraction": 1.0}, r"warmup_fraction=1.0: expected a fraction in \[0, 1\)"),
        ({"warmup_fraction": -0.1}, "warmup_fraction=-0.1"),
        ({"warmup_fraction": math.nan}, "warmup_fraction=nan"),
        ({"weight_decay": -0.01}, "weight_decay=-0.01: expected a number >= 0"),
        ({"weight_decay": math.nan}, "weight_decay=nan"),
        ({"global_clipnorm": 0.0}, "global_clipnorm=0.0: expected a number > 0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        bert_optimizer(**{"total_steps": 10, **arguments})


def test_total_steps_must_be_named() -> None:
    with pytest.raises(TypeError, match="total_steps"):
        bert_optimizer(1e-3)  # type: ignore[call-arg]


# === The update itself ===


def table_and_bias() -> list[keras.Variable]:
    draw = np.random.default_rng(1)
    return [
        keras.Variable(draw.normal(size=(6, 3)).astype("float32"), name="embeddings"),
        keras.Variable(draw.normal(size=3).astype("float32"), name="bias"),
    ]


def gradients_of(step: int) -> list[Any]:
    """A table's gradient as lookups give it, one row for each place of a token, token 4 at two places; a bias's."""
    draw = np.random.default_rng((2, step))
    places = tf.IndexedSlices(tf.constant(draw.normal(size=(4, 3)), "float32"), tf.constant([4, 1, 4, 0]), [6, 3])
    return [places, tf.constant(draw.normal(size=3), "float32")]


def dense(gradient: Any) -> np.ndarray:
    return tf.convert_to_tensor(gradient).numpy().astype("float64")


def test_five_updates_by_hand() -> None:
    """arXiv 1412.6980, algorithm 1, and arXiv 1711.05101, algorithm 2, in float64; clipped by the norm of all."""
    variables = table_and_bias()
    optimizer = bert_optimizer(1e-2, total_steps=10, warmup_fraction=0.0, weight_decay=0.1, global_clipnorm=0.5)
    values = [variable.numpy().astype("float64") for variable in variables]
    moments = [(0.0, 0.0)] * 2
    for step in range(1, 6):
        optimizer.apply(gradients_of(step), variables)
        gradients = [dense(gradient) for gradient in gradients_of(step)]
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        rate = 1e-2 * (11 - step) / 10
        for number, (gradient, decay) in enumerate(zip(gradients, (0.1, 0.0), strict=True)):
            gradient = gradient * min(1.0, 0.5 / norm)
            first, second = moments[number]
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            moments[number] = first, second
            values[number] = values[number] * (1 - rate * decay)
            # Keras's epsilon is added before the correction of the bias, as section 2 of the paper has it.
            scale = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            values[number] = values[number] - rate * scale * first / (np.sqrt(second) + 1e-6)
        for variable, value in zip(variables, values, strict=True):
            np.testing.assert_allclose(variable.numpy(), value, atol=2e-7, rtol=2e-6)


def test_the_fused_update_is_kerass() -> None:
    ours, theirs = table_and_bias(), table_and_bias()
    fused = bert_optimizer(1e-2, total_steps=10)
    plain = keras.optimizers.AdamW(fused._learning_rate, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    plain.exclude_from_weight_decay(var_names=["bias"])
    for step in range(5):
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients_of(step)]
        fused.apply(gradients, ours)
        plain.apply(gradients, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
