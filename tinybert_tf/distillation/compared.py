"""A summary of all losses of a Distiller: their names, the teacher's shapes, the widths to project."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinybert_tf import features
from tinybert_tf.distillation.comparison import Comparison
from tinybert_tf.distillation.losses.base import DistillationLoss


def compared_shapes(comparisons: Iterable[Comparison], teacher: Any) -> dict[str, tuple[int | None, ...]]:
    """The shapes of the teacher's features that are compared, by `features.teacher_key`; None for batch and length."""
    shapes = {}
    for comparison in comparisons:
        for name in comparison.loss.feature_names:
            outputs = teacher.get(name)
            layers: Iterable[int | None] = [None]
            if comparison.pairs is not None:
                layers = sorted({theirs for _, theirs in comparison.pairs})
            elif comparison.loss.is_per_layer and outputs is not None:
                layers = sorted(outputs)
            for layer in layers if outputs is not None else ():
                spec = outputs if layer is None else outputs[layer]
                shapes[features.teacher_key(name, layer)] = tuple(spec.shape)
    return shapes


def projection_widths(
    comparisons: Iterable[Comparison], student: Any, teacher: Any
) -> dict[tuple[str, int], tuple[int, int]]:
    """Both widths, by (feature, student layer), where they differ in a loss that allows a projection."""
    widths = {}
    for comparison in comparisons:
        if comparison.loss.projected:
            for layer, ours, theirs in comparison.compared(student, teacher):
                if layer is not None and ours.shape[-1] != theirs.shape[-1]:
                    widths[comparison.loss.feature_names[0], layer] = (ours.shape[-1], theirs.shape[-1])
    return widths


def distinct_names(losses: Iterable[DistillationLoss]) -> list[str]:
    """The names under which losses are logged; a second `attention_loss` becomes `attention_loss_2`."""
    names: list[str] = []
    for loss in losses:
        name, number = loss.name, 1
        while name in names:
            number += 1
            name = f"{loss.name}_{number}"
        names.append(name)
    return names
