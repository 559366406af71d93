"""Metrics of a task, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf.metrics import MAIN_METRIC, TASK_METRICS, classification_metrics, majority_accuracy


def logits_for(classes: list[int], num_labels: int) -> np.ndarray:
    return np.eye(num_labels, dtype="float32")[classes]


def test_classification_by_hand() -> None:
    # Class 0: 2 right, 1 wrong; class 1: 1 right, 2 wrong.
    metrics = classification_metrics(logits_for([0, 0, 1, 1, 0, 0], 2), np.array([0, 0, 0, 1, 1, 1]))
    f1_of_0, f1_of_1 = 2 * 2 / (2 * 2 + 2 + 1), 2 * 1 / (2 * 1 + 1 + 2)
    matthews = (2 * 1 - 2 * 1) / np.sqrt(4 * 3 * 3 * 2)
    assert metrics == pytest.approx(
        {"accuracy": 3 / 6, "f1": (f1_of_0 + f1_of_1) / 2, "matthews_correlation": matthews}, abs=1e-12
    )


def test_perfect_and_reversed() -> None:
    labels = np.array([0, 1, 0, 1])
    assert set(classification_metrics(logits_for([0, 1, 0, 1], 2), labels).values()) == {1.0}
    assert classification_metrics(logits_for([1, 0, 1, 0], 2), labels)["matthews_correlation"] == -1.0


@pytest.mark.parametrize(("answers", "labels"), [([0, 0, 0], [0, 1, 1]), ([1, 1], [1, 1]), ([0, 2], [0, 2])])
def test_classes_that_are_never_answered_or_never_there(answers: list[int], labels: list[int]) -> None:
    metrics = classification_metrics(logits_for(answers, 3), np.array(labels))  # a warning would be an error
    assert metrics["accuracy"] == np.mean(np.array(answers) == labels)
    assert all(type(value) is float for value in metrics.values())


def test_majority() -> None:
    assert majority_accuracy(np.array([2, 0, 2, 1])) == 0.5
    assert majority_accuracy(np.array([1, 1])) == 1.0


def test_every_task_has_a_main_metric() -> None:
    assert MAIN_METRIC.keys() == TASK_METRICS.keys()
    for task, metric in MAIN_METRIC.items():
        assert metric in TASK_METRICS[task](logits_for([0, 1], 2), np.array([0, 1]))
