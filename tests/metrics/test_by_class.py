"""Results of each class, label and type of entity."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tinybert_tf.metrics import (
    TASK_METRICS,
    never_predicted,
)


def logits_for(classes: list[int], num_labels: int) -> np.ndarray:
    return np.eye(num_labels, dtype="float32")[classes]


def test_results_of_each_class_against_scikit_learn() -> None:
    labels, answers = np.array([0, 0, 1, 2, 2, 2]), [0, 1, 1, 2, 0, 2]
    found = TASK_METRICS["sequence_classification"].details(logits_for(answers, 4), labels, ["a", "b", "c", "d"])
    expected = precision_recall_fscore_support(labels, answers, labels=range(4), zero_division=0.0)
    columns = ("precision", "recall", "f1", "support")
    rows = [[result[column] for column in columns] for result in found["per_class"].values()]
    np.testing.assert_allclose(rows, np.transpose(expected))
    assert "positive_label" not in found
    assert never_predicted(found) is None  # no row is of class d


def test_results_of_each_label() -> None:
    logits, labels = np.array([[1.0, -1.0], [1.0, -1.0]]), np.array([[1, 0], [0, 1]])
    found = TASK_METRICS["multi_label"].details(logits, labels, ["red", "round"])
    assert found["per_class"]["red"] == {
        "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1, "predicted": 2,
    }  # fmt: skip
    assert never_predicted(found) == "never predicted: 'round' (0 of 1)"


def test_results_of_each_type_of_entity() -> None:
    """An entity of type x is right, one ends too late; y is never found."""
    tags = [["B-x", "I-x", "O"], ["B-y", "O", "B-x"]]
    answers = [["B-x", "I-x", "I-x"], ["O", "O", "B-x"]]
    found = TASK_METRICS["token_classification"].details(answers, tags, ["O"])
    assert found["per_class"]["x"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2, "predicted": 2}
    assert never_predicted(found) == "never predicted: 'y' (0 of 1)"
