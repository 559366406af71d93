"""Weights of losses that change while a student learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from tinybert_tf.errors import InputError

# A number, or a function of the optimizer's step.
Weight = float | Callable[[Any], Any]


@dataclass(frozen=True)
class WeightSchedule:
    """A weight that goes in a straight line from `start` to `end` in `steps` optimizer steps, and stays there.

    Teacher annealing (Clark et al., arXiv 1907.04829) lets one loss fall while another rises. A stage
    counts its steps from 0.

    Args:
        start: the weight of the first step, at least 0.
        end: the weight after `steps` steps, at least 0.
        steps: at least 1.

    Raises:
        InputError: a value out of range.

    Example:
        >>> schedule = WeightSchedule(1.0, 0.0, steps=4)
        >>> [float(schedule(step)) for step in (0, 1, 4, 9)]
        [1.0, 0.75, 0.0, 0.0]
        >>> f"{schedule:g}"
        '1 to 0 in 4 steps'
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"WeightSchedule: {name}={getattr(self, name)}; expected a number >= 0.")
        if not self.steps >= 1:
            raise InputError(f"WeightSchedule: steps={self.steps}; expected a number >= 1.")

    def __call__(self, step: Any) -> Any:
        """The weight of an optimizer step, counted from 0; a float32 scalar."""
        done = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        return self.start * (1.0 - done) + self.end * done

    def __format__(self, spec: str) -> str:
        return f"{self.start:{spec}} to {self.end:{spec}} in {self.steps} steps"
