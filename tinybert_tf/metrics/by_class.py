"""The results of each class, label or type of entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# By class name: precision, recall, F1 (fractions) and two counts.
ByClass = dict[str, dict[str, float]]


def class_results(logits: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> ByClass:
    """Precision, recall and F1 of each class, the number of its rows (`support`) and of its predictions (`predicted`).

    Args:
        logits: `(rows, num_labels)`.
        labels: `(rows,)` class ids.
        names: the names of the classes.
    """
    each = np.arange(logits.shape[-1])
    return label_results((logits.argmax(axis=-1)[:, None] == each) * 2.0 - 1.0, labels[:, None] == each, names)


def label_results(logits: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> ByClass:
    """`class_results` for rows with any number of right labels: `labels` is `(rows, num_labels)` of 0 and 1."""
    answered, right = logits > 0, labels.astype(bool)
    counts = (answered & right).sum(axis=0), answered.sum(axis=0), right.sum(axis=0)
    return {name: _result(*map(int, of_class)) for name, *of_class in zip(names, *counts, strict=True)}


def type_results(answers: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], names: Sequence[str]) -> ByClass:
    """`class_results` for the types of entities that occur, with counts of entities as in `tag_metrics`."""
    from seqeval.metrics.sequence_labeling import get_entities

    found, expected = set(get_entities([list(row) for row in answers])), set(get_entities([list(row) for row in tags]))
    right, answered, there = (Counter(kind for kind, *_ in each) for each in (found & expected, found, expected))
    return {kind: _result(right[kind], answered[kind], there[kind]) for kind in sorted(answered | there)}


def _result(right: int, predicted: int, support: int) -> dict[str, float]:
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / support if support else 0.0,
        "f1": 2 * right / (predicted + support) if right else 0.0,
        "support": support,
        "predicted": predicted,
    }


def never_predicted(details: Mapping[str, Any]) -> str | None:
    """A line that names the classes of the data that the model never predicts; None if there are none.

    `details` holds `per_class`, as `TaskMetrics.details` gives it.
    """
    missing = [
        f"{name!r} (0 of {result['support']})"
        for name, result in details.get("per_class", {}).items()
        if result["support"] and not result["predicted"]
    ]
    return f"never predicted: {', '.join(missing)}" if missing else None
