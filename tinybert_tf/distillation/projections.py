"""Learned projections from the student's width to the teacher's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tinybert_tf.errors import InputError

SHARING = ("shared", "per_layer")


class Projections(keras.layers.Layer):
    """Linear maps with bias that bring student features to the teacher's width, before a loss compares them.

    They are the Distiller's: trained with the student, left behind with the Distiller. Keras's default initialisation
    (Glorot uniform, zero bias), unless `start_from` or `go_on_from` gives another.

    Args:
        widths: for each `(feature, student_layer)` to project, `(student_width, teacher_width)`.
        sharing: `shared`: one map a feature, for the embedding output and all layers, as in the authors' code
            (modeling.py, `fit_dense`). `per_layer`: one map for each of them, as in their second release.

    Raises:
        InputError: an unknown `sharing`.
    """

    def __init__(
        self, widths: Mapping[tuple[str, int], tuple[int, int]], sharing: str = "shared", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sharing not in SHARING:
            raise InputError(f"projections={sharing!r} is not known; one of {', '.join(SHARING)} is.")
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
            feature: a key of the output dict, such as `hidden_states`; without maps of it nothing happens.
            expansion: kernel `(student_width, teacher_width)` and bias `(teacher_width,)` for some student layers.
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
        """Take the weights of the maps that another stage had too."""
        for name, dense in self.dense.items():
            theirs = earlier.dense.get(name)
            if theirs is not None and theirs.kernel.shape == dense.kernel.shape:
                dense.set_weights(theirs.get_weights())

    def name_of(self, feature: str, layer: int | None) -> str | None:
        """The map, a key of `dense`, that a feature of a student layer goes through; None of one that has none."""
        return None if layer is None else self._name_of.get((feature, layer))

    def call(self, feature: Any, name: str, layer: int) -> Any:
        """`(..., student_width)` to `(..., teacher_width)`; a feature that needs no projection passes."""
        dense = self.name_of(name, layer)
        return feature if dense is None else self.dense[dense](feature)
