"""A Keras model that checks its inputs on the host before a pass begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras


class CheckedModel(keras.Model):
    """A `keras.Model` that refuses tokens without an embedding before `fit`, `evaluate` or `predict` begins.

    On a GPU and under XLA a lookup outside a table raises nothing; such a token gives NaN there. A subclass implements
    `check_inputs`. Batches of `tinybert_tf` and arrays are checked; `tf.data` and generators are not.
    """

    def check_inputs(self, inputs: Any) -> None:
        """Refuse inputs for which the model has no embedding; this class accepts all."""

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
    """Let models check inputs, if they can; the last one, only if one of its answers is not among the inputs.

    `answered`: the names of the last model's answers.
    """
    given = inputs if isinstance(inputs, Mapping) else getattr(inputs, "input_shapes", {})
    is_run = not all(name in given for name in answered)
    for model in models if is_run else models[:-1]:
        if isinstance(model, CheckedModel):
            model.check_inputs(inputs)
