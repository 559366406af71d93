"""Numbers rounded as small integers: values and gradients by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import InputError
from tinybert_tf.models.quantization.rounding import (
    check_weight_bits,
    rounded,
    rounded_between,
    rounded_rows,
    symmetric_step,
)

RANGE = (-1.0, 1.55)


def test_a_weight_has_127_steps_to_its_largest() -> None:
    kernel = tf.constant([[1.27, -0.5, 0.0], [0.014, 0.25, 0.0], [-0.016, 0.001, 0.0]])
    steps = symmetric_step(kernel, 0, 8)
    np.testing.assert_allclose(steps, [[0.01, 0.5 / 127, 1.0]], rtol=1e-6)
    expected = [[1.27, -0.5, 0.0], [0.01, 64 * 0.5 / 127, 0.0], [-0.02, 0.0, 0.0]]
    np.testing.assert_allclose(rounded(kernel, steps), expected, atol=1e-7)
    # A row of a table has a scale of its own.
    np.testing.assert_allclose(rounded_rows(tf.constant([[1.27, 0.014], [0.127, 0.014]]), 8)[1], [0.127, 0.014])


@pytest.mark.parametrize("is_variable", [False, True])
def test_an_activation_has_255_steps_and_ends(is_variable: bool) -> None:
    ends = map(tf.Variable, RANGE) if is_variable else RANGE
    values = tf.constant([-3.0, -1.0, 0.0, 0.014, 0.016, 1.549, 9.0])
    expected = [-1.0, -1.0, 0.0, 0.01, 0.02, 1.55, 1.55]
    np.testing.assert_allclose(rounded_between(*ends, values), expected, atol=1e-6)


def test_gradients_pass_straight_through() -> None:
    weights, values = tf.Variable([[1.27, -0.014], [0.3, 0.2]]), tf.constant([-3.0, -1.0, 0.014, 1.0, 9.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        table = tf.reduce_sum(rounded_rows(weights, 8) * [[1.0, 2.0], [3.0, 4.0]])
        activation = tf.reduce_sum(rounded_between(*RANGE, values) * [1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(tape.gradient(table, weights), [[1, 2], [3, 4]])
    # None reaches what is out of range.
    np.testing.assert_array_equal(tape.gradient(activation, values), [0, 2, 3, 4, 0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_types_are_kept_and_rounding_is_float32s(dtype: str) -> None:
    values = tf.cast(tf.constant([[0.5, -0.25, 1.27]]), dtype)
    found = rounded_between(*RANGE, values)
    assert found.dtype == rounded_rows(values, 8).dtype == values.dtype
    np.testing.assert_array_equal(found, tf.cast(rounded_between(*RANGE, tf.cast(values, "float32")), dtype))


def test_other_bits_are_refused() -> None:
    with pytest.raises(InputError, match="bits: expected 8, got 3"):
        check_weight_bits(3)
