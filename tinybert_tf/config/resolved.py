"""Fills in what depends on other values of a configuration: the metric, the length and rate of a pretraining."""

from __future__ import annotations

import dataclasses
from typing import Any

from tinybert_tf.config.tasks import MAIN_METRIC

# The epochs of a pretraining, whose data is large, and its highest learning rate.
PRETRAINING_EPOCHS, PRETRAINING_RATE = 1, 1e-4


def resolved(config: Any) -> Any:
    """Return the same configuration, with values for what the configuration alone decides: a run of either is the same.

    The other values that are left open are chosen from the data and the models, when they are read.
    """
    changes: dict[str, Any] = {}
    if getattr(config, "metric", "none") is None:
        changes["metric"] = MAIN_METRIC[config.task]
    if not hasattr(config, "data"):
        has_end = config.train.epochs is not None or config.train.max_steps is not None
        epochs = config.train.epochs if has_end else PRETRAINING_EPOCHS
        rate = config.train.learning_rate or PRETRAINING_RATE
        changes["train"] = dataclasses.replace(config.train, epochs=epochs, learning_rate=rate)
    return dataclasses.replace(config, **changes)
