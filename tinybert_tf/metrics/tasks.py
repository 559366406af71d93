"""The table of the tasks' metrics, and the metric that chooses the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels
from tinybert_tf.metrics.bootstrap import resample
from tinybert_tf.metrics.by_class import ByClass, class_results, label_results, type_results
from tinybert_tf.metrics.measured import Measured
from tinybert_tf.metrics.resampled import (
    OfCounts,
    answers_of_counts,
    classification_of_counts,
    multi_label_of_counts,
    regression_of_counts,
    tags_of_counts,
)
from tinybert_tf.metrics.scores import (
    Metrics,
    answer_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
    tag_metrics,
)


@dataclass(frozen=True)
class TaskMetrics:
    """The metrics of a task.

    `compute(answers, expected, labels)` computes them; `answers` and `expected` are those of the task's encoded data.
    `of_counts(answers, expected, labels)` computes them on resamples of the rows, see `resampled.py`.
    `names(num_labels)`: the names of the metrics. `main`: the metric that chooses the best epoch, unless a config's
    `metric` names another one. `constants(expected, num_labels)`: answers that do not depend on the text; messages call
    them `constant`. `by_class(answers, expected, labels)`: the results of each class, if the task has classes.
    """

    compute: Callable[[Any, Any, Labels], Metrics]
    of_counts: Callable[[Any, Any, Labels], OfCounts]
    names: Callable[[int], tuple[str, ...]]
    main: str
    constant: str
    constants: Callable[[Any, int], Iterable[Any]]
    by_class: Callable[[Any, Any, Labels], ByClass] = lambda answers, expected, labels: {}

    def measure(self, answers: Any, expected: Any, labels: Sequence[str] = ()) -> Metrics:
        """The task's metrics for a model with these labels."""
        return self.compute(answers, expected, Labels.of(labels))

    def measure_fully(self, answers: Any, expected: Any, labels: Sequence[str] = ()) -> Measured:
        """The metrics, their values in resamples of the rows, and the details."""
        return Measured(
            self.measure(answers, expected, labels),
            resample(self.of_counts(answers, expected, Labels.of(labels)), rows=len(expected)),
            self.details(answers, expected, labels),
        )

    def details(self, answers: Any, expected: Any, labels: Sequence[str] = ()) -> dict[str, Any]:
        """`positive_label`, the class whose F1 is `f1`, and `per_class`, the results of each class; if it has them."""
        known = Labels.of(labels)
        has_positive = self.by_class is class_results and known.positive_name is not None
        found = {"positive_label": known.positive_name} if has_positive else {}
        by_class = self.by_class(answers, expected, known)
        return {**found, **({"per_class": by_class} if by_class else {})}


def _one_class(labels: np.ndarray, num_labels: int) -> Iterable[np.ndarray]:
    return (np.tile(answer, (len(labels), 1)) for answer in np.eye(num_labels))


def _same_labels(labels: np.ndarray, num_labels: int) -> Iterable[np.ndarray]:
    """The most frequent set of labels; and the most frequent label, the two most frequent labels, ...

    No other set of equally many labels is right more often.
    """
    rows, counts = np.unique(labels, axis=0, return_counts=True)
    by_frequency = np.argsort(-labels.sum(axis=0), kind="stable")
    most_frequent = [np.isin(np.arange(num_labels), by_frequency[:count]) for count in range(1, num_labels + 1)]
    for answer in (rows[counts.argmax()], *most_frequent):
        yield np.tile(answer * 2.0 - 1.0, (len(labels), 1))


def _one_tag(tags: Sequence[Sequence[str]], num_labels: int) -> Iterable[list[list[str]]]:
    """No word is an entity; or every word is an entity of one type, for each type."""
    for tag in sorted({"O", *(tag for row in tags for tag in row if tag.startswith("B-"))}):
        yield [[tag] * len(row) for row in tags]


TASK_METRICS: dict[str, TaskMetrics] = {
    "sequence_classification": TaskMetrics(
        lambda answers, expected, labels: classification_metrics(answers, expected, labels.positive_class),
        lambda answers, expected, labels: classification_of_counts(answers, expected, labels.positive_class),
        lambda num_labels: ("accuracy", *(["f1"] if num_labels == 2 else []), "f1_macro", "matthews_correlation"),
        main="accuracy",
        constant="always answering one class",
        constants=_one_class,
        by_class=class_results,
    ),
    "regression": TaskMetrics(
        lambda answers, expected, labels: regression_metrics(answers, expected),
        lambda answers, expected, labels: regression_of_counts(answers, expected),
        lambda num_labels: ("pearson", "spearman"),
        main="pearson",
        constant="always answering the mean",
        constants=_one_class,
    ),
    "multi_label": TaskMetrics(
        lambda answers, expected, labels: multi_label_metrics(answers, expected),
        lambda answers, expected, labels: multi_label_of_counts(answers, expected),
        lambda num_labels: ("f1_micro", "f1_macro", "accuracy"),
        main="f1_micro",
        constant="always answering the same labels",
        constants=_same_labels,
        by_class=label_results,
    ),
    "token_classification": TaskMetrics(
        lambda answers, expected, labels: tag_metrics(answers, expected),
        lambda answers, expected, labels: tags_of_counts(answers, expected),
        lambda num_labels: ("f1", "precision", "recall", "accuracy"),
        main="f1",
        constant="always answering one tag",
        constants=_one_tag,
        by_class=type_results,
    ),
    "question_answering": TaskMetrics(
        lambda answers, expected, labels: answer_metrics(answers, expected),
        lambda answers, expected, labels: answers_of_counts(answers, expected),
        lambda num_labels: ("f1", "exact_match"),
        main="f1",
        constant="never finding an answer",
        constants=lambda expected, num_labels: [[""] * len(expected)],
    ),
}


def choose_metric(task: str, metric: str | None = None, num_labels: int | None = None) -> str:
    """The metric that chooses the best epoch: `metric`, or the task's own where it is None.

    Raises:
        InputError: the task, or a model of `num_labels` classes, has no such metric.
    """
    if metric is None:
        return TASK_METRICS[task].main
    accepted = TASK_METRICS[task].names(num_labels or 2)
    if metric not in accepted:
        of_classes = f" with {num_labels} classes" if metric in TASK_METRICS[task].names(2) else ""
        raise InputError(f"metric: expected one of {', '.join(accepted)} in {task}{of_classes}, got {metric!r}.")
    return metric


def constant_score(task: str, metric: str, expected: Any, num_labels: int, labels: Sequence[str] = ()) -> float:
    """The best metric of a model that gives every text the same answer; a useful model must beat it."""
    of_task = TASK_METRICS[task]
    return max(
        of_task.measure(answers, expected, labels)[metric] for answers in of_task.constants(expected, num_labels)
    )
