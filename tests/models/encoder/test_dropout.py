"""Dropout drops what Keras's drops in the mean, and passes gradients where it passed numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf.models.encoder.dropout import Dropout


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_fraction_and_the_scale(dtype: str, rate: float) -> None:
    values = tf.ones((301, 333), dtype)  # an odd number of them
    dropped = tf.cast(Dropout(rate, seed=1, dtype=dtype)(values, training=True), tf.float32).numpy()
    kept = dropped != 0
    assert 1 - kept.mean() == pytest.approx(rate, abs=0.005)
    assert set(np.unique(dropped[kept])) == {float(tf.cast(tf.cast(1 / (1 - rate), dtype), tf.float32))}
    # in rows and columns alike, and neighbours, which share a random number, apart from each other
    assert np.abs(kept.mean(axis=0) - kept.mean()).max() < 0.15
    both = kept.reshape(-1)[:-1].reshape(-1, 2).all(axis=1).mean()
    assert both == pytest.approx((1 - rate) ** 2, abs=0.01)


def test_other_numbers_in_each_call_and_the_same_from_the_same_seed() -> None:
    values = tf.ones((8, 16))
    first, second = (
        [layer(values, training=True) for _ in range(2)] for layer in (Dropout(0.5, seed=1), Dropout(0.5, seed=1))
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_gradients_go_where_numbers_went() -> None:
    values = tf.random.stateless_normal((5, 7), seed=[1, 2])
    layer = Dropout(0.4, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(values)
        dropped = layer(values, training=True)
    np.testing.assert_allclose(tape.gradient(dropped, values) * values, dropped, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_as_keras_where_nothing_is_drawn(rate: float) -> None:
    values = np.ones((4, 4), "float32")
    for training in (False, None, *([True] if rate in (0.0, 1.0) else [])):
        expected = keras.layers.Dropout(rate)(values, training=training)
        np.testing.assert_array_equal(Dropout(rate)(values, training=training), expected)


def test_sizes_that_are_not_known_when_traced() -> None:
    layer = Dropout(0.5, seed=1)
    drop = tf.function(lambda values: layer(values, training=True), input_signature=[tf.TensorSpec([None, None, 3])])
    assert drop(tf.ones((2, 5, 3))).shape == (2, 5, 3)
    assert drop(tf.ones((0, 5, 3))).shape == (0, 5, 3)


def test_xla_draws_anew_in_each_call() -> None:
    layer = Dropout(0.5, seed=1)
    drop = tf.function(lambda values: layer(values, training=True), jit_compile=True)
    first, second = (drop(tf.ones((31, 33))).numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    assert (first != 0).mean() == pytest.approx(0.5, abs=0.06)
