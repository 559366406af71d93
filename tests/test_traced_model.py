"""What was traced is traced again when a layer changes what it computes, and not otherwise."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinybert_tf.traced_model import TracedModel


class Factor(keras.layers.Layer):
    """Multiplies by a number that is traced in."""

    def __init__(self) -> None:
        super().__init__()
        self.change(2.0)

    def change(self, factor: float) -> None:
        self.factor, self.traced_with = factor, object()

    def call(self, values: Any) -> Any:
        return values * self.factor


class Model(TracedModel):
    """Counts how often its call is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.below = Factor()
        self.calls = 0

    def call(self, values: Any) -> Any:
        self.calls += 1
        return self.below(values)


def test_predict_evaluate_and_fit_see_a_change() -> None:
    model, ones = Model(), np.ones((4, 1), "float32")
    model.compile(loss="mse", optimizer="sgd")
    for factor in (2.0, 3.0):
        model.below.change(factor)
        np.testing.assert_array_equal(model.predict(ones, verbose=0), factor * ones)
        assert model.evaluate(ones, ones, verbose=0) == model.test_on_batch(ones, ones) == (factor - 1) ** 2
        traced = model.calls
        model.predict(ones, verbose=0)
        model.evaluate(ones, ones, verbose=0)
        assert model.calls == traced
