"""The bootstrap: standard errors of metrics, and whether two models on the same rows differ by more than noise.

A resample draws as many rows as there are, with replacement (Efron, 1979). The spread of a metric over resamples
estimates its spread over test sets of this size. Equally many rows are always drawn in the same way, so that any two
models that answer the same rows are compared on the same resamples: the bootstrap is paired, also of runs that were
measured apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np

from tinybert_tf.metrics.resampled import OfCounts, Resampled

RESAMPLES = 1000
SEED = 1979
# The ends of a 95 % interval, as fractions of the resamples below them.
ENDS = (0.025, 0.975)
# The counts that are in memory at a time, 8 bytes each.
COUNTS_AT_A_TIME = 2**21


class Comparison(TypedDict):
    """A metric's difference of two models, its standard error, and the ends of its 95 % interval."""

    difference: float
    standard_error: float
    interval: list[float]


def draw(rows: int, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    """How often each row is drawn, `(rows, some of the resamples)` float64 at a time; equal for equal arguments.

    Example:
        >>> [counts.sum(axis=0).tolist() for counts in draw(rows=3, resamples=2)]
        [[3.0, 3.0]]
    """
    generator = np.random.default_rng(SEED)
    at_a_time = max(1, COUNTS_AT_A_TIME // rows)
    for done in range(0, resamples, at_a_time):
        some = min(at_a_time, resamples - done)
        drawn = generator.integers(rows, size=(some, rows)) + rows * np.arange(some)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=some * rows).reshape(some, rows)
        yield np.ascontiguousarray(counts.T, dtype="float64")


def resample(of_counts: OfCounts, rows: int, resamples: int = RESAMPLES) -> Resampled:
    """Each metric's values in all resamples, `(resamples,)`.

    Args:
        of_counts: the metrics of resamples, from `resampled.py`.
        rows: the number of rows, at least 1.
        resamples: the number of resamples.
    """
    parts = [of_counts(counts) for counts in draw(rows, resamples)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def standard_error(values: np.ndarray) -> float:
    """The standard deviation over resamples.

    Example:
        >>> standard_error(np.array([0.5, 0.75, 1.0]))
        0.25
    """
    return float(np.std(values, ddof=1))


def compare(difference: float, resampled: np.ndarray) -> Comparison:
    """Compare two models that answered the same rows.

    Args:
        difference: a metric of one model, minus that of the other one.
        resampled: the same difference in each resample.

    Example:
        >>> compare(0.25, np.array([0.0, 0.25, 0.5]))
        {'difference': 0.25, 'standard_error': 0.25, 'interval': [0.0125, 0.4875]}
    """
    return Comparison(difference=difference, standard_error=standard_error(resampled), interval=interval(resampled))


def interval(values: np.ndarray) -> list[float]:
    """The values below which a fortieth of all resamples are, and above which a fortieth are (the percentile interval).

    Example:
        >>> interval(np.arange(41.0))
        [1.0, 39.0]
    """
    return [float(each) for each in np.quantile(values, ENDS)]


def is_beyond_noise(comparison: Comparison) -> bool:
    """Whether the 95 % interval of a difference excludes 0.

    Example:
        >>> is_beyond_noise({"difference": 0.02, "standard_error": 0.01, "interval": [0.001, 0.041]})
        True
    """
    low, high = comparison["interval"]
    return bool(low > 0 or high < 0)
