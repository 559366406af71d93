"""The table of the tasks' metrics, the metric that chooses, and scores of answers that never change."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.data.tasks import TASKS
from tinybert_tf.labels import Labels
from tinybert_tf.metrics import (
    TASK_METRICS,
    choose_metric,
    constant_score,
    metric_title,
)
from tinybert_tf.models.heads.tasks import TASK_MODELS


def logits_for(classes: list[int], num_labels: int) -> np.ndarray:
    return np.eye(num_labels, dtype="float32")[classes]


# === Choosing by a metric ===


# What each task's metrics compare: answers and what is expected, of a model of two labels.
MEASURED = {
    "sequence_classification": (logits_for([0, 1], 2), np.array([0, 1])),
    "regression": (np.array([[0.5], [1.0]]), np.array([1.0, 2.0])),
    "multi_label": (np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[1, 0], [1, 1]])),
    "token_classification": ([["O", "B-x"], ["I-x"]], [["O", "B-x"], ["I-x"]]),
    "question_answering": (["ann", ""], [["ben", "Ann!"], [""]]),
}


@pytest.mark.parametrize("task", TASK_METRICS)
def test_every_task_names_what_it_measures(task: str) -> None:
    measured = TASK_METRICS[task].measure(*MEASURED[task])
    assert tuple(measured) == TASK_METRICS[task].names(2)
    assert list(measured.values()) == pytest.approx([1.0] * len(measured))
    assert all(type(value) is float for value in measured.values())
    assert choose_metric(task) == TASK_METRICS[task].main in measured


def test_every_task_has_a_reader_a_model_and_metrics() -> None:
    assert list(TASKS) == list(TASK_METRICS) == [task for task in TASK_MODELS if task != "masked_lm"]


def test_a_metric_of_ones_own() -> None:
    assert choose_metric("sequence_classification", "f1", 2) == "f1"
    assert choose_metric("sequence_classification", "f1_macro", 3) == "f1_macro"
    assert choose_metric("regression", "spearman", 1) == "spearman"
    with pytest.raises(
        InputError,
        match=r"^metric: expected one of accuracy, f1_macro, .* in sequence_classification with 3 classes, got 'f1'",
    ):
        choose_metric("sequence_classification", "f1", 3)
    with pytest.raises(
        InputError, match=r"^metric: expected one of pearson, spearman in regression, got 'accuracy'\.$"
    ):
        choose_metric("regression", "accuracy", 1)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", 3 / 4),  # always class 0
        ("f1", 2 * 1 / (2 * 1 + 3)),  # always class 1: one right, three wrong
        ("f1_macro", (2 * 3 / (2 * 3 + 1) + 0) / 2),
        ("matthews_correlation", 0.0),
    ],
)
def test_the_best_answer_that_never_changes(metric: str, expected: float) -> None:
    labels = np.array([0, 0, 1, 0])
    assert constant_score("sequence_classification", metric, labels, 2) == pytest.approx(expected)


def test_the_mean_has_no_correlation() -> None:
    assert constant_score("regression", "pearson", np.array([1.0, 2.0]), 1) == 0.0


def test_f1_is_of_the_positive_class() -> None:
    logits, labels = logits_for([0, 1, 1, 0], 2), np.array([0, 1, 0, 0])
    for positive, f1, constant in ((None, 2 / 3, 2 / 5), (0, 4 / 5, 6 / 7)):
        compared = logits, labels, Labels(("no", "yes"), None, positive)
        assert TASK_METRICS["sequence_classification"].measure(*compared)["f1"] == pytest.approx(f1)
        assert constant_score("sequence_classification", "f1", labels, 2, compared[2]) == pytest.approx(constant)
    details = TASK_METRICS["sequence_classification"].details(*compared)
    assert (details["positive_label"], metric_title("f1", details)) == ("no", "f1 (no)")
    assert metric_title("accuracy", details) == "accuracy"


def test_the_best_labels_that_never_change() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1], [1, 0, 0]])
    # Label 0 for all: 3 right, 1 wrong, 3 missed; 0 and 2: 5 right, 3 wrong, 1 missed; all: 6 right, 6 wrong.
    assert constant_score("multi_label", "f1_micro", labels, 3) == pytest.approx(10 / (10 + 3 + 1))
    assert constant_score("multi_label", "accuracy", labels, 3) == 0.5
    none = np.array([[0, 0], [1, 1], [0, 0], [1, 0]])
    assert constant_score("multi_label", "accuracy", none, 2) == 0.5  # no label at all


def test_the_best_tag_that_never_changes() -> None:
    tags = [["B-x", "O"], ["B-x"], ["B-y", "I-y"]]
    assert constant_score("token_classification", "f1", tags, 5) == pytest.approx(2 * 2 / (5 + 3))  # B-x: 2 of 5 right
    assert constant_score("token_classification", "accuracy", tags, 5) == 2 / 5


def test_never_an_answer() -> None:
    assert constant_score("question_answering", "exact_match", [["x"], [""], [""], ["y"]], 0) == 0.5
