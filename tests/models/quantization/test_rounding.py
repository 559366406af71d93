"""Numbers rounded as small integers: values and gradients by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.fake_quantization import Dense, fake_quantized
from tinybert_tf.models.quantization.rounding import FakeQuantization, RoundedActivations, rounded, symmetric_step

QUANTIZATION = FakeQuantization({"place": (-1.0, 1.55), "dense/input": (0.0, 2.55)}, {"sum": [1.27, 0.127, 0.0]})


def test_a_weight_has_127_steps_to_its_largest() -> None:
    kernel = tf.constant([[1.27, -0.5, 0.0], [0.014, 0.25, 0.0], [-0.016, 0.001, 0.0]])
    steps = symmetric_step(kernel, 0, 8)
    np.testing.assert_allclose(steps, [[0.01, 0.5 / 127, 1.0]], rtol=1e-6)
    expected = [[1.27, -0.5, 0.0], [0.01, 64 * 0.5 / 127, 0.0], [-0.02, 0.0, 0.0]]
    np.testing.assert_allclose(rounded(kernel, steps), expected, atol=1e-7)
    # A row of a table has a scale of its own.
    np.testing.assert_allclose(QUANTIZATION.table(tf.constant([[1.27, 0.014], [0.127, 0.014]]))[1], [0.127, 0.014])


def test_a_bias_is_a_multiple_of_its_products_unit() -> None:
    kernel, bias = QUANTIZATION.dense_weights("dense", tf.constant([[1.27], [0.3]]), tf.constant([0.12346]))
    np.testing.assert_allclose(kernel, [[1.27], [0.3]], rtol=1e-6)
    np.testing.assert_allclose(bias, [0.1235], rtol=1e-6)  # of 0.01 times 0.01


def test_an_activation_has_255_steps_and_ends() -> None:
    values = tf.constant([-3.0, -1.0, 0.0, 0.014, 0.016, 1.549, 9.0])
    expected = [-1.0, -1.0, 0.0, 0.01, 0.02, 1.55, 1.55]
    np.testing.assert_allclose(QUANTIZATION.activation("place", values), expected, atol=1e-6)


def test_each_channel_has_127_steps_to_its_limit() -> None:
    values = tf.constant([[0.014, 0.0014, 0.0], [2.0, 2.0, 0.0], [-2.0, -2.0, 0.0]])
    found = QUANTIZATION.channels("sum", values)
    expected = [[0.01, 0.001, 0.0], [1.27, 0.127, 0.0], [-1.28, -0.128, 0.0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gradients_pass_straight_through() -> None:
    weights, values = tf.Variable([[1.27, -0.014], [0.3, 0.2]]), tf.constant([-3.0, -1.0, 0.014, 1.0, 9.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        table = tf.reduce_sum(QUANTIZATION.table(weights) * [[1.0, 2.0], [3.0, 4.0]])
        activation = tf.reduce_sum(QUANTIZATION.activation("place", values) * [1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(tape.gradient(table, weights), [[1, 2], [3, 4]])
    # None reaches what is out of range.
    np.testing.assert_array_equal(tape.gradient(activation, values), [0, 2, 3, 4, 0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_types_are_kept_and_rounding_is_float32s(dtype: str) -> None:
    values = tf.cast(tf.constant([[0.5, -0.25, 1.27]]), dtype)
    for found in (
        QUANTIZATION.table(values),
        QUANTIZATION.activation("place", values),
        QUANTIZATION.channels("sum", values),
    ):
        assert found.dtype == values.dtype
    exact = QUANTIZATION.activation("place", tf.cast(values, "float32"))
    np.testing.assert_array_equal(QUANTIZATION.activation("place", values), tf.cast(exact, dtype))


def test_zeros_stay_zeros() -> None:
    kernel = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    kernel[np.random.default_rng(1).random((8, 6)) < 0.5] = 0
    kernel[:, 3] = 0
    found, _ = QUANTIZATION.dense_weights("dense", tf.constant(kernel), tf.zeros(6))
    np.testing.assert_array_equal(
        np.asarray(found) == 0, (kernel == 0) | (np.abs(kernel) < np.abs(kernel).max(0) / 254)
    )
    assert (np.asarray(found)[kernel == 0] == 0).all()


def test_a_dense_layer_rounds_input_kernel_bias_and_output() -> None:
    layer = Dense(2, name="dense")
    with keras.name_scope("model"):
        layer.build((None, 2))
    layer.kernel.assign([[1.27, 0.0], [0.0, 0.127]])
    layer.bias.assign([0.12346, 0.0])
    quantization = FakeQuantization({"dense/input": (0.0, 2.55), "dense/output": (0.0, 25.5)}, {})
    with fake_quantized(quantization):
        found = layer(np.array([[[0.503, 1.0]]], "float32"))
    # 0.5 * 1.27 + 0.1235 = 0.7585, 0.127; outputs have steps of 0.1.
    np.testing.assert_allclose(found, [[[0.8, 0.1]]], rtol=1e-5)
    np.testing.assert_allclose(layer(np.array([[[0.5, 1.0]]], "float32")), [[[0.75846, 0.127]]], rtol=1e-5)


def test_config_round_trip() -> None:
    assert FakeQuantization.from_config(QUANTIZATION.get_config(), "config.json") == QUANTIZATION


@pytest.mark.parametrize(
    "damage",
    [
        lambda config: config.pop("ranges"),
        lambda config: config.update(ranges={"place": [0.0]}),
        lambda config: config.update(limits=3),
        lambda config: config.update(weight_bits=5),
    ],
)
def test_a_damaged_config_is_named(damage: Callable[[dict], object]) -> None:
    config = QUANTIZATION.get_config()
    damage(config)
    with pytest.raises(InputError):
        FakeQuantization.from_config(config, "config.json")


def test_bits_and_places_that_are_not_there() -> None:
    with pytest.raises(InputError, match="bits=3: weights of 8 bits"):
        dataclasses.replace(QUANTIZATION, weight_bits=3)
    with pytest.raises(InputError, match="layer_9: no range was measured there"):
        QUANTIZATION.activation("layer_9", tf.zeros(1))


def test_rounded_for_good_is_left_as_it_is() -> None:
    kernel, bias = RoundedActivations({}, {}).dense_weights("dense", "kernel", "bias")
    assert (kernel, bias) == ("kernel", "bias")
