"""The start values of the projections of a distillation's stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from tinybert_tf import features
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.models.cut.least_squares import LeastSquares
from tinybert_tf.models.cut.student import Cut


def start_projections(distillers: Iterable[Distiller], cut: Cut) -> None:
    """Start the projections of hidden states from the map from a cut student's basis back to the teacher's width."""
    for distiller in distillers:
        distiller.projections.start_from(features.HIDDEN_STATES, cut.expansion)


def carry_projections(before: Iterable[Distiller], distiller: Distiller) -> None:
    """Start a stage's projections from the final ones of the stages before it."""
    for earlier in before:
        distiller.projections.go_on_from(earlier.projections)


def fit_projections(distillers: Iterable[Distiller], batches: Sequence[Mapping[str, Any]], ridge: float) -> None:
    """Start projections at the least squared error on the batches' real tokens, over all layer pairs that they serve.

    This is for a student that has weights of its own. Projections of a learned layer map, which has no pairs yet, do
    not change.
    """
    for distiller in distillers:
        fits: dict[str, LeastSquares] = {}
        for inputs in batches if distiller.projections.dense else ():
            is_token = np.asarray(inputs["attention_mask"]) == 1
            student = distiller.student(inputs, training=False, **distiller.student_arguments)
            teacher = distiller.teacher(inputs, training=False, **distiller.teacher_arguments)
            for comparison in distiller.comparisons:
                if not comparison.loss.projected or comparison.weights is not None:
                    continue
                for layer, ours, theirs in comparison.compared(student, teacher):
                    name = distiller.projections.name_of(comparison.loss.feature_names[0], layer)
                    if name is not None:
                        rows, targets = (_rows(feature, is_token) for feature in (ours, theirs))
                        prior = np.zeros((rows.shape[-1], targets.shape[-1]))
                        fits.setdefault(name, LeastSquares(prior, ridge)).add(rows, targets)
        for name, fitted in fits.items():
            affine = fitted.solve()
            distiller.projections.dense[name].set_weights([affine.kernel, affine.bias])


def _rows(feature: Any, is_token: np.ndarray) -> np.ndarray:
    """Return a feature of the real tokens, `(tokens, width)`."""
    return np.asarray(ops.convert_to_numpy(ops.cast(feature, "float32")))[is_token]
