"""A Keras model whose first training step is traced once."""

from __future__ import annotations

import contextlib
from typing import Any

import keras


class TrainableModel(keras.Model):
    """A `keras.Model` that makes its optimizer's variables in `compile`.

    Keras makes them while TensorFlow traces the first step, and TensorFlow then traces that step a second time: of a
    four-layer encoder with AdamW that is ten seconds for nothing.
    """

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.compile`."""
        super().compile(*args, **kwargs)
        strategy = getattr(self, "distribute_strategy", None)  # only TensorFlow's trainer has one
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            self.optimizer.build(self.trainable_variables)
