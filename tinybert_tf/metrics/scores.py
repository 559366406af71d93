"""The metrics of each task, from a model's answers and the right ones."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

Metrics = dict[str, float]


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
    return {name: float(np.mean(values)) for name, values in answer_scores(answers, expected).items()}


def answer_scores(answers: Sequence[str], expected: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """The F1 and the exact match of each question, `(questions,)` fractions; their means are `answer_metrics`."""
    found = [_words(answer) for answer in answers]
    right = [[_words(one) for one in of_question] for of_question in expected]
    pairs = list(zip(found, right, strict=True))
    return {
        "f1": np.array([max(_word_f1(answer, one) for one in of_question) for answer, of_question in pairs]),
        "exact_match": np.array([float(answer in of_question) for answer, of_question in pairs]),
    }


def _words(answer: str) -> list[str]:
    without = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", without).split()


def _word_f1(answer: list[str], right: list[str]) -> float:
    if not answer or not right:
        return float(answer == right)
    return 2 * (Counter(answer) & Counter(right)).total() / (len(answer) + len(right))
