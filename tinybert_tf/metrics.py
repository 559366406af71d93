"""The metrics of a task, from logits and labels, and which of them chooses the best epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinybert_tf.errors import InputError

Metrics = dict[str, float]


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Accuracy, F1 and the Matthews correlation, from scikit-learn.

    `f1` is GLUE's: that of class 1, and only there where there are two classes. `f1_macro` is the mean over the classes
    that occur, of any number of them.

    Args:
        logits: `(rows, num_labels)`.
        labels: `(rows,)` class ids.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    predicted = logits.argmax(axis=-1)
    one_class = len({*labels.tolist(), *predicted.tolist()}) == 1  # scikit-learn then gives 0 as well, and warns
    of_class_1 = float(f1_score(labels, predicted, labels=[1], average="macro", zero_division=0.0))
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        **({"f1": of_class_1} if logits.shape[-1] == 2 else {}),
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "matthews_correlation": 0.0 if one_class else float(matthews_corrcoef(labels, predicted)),
    }


def regression_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Pearson's and Spearman's correlation, from scipy; 0 where the answers, or the labels, are all the same.

    Args:
        logits: `(rows, 1)`, the scores answered.
        labels: `(rows,)` scores.
    """
    from scipy.stats import pearsonr, spearmanr

    answers, scores = logits[:, 0].astype("float64"), labels.astype("float64")
    if np.ptp(answers) == 0 or np.ptp(scores) == 0:  # scipy then gives NaN, and warns
        return {"pearson": 0.0, "spearman": 0.0}
    return {
        "pearson": float(pearsonr(answers, scores).statistic),
        "spearman": float(spearmanr(answers, scores).statistic),
    }


TASK_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Metrics]] = {
    "sequence_classification": classification_metrics,
    "regression": regression_metrics,
}
# What chooses the best epoch, unless a config's `metric` names another one.
MAIN_METRIC = {"sequence_classification": "accuracy", "regression": "pearson"}
# What `constant_score` measures, in a message's words.
CONSTANT_ANSWER = {"sequence_classification": "always answering one class", "regression": "always answering the mean"}


def choose_metric(task: str, metric: str | None = None, num_labels: int | None = None) -> str:
    """The metric that chooses the best epoch: `metric`, or the task's own where it is None.

    Raises:
        InputError: the task, or a model of `num_labels` classes, has no such metric.
    """
    if metric is None:
        return MAIN_METRIC[task]
    classes = num_labels or 2
    accepted = list(TASK_METRICS[task](np.eye(classes), np.arange(classes)))
    if metric not in accepted:
        of_classes = "" if task == "regression" or num_labels is None else f" with {num_labels} classes"
        raise InputError(f"metric: {metric!r} is not measured in {task}{of_classes}; one of {', '.join(accepted)} is.")
    return metric


def constant_score(task: str, metric: str, labels: np.ndarray, num_labels: int) -> float:
    """The metric of the best model that gives every text the same answer: what a model must beat to know anything."""
    measured = TASK_METRICS[task]
    return max(measured(np.tile(answer, (len(labels), 1)), labels)[metric] for answer in np.eye(num_labels))


def format_metric(metric: str, value: float) -> str:
    """A metric as tables and messages show it: correlations as a number, the others in percent."""
    is_correlation = metric in ("matthews_correlation", "pearson", "spearman")
    return f"{value:.3f}" if is_correlation else f"{value:.1%}"
