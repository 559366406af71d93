"""Learned projections from the student's width to the teacher's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tinybert_tf.errors import InputError

SHARING = ("shared", "per_layer")


class Projections(keras.layers.Layer):
    """Linear maps with bias from the student's width to the teacher's, applied before a loss compares features.

    The Distiller owns them and trains them with the student; the student does not need them afterwards. They start with
    Keras's default initialisation (Glorot uniform, zero bias), or as `start_from` or `go_on_from` tells.

    Args:
        widths: for each `(feature, student_layer)` to project, `(student_width, teacher_width)`.
        sharing: `shared` is one map for each feature, for the embedding output and all layers, as in TinyBERT's code
            (modeling.py, `fit_dense`); `per_layer` is one map for each of them, as in its second release.

    Raises:
        InputError: `sharing` is unknown.
    """

    def __init__(
        self, widths: Mapping[tuple[str, int], tuple[int, int]], sharing: str = "shared", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sharing not in SHARING:
            raise InputError(f"projections: expected one of {', '.join(SHARING)}, got {sharing!r}.")
        self.dense: dict[str, keras.layers.Dense] = {}
        self._name_of: dict[tuple[str, int], str] = {}
        for (feature, layer), (student_width, teacher_width) in widths.items():
            name = feature if sharing == "shared" else f"{feature}_{layer}"
            self._name_of[feature, layer] = name
            if name not in self.dense:
                dense = keras.layers.Dense(teacher_width, dtype=self.dtype_policy, name=name)
                dense.build((None, student_width))
                self.dense[name] = dense
        self.built = True

    def start_from(self, feature: str, expansion: Callable[[Sequence[int]], tuple[Any, Any]]) -> None:
        """Give the maps of a feature their first weights.

        Args:
            feature: a key of the output dict, such as `hidden_states`; if it has no maps, nothing happens.
            expansion: for some student layers a kernel `(student_width, teacher_width)` and a bias `(teacher_width,)`.
        """
        layers: dict[str, list[int]] = {}
        for (owner, layer), name in self._name_of.items():
            if owner == feature:
                layers.setdefault(name, []).append(layer)
        for name, served in layers.items():
            kernel, bias = expansion(served)
            self.dense[name].kernel.assign(kernel)
            self.dense[name].bias.assign(bias)

    def go_on_from(self, earlier: Projections) -> None:
        """Copy the weights of those maps that another stage's projections have too."""
        for name, dense in self.dense.items():
            theirs = earlier.dense.get(name)
            if theirs is not None and theirs.kernel.shape == dense.kernel.shape:
                dense.set_weights(theirs.get_weights())

    def name_of(self, feature: str, layer: int | None) -> str | None:
        """The key in `dense` of the map for a feature of a student layer; None if it has none."""
        return None if layer is None else self._name_of.get((feature, layer))

    def call(self, feature: Any, name: str, layer: int) -> Any:
        """Map `(..., student_width)` to `(..., teacher_width)`; a feature without a map stays as it is."""
        dense = self.name_of(name, layer)
        return feature if dense is None else self.dense[dense](feature)
