"""A Keras model that is traced again when a layer changes what it computes."""

from __future__ import annotations

from typing import Any

import keras

from tinybert_tf.checked_model import CheckedModel


class TracedModel(CheckedModel):
    """A `keras.Model` that traces `fit`, `evaluate` and `predict` again after one of its layers has changed.

    Keras traces each of them once. A layer whose `call` depends on more than its variables has an attribute
    `traced_with`, and gives it another value whenever that changes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._traced_with: dict[str, Any] = {}

    def make_train_function(self, force: bool = False) -> Any:
        """`keras.Model.make_train_function`, which also replaces what no longer holds."""
        return super().make_train_function(force or self._has_changed("train"))

    def make_test_function(self, force: bool = False) -> Any:
        """`keras.Model.make_test_function`, which also replaces what no longer holds."""
        return super().make_test_function(force or self._has_changed("test"))

    def make_predict_function(self, force: bool = False) -> Any:
        """`keras.Model.make_predict_function`, which also replaces what no longer holds."""
        return super().make_predict_function(force or self._has_changed("predict"))

    def traced_layers(self) -> list[keras.layers.Layer]:
        """The layers that are run when the model is, at any depth."""
        return list(self._flatten_layers())

    def _has_changed(self, phase: str) -> bool:
        before = self._traced_with.get(phase)
        self._traced_with[phase] = tuple(getattr(layer, "traced_with", None) for layer in self.traced_layers())
        return bool(self._traced_with[phase] != before)
