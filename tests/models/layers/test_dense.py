"""Dense layers and tables, rounded and not: by hand."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tinybert_tf.models.layers.activations import ACTIVATIONS
from tinybert_tf.models.layers.dense import Dense, Embedding


def rounding_dense() -> Dense:
    """Inputs in steps of 0.01, outputs in steps of 0.1."""
    layer = Dense(2, name="dense")
    layer.build((None, 2))
    layer.kernel.assign([[1.27, 0.0], [0.0, 0.127]])
    layer.bias.assign([0.12346, 0.0])
    layer.start_rounding(8)
    layer.roundings["input"].assign((0.0, 2.55))
    layer.roundings["output"].assign((0.0, 25.5))
    return layer


def test_input_kernel_bias_and_output_are_rounded() -> None:
    layer = rounding_dense()
    # 0.5 * 1.27 + 0.1235 = 0.7585, 0.127; the bias is a multiple of 0.01 * 0.01.
    np.testing.assert_allclose(layer(np.array([[[0.503, 1.0]]], "float32")), [[[0.8, 0.1]]], rtol=1e-5)
    np.testing.assert_allclose(layer.rounded_weights()[1], [0.1235, 0.0], rtol=1e-6)
    layer.stop_rounding()
    np.testing.assert_allclose(layer(np.array([[[0.5, 1.0]]], "float32")), [[[0.75846, 0.127]]], rtol=1e-5)
    assert len(layer.weights) == 2


def test_the_activation_comes_after_the_rounding() -> None:
    layer = rounding_dense()
    layer.follow_up = ACTIVATIONS["relu"]
    layer.roundings["output"].assign((-25.5, 0.0))
    np.testing.assert_allclose(layer(np.array([[-0.503, 1.0]], "float32")), [[0.0, 0.0]], atol=1e-6)


def test_a_frozen_one_gives_the_same_and_rounds_no_weight_again() -> None:
    layer, values = rounding_dense(), np.array([[0.503, 1.0]], "float32")
    before = layer(values)
    layer.freeze()
    np.testing.assert_array_equal(layer(values), before)
    layer.bias.assign([0.12346, 0.0])
    np.testing.assert_array_equal(layer.rounded_weights()[1], layer.bias)


def test_zeros_stay_zeros() -> None:
    kernel = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    kernel[np.random.default_rng(1).random((8, 6)) < 0.5] = 0
    kernel[:, 3] = 0
    layer = Dense(6)
    layer.build((None, 8))
    layer.kernel.assign(kernel)
    layer.start_rounding(8)
    found = np.asarray(layer.rounded_weights()[0])
    np.testing.assert_array_equal(found == 0, (kernel == 0) | (np.abs(kernel) < np.abs(kernel).max(0) / 254))


def test_a_table_has_a_scale_for_each_row() -> None:
    table = Embedding(2, 2)
    table.build()
    table.embeddings.assign([[1.27, 0.014], [0.127, 0.014]])
    table.start_rounding(8)
    np.testing.assert_allclose(table(tf.constant([[1, 0]])), [[[0.127, 0.014], [1.27, 0.01]]], atol=1e-6)
