"""The metrics of each task, from answers and labels, and the one that chooses the best epoch."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.labels import Labels

Metrics = dict[str, float]
# By class name: precision, recall, F1 (fractions) and two counts.
ByClass = dict[str, dict[str, float]]


def classification_metrics(logits: np.ndarray, labels: np.ndarray, positive: int = 1) -> Metrics:
    """Accuracy, F1 and the Matthews correlation, from scikit-learn.

    `f1` is that of the positive class, as GLUE measures it; only models of two classes have it. `f1_macro` is the mean
    over all classes that occur.

    Args:
        logits: `(rows, num_labels)`.
        labels: `(rows,)` class ids.
        positive: the class whose F1 is `f1`.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    predicted = logits.argmax(axis=-1)
    one_class = len({*labels.tolist(), *predicted.tolist()}) == 1  # scikit-learn also gives 0 then, but warns
    of_positive = float(f1_score(labels, predicted, labels=[positive], average="macro", zero_division=0.0))
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        **({"f1": of_positive} if logits.shape[-1] == 2 else {}),
        "f1_macro": float(f1_score(labels, predicted, average="macro")),
        "matthews_correlation": 0.0 if one_class else float(matthews_corrcoef(labels, predicted)),
    }


def regression_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Pearson's and Spearman's correlation, from scipy; 0 if the answers, or the labels, are all the same.

    Args:
        logits: `(rows, 1)`, the predicted scores.
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


def multi_label_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """F1 over all labels of all rows (`f1_micro`), the mean F1 of the labels (`f1_macro`), and `accuracy` of rows.

    From scikit-learn. A label is predicted if its logit is above 0, a fraction of one half; a row is right if all its
    labels are.

    Args:
        logits: `(rows, num_labels)`.
        labels: `(rows, num_labels)` of 0 and 1.
    """
    from sklearn.metrics import accuracy_score, f1_score

    answered, right = (logits > 0).astype(np.int32), labels.astype(np.int32)
    # scikit-learn takes a single column for two classes; the second one is the label.
    each = list(range(right.shape[1])) if right.shape[1] > 1 else [1]
    return {
        "f1_micro": float(f1_score(right, answered, labels=each, average="micro", zero_division=0.0)),
        "f1_macro": float(f1_score(right, answered, labels=each, average="macro", zero_division=0.0)),
        "accuracy": float(accuracy_score(right, answered)),
    }


def tag_metrics(answers: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Metrics:
    """Precision, recall and F1 of entities as in the CoNLL evaluation, and the accuracy of tags; from seqeval.

    An entity is right if its type, its first and its last word are. An `I-type` that does not follow a tag of its type
    begins an entity.

    Args:
        answers: the predicted tags of each sentence.
        tags: the right tags of each sentence, equally many.
    """
    from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

    expected, answered = [list(row) for row in tags], [list(row) for row in answers]
    return {
        "f1": float(f1_score(expected, answered, zero_division=0)),
        "precision": float(precision_score(expected, answered, zero_division=0)),
        "recall": float(recall_score(expected, answered, zero_division=0)),
        "accuracy": float(accuracy_score(expected, answered)),
    }


def answer_metrics(answers: Sequence[str], expected: Sequence[Sequence[str]]) -> Metrics:
    """Exact match and F1 over words of answers to questions, as in SQuAD's evaluation script (arXiv 1606.05250).

    Case, punctuation and the words a, an, the do not count. If a question has several right answers, the best match
    counts. An empty answer means "no answer".

    Args:
        answers: one answer to each question.
        expected: the right answers to each question, at least one.
    """
    found = [_words(answer) for answer in answers]
    right = [[_words(one) for one in of_question] for of_question in expected]
    pairs = list(zip(found, right, strict=True))
    return {
        "f1": float(np.mean([max(_word_f1(answer, one) for one in of_question) for answer, of_question in pairs])),
        "exact_match": float(np.mean([answer in of_question for answer, of_question in pairs])),
    }


def _words(answer: str) -> list[str]:
    without = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", without).split()


def _word_f1(answer: list[str], right: list[str]) -> float:
    if not answer or not right:
        return float(answer == right)
    return 2 * (Counter(answer) & Counter(right)).total() / (len(answer) + len(right))


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


@dataclass(frozen=True)
class TaskMetrics:
    """The metrics of a task.

    `compute(answers, expected, labels)` computes them; `answers` and `expected` are those of the task's encoded data.
    `names(num_labels)`: the names of the metrics. `main`: the metric that chooses the best epoch, unless a config's
    `metric` names another one. `constants(expected, num_labels)`: answers that do not depend on the text; messages call
    them `constant`. `by_class(answers, expected, labels)`: the results of each class, if the task has classes.
    """

    compute: Callable[[Any, Any, Labels], Metrics]
    names: Callable[[int], tuple[str, ...]]
    main: str
    constant: str
    constants: Callable[[Any, int], Iterable[Any]]
    by_class: Callable[[Any, Any, Labels], ByClass] = lambda answers, expected, labels: {}

    def measure(self, answers: Any, expected: Any, labels: Sequence[str] = ()) -> Metrics:
        """The task's metrics for a model with these labels."""
        return self.compute(answers, expected, Labels.of(labels))

    def measure_fully(self, answers: Any, expected: Any, labels: Sequence[str] = ()) -> dict[str, Any]:
        """The metrics and the details."""
        return self.measure(answers, expected, labels) | self.details(answers, expected, labels)

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
        lambda num_labels: ("accuracy", *(["f1"] if num_labels == 2 else []), "f1_macro", "matthews_correlation"),
        main="accuracy",
        constant="always answering one class",
        constants=_one_class,
        by_class=class_results,
    ),
    "regression": TaskMetrics(
        lambda answers, expected, labels: regression_metrics(answers, expected),
        lambda num_labels: ("pearson", "spearman"),
        main="pearson",
        constant="always answering the mean",
        constants=_one_class,
    ),
    "multi_label": TaskMetrics(
        lambda answers, expected, labels: multi_label_metrics(answers, expected),
        lambda num_labels: ("f1_micro", "f1_macro", "accuracy"),
        main="f1_micro",
        constant="always answering the same labels",
        constants=_same_labels,
        by_class=label_results,
    ),
    "token_classification": TaskMetrics(
        lambda answers, expected, labels: tag_metrics(answers, expected),
        lambda num_labels: ("f1", "precision", "recall", "accuracy"),
        main="f1",
        constant="always answering one tag",
        constants=_one_tag,
        by_class=type_results,
    ),
    "question_answering": TaskMetrics(
        lambda answers, expected, labels: answer_metrics(answers, expected),
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


def metric_title(metric: str, measured: Mapping[str, Any]) -> str:
    """A metric's name in a table; `f1` of two classes has the name of the positive class with it."""
    positive = measured.get("positive_label")
    return f"{metric} ({positive})" if metric == "f1" and positive is not None else metric


def format_metric(metric: str, value: float) -> str:
    """A metric as tables and messages show it: correlations as a number, the others in percent."""
    is_correlation = metric in ("matthews_correlation", "pearson", "spearman")
    return f"{value:.3f}" if is_correlation else f"{value:.1%}"
