"""Metrics of a task, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf.metrics import (
    answer_metrics,
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
    tag_metrics,
)


def logits_for(classes: list[int], num_labels: int) -> np.ndarray:
    return np.eye(num_labels, dtype="float32")[classes]


# === Classification ===


def test_classification_by_hand() -> None:
    # Class 0: 2 right, 1 wrong; class 1: 1 right, 2 wrong.
    metrics = classification_metrics(logits_for([0, 0, 1, 1, 0, 0], 2), np.array([0, 0, 0, 1, 1, 1]))
    f1_of_0, f1_of_1 = 2 * 2 / (2 * 2 + 2 + 1), 2 * 1 / (2 * 1 + 1 + 2)
    matthews = (2 * 1 - 2 * 1) / np.sqrt(4 * 3 * 3 * 2)
    assert metrics == pytest.approx(
        {"accuracy": 3 / 6, "f1": f1_of_1, "f1_macro": (f1_of_0 + f1_of_1) / 2, "matthews_correlation": matthews},
        abs=1e-12,
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


@pytest.mark.parametrize(("answers", "labels", "f1"), [([0, 0], [0, 0], 0.0), ([0, 0], [1, 0], 0.0), ([1], [1], 1.0)])
def test_f1_is_that_of_class_1(answers: list[int], labels: list[int], f1: float) -> None:
    assert classification_metrics(logits_for(answers, 2), np.array(labels))["f1"] == f1


def test_f1_of_class_1_is_for_two_classes() -> None:
    metrics = classification_metrics(logits_for([0, 1, 2], 3), np.array([0, 1, 1]))
    assert list(metrics) == ["accuracy", "f1_macro", "matthews_correlation"]
    assert metrics["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)


# === Regression ===


def test_regression_by_hand() -> None:
    # Deviations from the means: (-1.5, -0.5, 0.5, 1.5) and (-2.5, -1.5, -0.5, 4.5); ranks 1 2 3 4 and 1 2 3 4.
    answers, scores = np.array([[1.0], [2.0], [3.0], [4.0]], "float32"), np.array([0.0, 1.0, 2.0, 7.0], "float32")
    pearson = (3.75 + 0.75 - 0.25 + 6.75) / np.sqrt(5 * 29)
    assert regression_metrics(answers, scores) == pytest.approx({"pearson": pearson, "spearman": 1.0})
    # Ranks of the answers 1 2 3 4, of the scores 2 1 3 4: 1 - 6 * (1 + 1) / (4 * 15).
    assert regression_metrics(answers, scores[[1, 0, 2, 3]])["spearman"] == pytest.approx(0.8)


@pytest.mark.parametrize(("answers", "scores"), [([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [2, 2, 2]), ([1], [4])])
def test_answers_that_never_change_are_worth_nothing(answers: list[int], scores: list[int]) -> None:
    metrics = regression_metrics(np.array([answers], "float32").T, np.array(scores, "float32"))
    assert metrics == {"pearson": 0.0, "spearman": 0.0}


# === Several labels ===


def test_several_labels_by_hand() -> None:
    # Label 0: one right, one wrong, none missed; label 1: one right, none wrong, one missed; label 2: never.
    answers = np.array([[2.0, -1.0, -1.0], [0.5, 3.0, -2.0], [-1.0, -1.0, -0.1]])
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    assert multi_label_metrics(answers, labels) == pytest.approx(
        {"f1_micro": 2 * 2 / (2 * 2 + 1 + 1), "f1_macro": (2 / 3 + 2 / 3 + 0) / 3, "accuracy": 1 / 3}
    )


def test_a_single_label_is_not_two_classes() -> None:
    answers, labels = np.array([[-1.0], [-1.0], [1.0]]), np.array([[1], [0], [0]])
    assert multi_label_metrics(answers, labels) == pytest.approx({"f1_micro": 0.0, "f1_macro": 0.0, "accuracy": 1 / 3})


# === Tags ===


def test_entities_by_hand() -> None:
    expected = [["B-x", "I-x", "O", "B-y"], ["O", "B-x"]]
    answers = [["B-x", "O", "O", "B-y"], ["B-y", "B-x"]]  # y and the second x are right, one x too short, one y made up
    assert tag_metrics(answers, expected) == pytest.approx(
        {"f1": 2 * 2 / (4 + 3), "precision": 2 / 4, "recall": 2 / 3, "accuracy": 4 / 6}
    )


def test_an_entity_may_begin_with_i() -> None:
    assert tag_metrics([["I-x", "I-x", "O"]], [["B-x", "I-x", "O"]])["f1"] == 1.0


def test_no_entity_at_all() -> None:
    assert tag_metrics([["O", "O"]], [["O", "B-x"]]) == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 0.5}


# === Answers to questions ===


@pytest.mark.parametrize(
    ("answer", "expected", "f1", "exact"),
    [
        ("The old, old house", ["old house"], 2 * 2 / (3 + 2), 0),
        ("an OLD house.", ["the old house"], 1, 1),
        ("house", ["garden", "the old house"], 2 * 1 / (1 + 2), 0),
        ("house", ["garden"], 0, 0),
        ("", [""], 1, 1),
        ("house", [""], 0, 0),
        ("", ["house"], 0, 0),
        ("the", ["a"], 1, 1),
        ("the \u2013cat", ["\u2013cat"], 1, 1),
    ],
)
def test_answers_by_hand(answer: str, expected: list[str], f1: float, exact: float) -> None:
    assert answer_metrics([answer], [expected]) == pytest.approx({"f1": f1, "exact_match": exact})
    both = answer_metrics([answer, "x"], [expected, ["y"]])
    assert both == pytest.approx({"f1": f1 / 2, "exact_match": exact / 2})
