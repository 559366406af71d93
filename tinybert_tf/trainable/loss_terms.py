"""Losses as totals and counts, which are added up over parts, replicas and batches, and divided once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tinybert_tf.trainable.box import Box


class LossTracker(keras.metrics.Metric):
    """The mean of a loss over all batches since the last reset: the sum of `totals / counts`.

    Args:
        name: the name under which the loss is logged.
        means: the number of means whose sum is the loss.
    """

    def __init__(self, name: str, means: int = 1) -> None:
        super().__init__(name=name, dtype="float32")
        self.totals, self.weighted, self.counts = (
            self.add_variable((means,), "zeros", name=each) for each in ("totals", "weighted", "counts")
        )

    def update_state(self, totals: Any, counts: Any, weight: Any = 1.0) -> None:
        """Add the `totals` and `counts` of a batch, each `(means,)`; `weight` is the loss's weight in the sum."""
        self.totals.assign_add(totals)
        self.weighted.assign_add(totals * weight)
        self.counts.assign_add(counts)

    def result(self) -> Any:
        """The loss without its weight, a scalar; 0 if nothing was counted."""
        return ratio(self.totals, self.counts)

    def weighted_result(self) -> Any:
        """The loss with its weight in each batch, a scalar."""
        return ratio(self.weighted, self.counts)


class TotalTracker(keras.metrics.Metric):
    """The weighted sum of the losses, and the mean of the regularizers' penalties over the steps.

    Args:
        trackers: the losses' trackers.
        hidden: whether Keras does not see these trackers, so that this one resets them.
    """

    def __init__(self, trackers: Sequence[LossTracker], hidden: bool = False) -> None:
        super().__init__(name="loss", dtype="float32")
        self._trackers = Box(tuple(trackers))
        self.hidden = list(trackers) if hidden else []
        self.penalty = LossTracker("penalty")

    def update_state(self, penalty: Any, steps: Any = 1.0) -> None:
        """Add the penalty of a step, or of a part of one; the losses' trackers add up the losses."""
        self.penalty.update_state(ops.reshape(penalty, (1,)), ops.full((1,), steps))

    def result(self) -> Any:
        """The weighted sum of the losses plus the mean penalty, a scalar."""
        return self.losses_result() + self.penalty.result()

    def losses_result(self) -> Any:
        """The weighted sum of the losses without penalties, a scalar."""
        return sum((each.weighted_result() for each in self._trackers.content), ops.zeros(()))


@dataclass(frozen=True)
class LossTerm:
    """A loss of one batch, or of a part of it.

    `totals` and `counts`: `(means,)` float32; the loss is the sum of their ratios. `weight`: a scalar.
    """

    tracker: LossTracker
    totals: Any
    counts: Any
    weight: Any = 1.0

    @classmethod
    def of(cls, tracker: LossTracker, means: Sequence[tuple[Any, Any]], weight: Any = 1.0) -> LossTerm:
        """Make a term from `(total, count)` pairs of scalars."""
        totals, counts = (ops.stack([ops.cast(each, "float32") for each in side]) for side in zip(*means, strict=True))
        return cls(tracker, totals, ops.stop_gradient(counts), weight)

    def value(self, divisors: Any) -> Any:
        """The weighted loss: the totals divided by `divisors`, `(means,)`, which for a part are the whole batch's."""
        return self.weight * ratio(self.totals, divisors)

    def log(self) -> None:
        """Add the loss to its tracker."""
        self.tracker.update_state(self.totals, self.counts, self.weight)


def ratio(totals: Any, counts: Any) -> Any:
    """The sum of `totals / counts`, each `(means,)`; a mean over nothing is 0."""
    return ops.sum(ops.divide_no_nan(totals, counts))
