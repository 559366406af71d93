"""The length of a training: its epochs and its optimizer steps."""

from __future__ import annotations

from typing import Protocol

from tinybert_tf.config.schema import DEFAULT_EPOCHS


class Length(Protocol):
    """What decides how long a training is."""

    @property
    def epochs(self) -> int | None:
        """The passes over the data."""

    @property
    def max_steps(self) -> int | None:
        """The most optimizer steps."""

    @property
    def steps_per_execution(self) -> int:
        """The optimizer steps that a device runs at once."""


def planned_epochs(values: Length, default: int = DEFAULT_EPOCHS) -> int | None:
    """Return `epochs` or the default; None if only `max_steps` limits the training."""
    return default if values.epochs is None and values.max_steps is None else values.epochs


def planned_steps(
    values: Length, steps_per_epoch: int, steps_per_pass: int, default_epochs: int = DEFAULT_EPOCHS
) -> int:
    """Return the steps of `epochs`, cut at `max_steps`, but with all steps that one execution runs together.

    No execution crosses the end of one of Keras's passes.
    """
    epochs = planned_epochs(values, default_epochs)
    epochs_end = None if epochs is None else epochs * steps_per_epoch
    steps = min(end for end in (epochs_end, values.max_steps) if end is not None)
    passes, rest = divmod(steps, steps_per_pass)
    executions = -(-rest // values.steps_per_execution)
    return passes * steps_per_pass + min(executions * values.steps_per_execution, steps_per_pass)
