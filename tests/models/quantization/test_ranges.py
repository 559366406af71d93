"""Layers that round an activation, and learn their ranges from what they see: by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tinybert_tf import InputError
from tinybert_tf.models.quantization.ranges import ChannelLimits, Range, Rounding


def made(kind: type[Rounding], channels: int = 3) -> Any:
    rounding = kind("output")
    rounding.build((None, channels))
    return rounding


def observe(rounding: Rounding, *seen: Any) -> Rounding:
    rounding.observing = True
    for values in seen:
        np.testing.assert_array_equal(rounding(tf.constant(values)), np.float32(values))
    rounding.observing = False
    return rounding


def test_a_range_reaches_from_0_to_all_it_has_seen() -> None:
    rounding = observe(made(Range), [0.5, 1.25], [-0.25, 1.0])
    assert rounding.read() == (-0.25, 1.25)
    rounding.assign((-1.0, 1.55))
    np.testing.assert_allclose(rounding(tf.constant([0.014, 0.016, -3.0])), [0.01, 0.02, -1.0], atol=1e-6)
    rounding.forget()
    assert observe(rounding, [2.0]).read() == (0.0, 2.0)


def test_each_channel_has_127_steps_to_its_limit() -> None:
    rounding = observe(made(ChannelLimits), [[0.5, -0.127, 0.0]], [[-1.27, 0.1, 0.0]])
    np.testing.assert_allclose(rounding.read(), [1.27, 0.127, 0.0], atol=1e-6)
    values = tf.constant([[0.014, 0.0014, 0.0], [2.0, 2.0, 0.0], [-2.0, -2.0, 0.0]])
    expected = [[0.01, 0.001, 0.0], [1.27, 0.127, 0.0], [-1.28, -0.128, 0.0]]
    np.testing.assert_allclose(rounding(values), expected, atol=1e-6)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="expected finite numbers"):
        observe(made(Range), [np.inf])


@pytest.mark.parametrize("kind", [Range, ChannelLimits])
def test_half_precision_keeps_its_type(kind: type[Rounding]) -> None:
    rounding = observe(made(kind), [[0.5, 0.25, 1.0]])
    assert rounding(tf.constant([[0.1, 0.2, 0.3]], tf.bfloat16)).dtype == tf.bfloat16
