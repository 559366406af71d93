"""Finds the losses that read a teacher's features of padding, which a cache does not have, by trying them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinybert_tf.distillation.comparison import Comparison, label_spec
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.features import LOGITS

# The lengths of the rows on which losses are tried.
LENGTHS = np.array([5, 2, 4])
TOLERANCE = 1e-6


def losses_of_padding(distiller: Distiller) -> list[str]:
    """The names of the losses whose value depends on the teacher's features of padding.

    Each loss is called twice with random features of three rows: with zeros for the teacher's padding, as a cache gives
    it, and with random numbers. A loss that fails on these rows is named too.
    """
    if not any(shape[1:].count(None) for shape in distiller.teacher_shapes.values()):
        return []
    student, teacher = distiller.feature_specs()
    return [each.name for each in distiller.comparisons if _reads_padding(each, distiller, student, teacher)]


def _reads_padding(comparison: Comparison, distiller: Distiller, student: Any, teacher: Any) -> bool:
    draw = np.random.default_rng(0)
    spec = label_spec(student.get(LOGITS), comparison.predicts)
    labels = None if spec is None else np.zeros(_size(spec.shape), spec.dtype)
    if labels is None and comparison.loss.needs_labels:
        return False
    ours, theirs, noise = (
        keras.tree.map_structure(lambda spec: draw.normal(size=_size(spec.shape)).astype(np.float32), specs)
        for specs in (student, teacher, teacher)
    )
    mask = (np.arange(LENGTHS.max()) < LENGTHS[:, None]).astype(np.int32)

    def value(fill: Any) -> float:
        padded = keras.tree.map_structure(_padded, teacher, theirs, fill)
        return float(comparison.value(ours, padded, mask, labels, distiller.projections))

    try:
        without, with_noise = value(keras.tree.map_structure(np.zeros_like, noise)), value(noise)
    except Exception:  # a user's loss may fail in any way on rows that no model gave
        return True
    return not abs(without - with_noise) <= TOLERANCE * max(abs(without), abs(with_noise))


def _size(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape with the number of these rows as its batch, and the longest row for every other free axis."""
    return (len(LENGTHS), *(int(LENGTHS.max()) if size is None else size for size in shape[1:]))


def _padded(spec: keras.KerasTensor, values: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """`values` where all free axes of a row are within its length, `fill` elsewhere."""
    is_real = np.ones(values.shape, np.bool_)
    for axis, size in enumerate(spec.shape):
        if axis and size is None:
            within = np.arange(values.shape[axis]) < LENGTHS[:, None]
            is_real &= within.reshape(
                [len(LENGTHS), *(values.shape[axis] if at == axis else 1 for at in range(1, values.ndim))]
            )
    return np.where(is_real, values, fill)
