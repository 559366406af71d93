"""The metrics of a task, from logits and labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Metrics = dict[str, float]


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Accuracy, macro-averaged F1 and the Matthews correlation, from scikit-learn.

    Args:
        logits: `(rows, num_labels)`.
        labels: `(rows,)` class ids.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    predicted = logits.argmax(axis=-1)
    one_class = len({*labels.tolist(), *predicted.tolist()}) == 1  # scikit-learn then gives 0 as well, and warns
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": float(f1_score(labels, predicted, average="macro")),
        "matthews_correlation": 0.0 if one_class else float(matthews_corrcoef(labels, predicted)),
    }


def majority_accuracy(labels: np.ndarray) -> float:
    """The accuracy of always answering the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


# The metrics of each task; the first one chooses the best epoch.
TASK_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Metrics]] = {
    "sequence_classification": classification_metrics,
}
MAIN_METRIC = {"sequence_classification": "accuracy"}
