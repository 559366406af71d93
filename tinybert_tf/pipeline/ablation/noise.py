"""The noise of a mean over seeds: other rows would give another score, and other seeds another model.

For S seeds, with the seed's score, or its difference to the base, d_s:

    standard error^2 = variance over resamples of the rows of mean(d_s)  +  variance over seeds of d_s / S

Both models of a difference have the same seed and the same resamples, so it is paired twice. All seeds are measured on
the same rows: more seeds make the second term smaller, not the first. How seeds differ from row to row is in both
terms, so the sum is a little too large.

The interval is `mean ± t * standard error`, where t is the 97.5 % point of Student's distribution. Its degrees of
freedom (Welch, 1947) are S - 1 where all noise is that of seeds, and more where rows have a part in it. The interval
of a single seed is that of the resamples, and leaves other seeds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinybert_tf.metrics import interval, standard_error


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, its standard error, and the ends of its 95 % interval."""

    mean: float
    standard_error: float
    interval: tuple[float, float]

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the interval excludes 0."""
        low, high = self.interval
        return low > 0 or high < 0


def estimate(values: Sequence[float], resampled: Sequence[np.ndarray]) -> Estimate:
    """Estimate the mean over seeds.

    Args:
        values: a score of each seed, or a difference; at least one.
        resampled: the same of each seed in all resamples of the rows, `(resamples,)`.

    Example:
        >>> estimate([0.5, 1.0], [np.zeros(3), np.zeros(3)]).standard_error  # sqrt(0.125 / 2)
        0.25
    """
    over_rows = np.mean(resampled, axis=0)
    mean = float(np.mean(values))
    if len(values) == 1:
        low, high = interval(over_rows)
        return Estimate(mean, standard_error(over_rows), (low, high))
    of_seeds = float(np.var(values, ddof=1)) / len(values)
    error = float(np.sqrt(standard_error(over_rows) ** 2 + of_seeds))
    reach = _student(error**2, of_seeds, len(values)) * error
    return Estimate(mean, error, (mean - reach, mean + reach))


def _student(variance: float, of_seeds: float, seeds: int) -> float:
    """Student's t at 97.5 %, for a variance of which a part is estimated from seeds."""
    from scipy.stats import norm, t

    if of_seeds == 0:
        return float(norm.ppf(0.975))
    return float(t.ppf(0.975, (seeds - 1) * (variance / of_seeds) ** 2))
