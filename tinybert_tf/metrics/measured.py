"""What is measured of a model on a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinybert_tf.metrics.bootstrap import Comparison, compare, standard_error
from tinybert_tf.metrics.resampled import Resampled
from tinybert_tf.metrics.scores import Metrics


@dataclass(frozen=True)
class Measured:
    """The metrics of a model on a data set, their values in resamples of its rows, and details.

    `resampled`: each metric in all resamples, `(resamples,)`, as `bootstrap.resample` gives it. `details`: further
    entries in `metrics.json`, as `TaskMetrics.details` gives them.

    Example:
        >>> import numpy as np
        >>> measured = Measured({"accuracy": 0.75}, {"accuracy": np.array([0.5, 0.75, 1.0])})
        >>> measured.as_json()
        {'accuracy': 0.75, 'standard_error': {'accuracy': 0.25}}
    """

    metrics: Metrics
    resampled: Resampled
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def standard_errors(self) -> Metrics:
        """The standard error of each metric."""
        return {name: standard_error(values) for name, values in self.resampled.items()}

    def as_json(self) -> dict[str, Any]:
        """The content of `metrics.json`: the metrics, their standard errors, and the details."""
        return {**self.metrics, "standard_error": self.standard_errors, **self.details}

    def less(self, other: Measured) -> dict[str, Comparison]:
        """Compare with another model on the same rows, by metric: this model's minus the other one's."""
        return {
            name: compare(value - other.metrics[name], self.resampled[name] - other.resampled[name])
            for name, value in self.metrics.items()
        }
