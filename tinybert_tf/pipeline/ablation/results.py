"""The results of an ablation: each run's outcome, and the means and differences of its variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinybert_tf.config.ablation import BASE
from tinybert_tf.metrics import TASK_METRICS, error_of, metric_title
from tinybert_tf.pipeline.ablation.noise import Estimate, estimate
from tinybert_tf.pipeline.ablation.variants import PlannedVariant

STUDENT, BASELINE, TEACHER = "student", "baseline", "teacher"


@dataclass(frozen=True)
class Outcome:
    """The end of a run: its `metrics.json` and the arrays of its `resamples.npz`, or the error that ended it."""

    variant: str
    seed: int
    directory: str
    metrics: Mapping[str, Any] | None = None
    error: str | None = None
    resamples: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def value(self, model: str, split: str, metric: str) -> float | None:
        """Return a metric of one of the run's models on `dev` or `test`; None if it was not measured."""
        measured = (self.metrics or {}).get(model, {})
        return (measured if split == "dev" else measured.get("test", {})).get(metric)

    def error_of(self, model: str, split: str, metric: str) -> float | None:
        """Return the metric's standard error over rows; None if an earlier version measured the run."""
        measured = (self.metrics or {}).get(model, {})
        return error_of(measured if split == "dev" else measured.get("test", {}), metric)


@dataclass
class AblationResults:
    """The outcomes so far of an ablation's runs, and the settings of its tables.

    `metric` is shown in the Markdown table; `paper` is the task whose published numbers it shows too.
    """

    variants: Sequence[PlannedVariant]
    outcomes: list[Outcome]
    num_runs: int
    task: str
    metric: str
    paper: str | None = None

    @property
    def failures(self) -> list[Outcome]:
        """The runs that ended with an error."""
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def splits(self) -> list[str]:
        """The measured splits: `dev`, and `test` if there is one."""
        has_test = any(outcome.value(STUDENT, "test", self.metric) is not None for outcome in self.outcomes)
        return ["dev", "test"] if has_test else ["dev"]

    @property
    def title(self) -> str:
        """The metric's name in a table; F1 of one class is named with its class."""
        measured: Mapping[str, Any] = next((each.metrics[STUDENT] for each in self.outcomes if each.metrics), {})
        return metric_title(self.metric, measured)

    @property
    def measured(self) -> list[str]:
        """The metrics of the task that were measured on these models."""
        names = TASK_METRICS[self.task].names(2)
        return [name for name in names if any(each.value(STUDENT, "dev", name) is not None for each in self.outcomes)]

    @property
    def has_spread(self) -> bool:
        """Whether a variant has finished runs of several seeds."""
        return any(len(self.values(name, model, "dev")) > 1 for _, name, model in self.rows())

    def values(self, variant: str, model: str, split: str, metric: str | None = None) -> dict[int, float]:
        """Return the metric, or another one, by seed, of a variant's finished runs."""
        found = {
            outcome.seed: outcome.value(model, split, metric or self.metric)
            for outcome in self.outcomes
            if outcome.variant == variant
        }
        return {seed: value for seed, value in found.items() if value is not None}

    def score(self, variant: str, model: str, split: str, metric: str) -> Estimate | None:
        """Estimate a metric's mean over the seeds; None without runs, or without their resamples."""
        return _estimate(self.values(variant, model, split, metric), self._resampled(variant, model, split, metric))

    def difference(self, variant: str, model: str, split: str, metric: str) -> Estimate | None:
        """Estimate the mean difference to the base over the seeds of both; None as in `score`, and for the base."""
        if (variant, model) == (BASE, STUDENT):
            return None
        values, resampled = self.differences(variant, model, split, metric), {}
        of_base = self._resampled(BASE, STUDENT, split, metric)
        for seed, of_variant in self._resampled(variant, model, split, metric).items():
            if seed in of_base:
                resampled[seed] = of_variant - of_base[seed]
        return _estimate(values, resampled)

    def differences(self, variant: str, model: str, split: str, metric: str) -> dict[int, float]:
        """Return a metric's difference to the base by seed, for the seeds of both."""
        of_base = self.values(BASE, STUDENT, split, metric)
        values = self.values(variant, model, split, metric)
        return {seed: value - of_base[seed] for seed, value in values.items() if seed in of_base}

    def _resampled(self, variant: str, model: str, split: str, metric: str) -> dict[int, np.ndarray]:
        name = f"{model}/{split}/{metric}"
        return {
            each.seed: each.resamples[name]
            for each in self.outcomes
            if each.variant == variant and name in each.resamples
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Label, variant and model of each row with a result; models without their teacher are called `alone`."""
        pairs = [(variant.name, model) for variant in self.variants for model in (STUDENT, BASELINE)]
        found = [(name, model) for name, model in pairs if self.values(name, model, "dev")]
        return [(name if model == STUDENT else f"{name}, alone", name, model) for name, model in found]

    def teacher(self, split: str) -> tuple[float, float | None] | None:
        """Return the teacher's metric and its standard error."""
        for outcome in self.outcomes:
            value = outcome.value(TEACHER, split, self.metric)
            if value is not None:
                return value, outcome.error_of(TEACHER, split, self.metric)
        return None


def _estimate(values: Mapping[int, float], resampled: Mapping[int, np.ndarray]) -> Estimate | None:
    """Estimate a mean over seeds; None if a seed has no resamples, or if there is no seed."""
    if not values or values.keys() != resampled.keys():
        return None
    return estimate(list(values.values()), [resampled[seed] for seed in values])
