"""Measuring a model on a labelled data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.metrics import TASK_METRICS, Metrics


def measure(model: Any, data: EncodedDataset, task: str) -> Metrics:
    """The task's metrics of a model on a labelled data set."""
    answers = data.answers(logits_of(model, data.evaluation_batches()))
    return TASK_METRICS[task].measure(answers, data.expected, data.classes)


def measure_fully(model: Any, data: EncodedDataset, task: str) -> dict[str, Any]:
    """The task's metrics, `positive_label`, whose F1 is `f1`, and `per_class`, the results of each class."""
    answers = data.answers(logits_of(model, data.evaluation_batches()))
    compared = answers, data.expected, data.classes
    return TASK_METRICS[task].measure(*compared) | TASK_METRICS[task].details(*compared)


def logits_of(model: Any, batches: Batches) -> np.ndarray:
    """A model's logits of every row, float32, in the order of the data set's rows."""
    return np.asarray(batches.in_file_order(model.predict(batches, verbose=0)["logits"]), np.float32)
