"""Metrics of resamples against the same metrics of the drawn rows, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinybert_tf.labels import Labels
from tinybert_tf.metrics import TASK_METRICS
from tinybert_tf.metrics.bootstrap import draw
from tinybert_tf.metrics.resampled import classification_of_counts, regression_of_counts

ROWS = 30
# Counts are exact; means over classes and correlations are added up in another order.
EXACT = {"accuracy", "exact_match"}
ROUNDING = 1e-12


def classes(num_labels: int, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels; the last class is rare, so that some resamples are without it."""
    rng = np.random.default_rng(seed)
    labels = np.minimum(rng.geometric(0.5, ROWS) - 1, num_labels - 1)
    logits = rng.normal(size=(ROWS, num_labels))
    logits[np.arange(ROWS), labels] += right
    return logits, labels


def scores() -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and answers near to them."""
    rng = np.random.default_rng(5)
    labels = rng.integers(6, size=ROWS).astype("float32")
    return np.round(labels + rng.normal(size=ROWS), 1)[:, None].astype("float32"), labels


def label_sets(num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    labels = rng.integers(2, size=(ROWS, num_labels))
    return labels - 0.5 + rng.normal(size=labels.shape) * 0.6, labels


def sentences() -> tuple[list[list[str]], list[list[str]]]:
    rng = np.random.default_rng(7)
    names = ["O", "O", "B-x", "I-x", "B-y", "I-y"]
    tags = [[names[each] for each in rng.integers(6, size=rng.integers(1, 9))] for _ in range(ROWS)]
    answers = [[tag if rng.random() < 0.7 else "O" for tag in row] for row in tags]
    return answers, tags


def questions() -> tuple[list[str], list[list[str]]]:
    rng = np.random.default_rng(8)
    words = ["ann", "ben", "came", "home", ""]
    expected = [[" ".join(rng.choice(words, 2)) for _ in range(1 + row % 2)] for row in range(ROWS)]
    return [" ".join(rng.choice(words, 2)) for _ in range(ROWS)], expected


CASES: dict[str, tuple[str, Any, Any, Labels]] = {
    "two classes": ("sequence_classification", *classes(2, 1.0, 1), Labels(("no", "yes"))),
    "the first class": ("sequence_classification", *classes(2, 1.0, 2), Labels(("no", "yes"), None, 0)),
    "five classes": ("sequence_classification", *classes(5, 1.0, 3), Labels(tuple("abcde"))),
    "all right": ("sequence_classification", *classes(3, 99.0, 4), Labels(tuple("abc"))),
    "scores": ("regression", *scores(), Labels(())),
    "labels": ("multi_label", *label_sets(3), Labels(tuple("abc"))),
    "one label": ("multi_label", *label_sets(1), Labels(("a",))),
    "tags": ("token_classification", *sentences(), Labels(())),
    "answers": ("question_answering", *questions(), Labels(())),
}


def of_rows(values: Any, rows: list[int]) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def assert_equal(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (value if name in EXACT else pytest.approx(value, abs=ROUNDING)), name


def test_every_task_has_a_case() -> None:
    assert {task for task, *_ in CASES.values()} == TASK_METRICS.keys()


@pytest.mark.parametrize("case", CASES)
def test_every_row_once_gives_the_metrics(case: str) -> None:
    task, answers, expected, labels = CASES[case]
    of_task = TASK_METRICS[task]
    found = of_task.of_counts(answers, expected, labels)(np.ones((ROWS, 1)))
    assert {values.shape for values in found.values()} == {(1,)}
    assert_equal({name: values[0] for name, values in found.items()}, of_task.compute(answers, expected, labels))


@pytest.mark.parametrize("case", CASES)
def test_a_resample_gives_the_metrics_of_the_drawn_rows(case: str) -> None:
    """Each row as often as it was drawn, measured as any file of rows."""
    task, answers, expected, labels = CASES[case]
    of_task = TASK_METRICS[task]
    (counts,) = draw(ROWS, 20)
    found = of_task.of_counts(answers, expected, labels)(counts)
    for number, of_resample in enumerate(counts.T):
        rows = np.repeat(np.arange(ROWS), of_resample.astype(int)).tolist()
        drawn = of_rows(answers, rows), of_rows(expected, rows)
        assert_equal({name: each[number] for name, each in found.items()}, of_task.compute(*drawn, labels))


@pytest.mark.filterwarnings("error")
def test_resamples_of_one_class_or_one_score() -> None:
    """Only the first row, three times: nothing to divide by, and the metrics are 0, as those of such a file are."""
    counts = np.array([[3.0], [0.0], [0.0]])
    found = classification_of_counts(np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]), np.array([1, 0, 1]))(counts)
    assert {name: float(values[0]) for name, values in found.items()} == {
        "accuracy": 1.0, "f1": 1.0, "f1_macro": 1.0, "matthews_correlation": 0.0,
    }  # fmt: skip
    found = regression_of_counts(np.array([[0.1], [0.2], [0.3]]), np.array([0.7, 0.1, 0.2]))(counts)
    assert {name: float(values[0]) for name, values in found.items()} == {"pearson": 0.0, "spearman": 0.0}


def test_no_row_is_answered_again_and_no_library_is_asked_for_each_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows' statistics are made once: a resample costs sums alone."""
    asked: list[int] = []
    answers, tags = sentences()
    from seqeval.metrics import sequence_labeling

    original = sequence_labeling.get_entities
    monkeypatch.setattr(sequence_labeling, "get_entities", lambda row: asked.append(1) or original(row))
    of_counts = TASK_METRICS["token_classification"].of_counts(answers, tags, Labels(()))
    assert len(asked) == 2 * ROWS
    for counts in draw(ROWS, 100):
        of_counts(counts)
    assert len(asked) == 2 * ROWS
