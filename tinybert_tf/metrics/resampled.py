"""The metrics of each task on resampled rows, many resamples at once.

A metric is a function of sums over rows: accuracy of the number of right rows, F1 of three counts, the Matthews
correlation of counts by class. A resample repeats rows, so its sums are those of the rows' statistics, each as often as
its row was drawn; no text is answered again. Pearson's correlation has weighted means and variances in the place of
sums. Spearman's is Pearson's of the ranks, which are made anew in each resample.

Every function here takes a model's answers and the right ones, as the function of the same metrics in `scores.py` does.
It returns a function of counts, `(rows, resamples)`: how often each row was drawn in each resample. That gives each
metric's values, `(resamples,)`, equal to those of `scores.py` on the drawn rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tinybert_tf.metrics.scores import answer_scores

Resampled = dict[str, np.ndarray]
OfCounts = Callable[[np.ndarray], Resampled]


def classification_of_counts(logits: np.ndarray, labels: np.ndarray, positive: int = 1) -> OfCounts:
    """`classification_metrics` of resamples."""
    from scipy.sparse import csr_array

    predicted, num_classes = logits.argmax(axis=-1), max(logits.shape[-1], labels.max() + 1)
    rows = np.arange(len(labels))

    def rows_of(classes: np.ndarray, of_rows: np.ndarray) -> csr_array:
        """`(classes, rows)`, 1 where a row is of a class."""
        return csr_array((np.ones(len(of_rows)), (classes, of_rows)), shape=(num_classes, len(labels)))

    is_right = predicted == labels
    right_rows, answered_rows = rows_of(labels[is_right], rows[is_right]), rows_of(predicted, rows)
    label_rows = rows_of(labels, rows)

    def metrics(counts: np.ndarray) -> Resampled:
        right, answered, there = right_rows @ counts, answered_rows @ counts, label_rows @ counts
        f1 = _ratio(2 * right, answered + there)
        return {
            "accuracy": _ratio(right.sum(axis=0), there.sum(axis=0)),
            **({"f1": f1[positive]} if logits.shape[-1] == 2 else {}),
            "f1_macro": _ratio(f1.sum(axis=0), np.count_nonzero(answered + there, axis=0)),
            "matthews_correlation": _matthews(right, answered, there),
        }

    return metrics


def regression_of_counts(logits: np.ndarray, labels: np.ndarray) -> OfCounts:
    """`regression_metrics` of resamples."""
    answers, scores = logits[:, 0].astype("float64"), labels.astype("float64")

    def metrics(counts: np.ndarray) -> Resampled:
        return {
            "pearson": _correlation(answers[:, None], scores[:, None], counts),
            "spearman": _correlation(_ranks(answers, counts), _ranks(scores, counts), counts),
        }

    return metrics


def multi_label_of_counts(logits: np.ndarray, labels: np.ndarray) -> OfCounts:
    """`multi_label_metrics` of resamples."""
    from scipy.sparse import csr_array

    is_answered, is_there = logits > 0, labels.astype(bool)
    is_right = (is_answered == is_there).all(axis=1).astype("float64")
    right_rows, answered_rows, label_rows = (
        csr_array(each.T.astype("float64")) for each in (is_answered & is_there, is_answered, is_there)
    )

    def metrics(counts: np.ndarray) -> Resampled:
        right, answered, there = right_rows @ counts, answered_rows @ counts, label_rows @ counts
        return {
            "f1_micro": _ratio(2 * right.sum(axis=0), (answered + there).sum(axis=0)),
            "f1_macro": _ratio(2 * right, answered + there).mean(axis=0),
            "accuracy": _ratio(is_right @ counts, counts.sum(axis=0)),
        }

    return metrics


def tags_of_counts(answers: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> OfCounts:
    """`tag_metrics` of resamples; a row is a sentence."""
    statistics = np.array([_of_sentence(*both) for both in zip(answers, tags, strict=True)], "float64").T

    def metrics(counts: np.ndarray) -> Resampled:
        right, answered, there, right_tags, num_tags = statistics @ counts
        return {
            "f1": _ratio(2 * right, answered + there),
            "precision": _ratio(right, answered),
            "recall": _ratio(right, there),
            "accuracy": _ratio(right_tags, num_tags),
        }

    return metrics


def answers_of_counts(answers: Sequence[str], expected: Sequence[Sequence[str]]) -> OfCounts:
    """`answer_metrics` of resamples; a row is a question."""
    scores = answer_scores(answers, expected)
    return lambda counts: {name: _ratio(values @ counts, counts.sum(axis=0)) for name, values in scores.items()}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=np.asarray(denominator) > 0)


def _matthews(right: np.ndarray, answered: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The correlation of several classes (Gorodkin 2004), from counts `(classes, resamples)`; 0 of a single class."""
    rows = there.sum(axis=0)
    together = right.sum(axis=0) * rows - (answered * there).sum(axis=0)
    variances = (rows**2 - (answered**2).sum(axis=0)) * (rows**2 - (there**2).sum(axis=0))
    return _ratio(together, np.sqrt(variances))


def _correlation(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation of values `(rows, 1 or resamples)`; 0 where all that was drawn is the same."""
    rows = counts.sum(axis=0)
    from_mean = [values - (counts * values).sum(axis=0) / rows for values in (one, other)]
    together = (counts * from_mean[0] * from_mean[1]).sum(axis=0)
    variances = [(counts * values**2).sum(axis=0) for values in from_mean]
    varies = _varies(one, counts) & _varies(other, counts)
    return np.clip(_ratio(together * varies, np.sqrt(variances[0] * variances[1])), -1.0, 1.0)


def _varies(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether the drawn values differ, `(resamples,)`; their variance would have a rounding error."""
    is_drawn = counts > 0
    return np.where(is_drawn, values, -np.inf).max(axis=0) > np.where(is_drawn, values, np.inf).min(axis=0)


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The rank of each value among the drawn ones, `(rows, resamples)`; equal values share the mean of their ranks."""
    from scipy.sparse import csr_array

    _, place = np.unique(values, return_inverse=True)
    equal = csr_array((np.ones(len(values)), (place, np.arange(len(values))))) @ counts
    return (equal.cumsum(axis=0) - equal + (equal + 1) / 2)[place]


def _of_sentence(answer: Sequence[str], tags: Sequence[str]) -> tuple[int, ...]:
    """Numbers of right, predicted and expected entities, of right tags, and of tags."""
    from seqeval.metrics.sequence_labeling import get_entities

    found, expected = Counter(get_entities(list(answer))), Counter(get_entities(list(tags)))
    right_tags = sum(one == other for one, other in zip(answer, tags, strict=True))
    return (found & expected).total(), found.total(), expected.total(), right_tags, len(tags)
