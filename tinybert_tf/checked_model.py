"""A Keras model that looks at its inputs on the host before a pass begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras


class CheckedModel(keras.Model):
    """A `keras.Model` that refuses what it has no embedding for before `fit`, `evaluate` or `predict` begins.

    On a GPU and under XLA a lookup outside a table raises nothing; there such a token makes NaN. A subclass implements
    `check_inputs`. Batches of `tinybert_tf` and arrays are looked at; `tf.data` and generators are not.
    """

    def check_inputs(self, inputs: Any) -> None:
        """Refuse inputs outside of what the model has embeddings for; by default none."""

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """`keras.Model.fit`, with `x` and `validation_data` checked."""
        validation = kwargs.get("validation_data")
        self.check_inputs(x)
        self.check_inputs(validation[0] if isinstance(validation, tuple | list) and validation else validation)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, with `x` checked."""
        self.check_inputs(x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.predict`, with `x` checked."""
        self.check_inputs(x)
        return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`, with `x` checked."""
        self.check_inputs(x)
        return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch`, with `x` checked."""
        self.check_inputs(x)
        return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """`keras.Model.predict_on_batch`, with `x` checked."""
        self.check_inputs(x)
        return super().predict_on_batch(x)


def check_inputs_of(models: Sequence[keras.Model], inputs: Any, answered: Iterable[str]) -> None:
    """Let models check inputs, as far as they do; the last one is run, and asked, only where an answer is missing.

    `answered`: the names of the last model's answers among the inputs.
    """
    given = inputs if isinstance(inputs, Mapping) else getattr(inputs, "input_shapes", {})
    is_run = not all(name in given for name in answered)
    for model in models if is_run else models[:-1]:
        if isinstance(model, CheckedModel):
            model.check_inputs(inputs)
