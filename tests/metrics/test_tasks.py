"""Metrics of a task, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tinybert_tf import InputError
from tinybert_tf.data.tasks import TASKS
from tinybert_tf.labels import Labels
from tinybert_tf.metrics import (
    TASK_METRICS,
    answer_metrics,
    choose_metric,
    classification_metrics,
    constant_score,
    format_metric,
    metric_title,
    multi_label_metrics,
    never_predicted,
    regression_metrics,
    tag_metrics,
)
from tinybert_tf.models.heads.tasks import TASK_MODELS


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


def test_the_best_labels_that_never_change() -> None:
    labels = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1], [1, 0, 0]])
    # Label 0 for all: 3 right, 1 wrong, 3 missed; 0 and 2: 5 right, 3 wrong, 1 missed; all: 6 right, 6 wrong.
    assert constant_score("multi_label", "f1_micro", labels, 3) == pytest.approx(10 / (10 + 3 + 1))
    assert constant_score("multi_label", "accuracy", labels, 3) == 0.5
    none = np.array([[0, 0], [1, 1], [0, 0], [1, 0]])
    assert constant_score("multi_label", "accuracy", none, 2) == 0.5  # no label at all


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


def test_the_best_tag_that_never_changes() -> None:
    tags = [["B-x", "O"], ["B-x"], ["B-y", "I-y"]]
    assert constant_score("token_classification", "f1", tags, 5) == pytest.approx(2 * 2 / (5 + 3))  # B-x: 2 of 5 right
    assert constant_score("token_classification", "accuracy", tags, 5) == 2 / 5


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


def test_never_an_answer() -> None:
    assert constant_score("question_answering", "exact_match", [["x"], [""], [""], ["y"]], 0) == 0.5


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


def test_how_metrics_are_shown() -> None:
    assert [format_metric(metric, 0.91234) for metric in ("accuracy", "f1", "f1_macro")] == ["91.2%"] * 3
    assert [format_metric(metric, 0.5) for metric in ("pearson", "spearman", "matthews_correlation")] == ["0.500"] * 3


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


def test_f1_is_of_the_positive_class() -> None:
    logits, labels = logits_for([0, 1, 1, 0], 2), np.array([0, 1, 0, 0])
    for positive, f1, constant in ((None, 2 / 3, 2 / 5), (0, 4 / 5, 6 / 7)):
        compared = logits, labels, Labels(("no", "yes"), None, positive)
        assert TASK_METRICS["sequence_classification"].measure(*compared)["f1"] == pytest.approx(f1)
        assert constant_score("sequence_classification", "f1", labels, 2, compared[2]) == pytest.approx(constant)
    details = TASK_METRICS["sequence_classification"].details(*compared)
    assert (details["positive_label"], metric_title("f1", details)) == ("no", "f1 (no)")
    assert metric_title("accuracy", details) == "accuracy"
