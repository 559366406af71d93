"""A Keras model that is traced again when a layer changes what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import tree

from tinybert_tf.checked_model import CheckedModel


class TracedModel(CheckedModel):
    """A `keras.Model` that traces `fit`, `evaluate` and `predict` again after one of its layers has changed.

    Keras traces each of them once. A layer whose `call` depends on more than its variables has an attribute
    `traced_with`, whose value it changes whenever its computation changes.
    """

    predict_function: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._traced_with: dict[str, Any] = {}

    def make_train_function(self, force: bool = False) -> Any:
        """`keras.Model.make_train_function`, which also replaces a function that a changed layer made wrong."""
        return super().make_train_function(force or self._has_changed("train"))

    def make_test_function(self, force: bool = False) -> Any:
        """`keras.Model.make_test_function`, which also replaces a function that a changed layer made wrong."""
        return super().make_test_function(force or self._has_changed("test"))

    def make_predict_function(self, force: bool = False) -> Any:
        """`keras.Model.make_predict_function`, likewise; its function is traced once for batches of any size."""
        before = self.predict_function
        super().make_predict_function(force or self._has_changed("predict"))
        if self.predict_function is not before and hasattr(self.predict_function, "get_concrete_function"):
            self.predict_function = _of_any_size(self.predict_function)
        return self.predict_function

    def traced_layers(self) -> list[keras.layers.Layer]:
        """The layers that a call of the model runs, at any depth."""
        return list(self._flatten_layers())

    def _has_changed(self, phase: str) -> bool:
        before = self._traced_with.get(phase)
        self._traced_with[phase] = tuple(getattr(layer, "traced_with", None) for layer in self.traced_layers())
        return bool(self._traced_with[phase] != before)


def _of_any_size(predict: Any) -> Callable[[Any], Any]:
    """TensorFlow's `predict` of a list of batches, traced for any number of rows and any length, and without labels.

    By itself it is traced for the first batch's shape, for the second's, and again for a data set with labels. Batches
    of several replicas, and inputs with other axes than batch and length, are traced as before.
    """
    import tensorflow as tf

    traced: set[str] = set()

    def free(tensor: Any) -> Any:
        return tf.TensorSpec([None] * tensor.shape.rank, tensor.dtype)

    def of_any_size(data: Any) -> Any:
        inputs = [batch[:1] if isinstance(batch, tuple) else batch for batch in data]
        if all(tf.is_tensor(each) and each.shape.rank in (1, 2) for each in tree.flatten(inputs)):
            specs = tree.map_structure(free, inputs)
            if repr(specs) not in traced:
                predict.get_concrete_function(specs)  # the call below finds it
                traced.add(repr(specs))
        return predict(inputs)

    return of_any_size
