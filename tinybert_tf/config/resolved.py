"""Fills in defaults that depend on other values of a configuration: the ends of training, the metric."""

from __future__ import annotations

import dataclasses
from typing import Any

from tinybert_tf.config.schema import DEFAULT_EPOCHS, Train
from tinybert_tf.config.tasks import MAIN_METRIC

# The epochs of a pretraining, whose data is large.
PRETRAINING_EPOCHS = 1


def resolved(config: Any) -> Any:
    """Return the same configuration, with a value for `metric` and for every end of training that has none.

    A run of either does the same steps.
    """
    changes: dict[str, Any] = {}
    if getattr(config, "metric", "none") is None:
        changes["metric"] = MAIN_METRIC[config.task]
    stages = getattr(config, "stages", ())
    if _has_no_end(config.train):
        epochs = DEFAULT_EPOCHS if hasattr(config, "data") else PRETRAINING_EPOCHS
        if all(stage.max_steps is None or stage.epochs is not None for stage in stages):
            changes["train"] = dataclasses.replace(config.train, epochs=epochs)
        else:  # `train.epochs` would end the stages that have steps of their own
            changes["stages"] = tuple(
                dataclasses.replace(stage, epochs=epochs) if _has_no_end(stage.resolved(config.train)) else stage
                for stage in stages
            )
    return dataclasses.replace(config, **changes)


def _has_no_end(train: Train) -> bool:
    return train.epochs is None and train.max_steps is None
