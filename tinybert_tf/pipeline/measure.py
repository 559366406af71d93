"""Measuring a model on a labelled data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinybert_tf.data.batches import Batches
from tinybert_tf.metrics import TASK_METRICS, Metrics


def measure(model: Any, batches: Batches, task: str) -> Metrics:
    """The task's metrics of a model on labelled batches, in whatever order they come."""
    logits = batches.in_file_order(model.predict(batches, verbose=0)["logits"])
    return TASK_METRICS[task](np.asarray(logits, np.float32), np.asarray(batches.labels))
