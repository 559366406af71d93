"""Measuring models on labelled data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.checkpoints.formats import weights_size
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.batches.encoded import EncodedDataset
from tinybert_tf.evaluation.cost import count_parameters, measure_latency
from tinybert_tf.metrics import TASK_METRICS, Metrics
from tinybert_tf.models.pretrained import in_precision

LATENCY_SEQ_LEN = 32


def measure(model: Any, data: EncodedDataset, task: str) -> Metrics:
    """Measure the task's metrics of a model on a labelled data set."""
    answers = data.answers(logits_of(model, data.evaluation_batches()))
    return TASK_METRICS[task].measure(answers, data.expected, data.classes)


def measure_fully(model: Any, data: EncodedDataset, task: str) -> dict[str, Any]:
    """Measure the task's metrics; for classes also `positive_label`, whose F1 is `f1`, and `per_class` results."""
    answers = data.answers(logits_of(model, data.evaluation_batches()))
    return TASK_METRICS[task].measure_fully(answers, data.expected, data.classes)


def logits_of(model: Any, batches: Batches) -> np.ndarray:
    """Compute a model's logits of every row, float32, in the order of the data set's rows."""
    return np.asarray(batches.in_file_order(model.predict(batches, verbose=0)["logits"]), np.float32)


def measure_models(
    models: Mapping[str, Any],
    directories: Mapping[str, Sequence[Path]],
    splits: Mapping[str, EncodedDataset],
    task: str,
) -> dict[str, dict[str, Any]]:
    """Measure metrics and cost of each model in float32, as loaded from its saved files.

    For each model: the task's metrics on dev, those on test under `test`, `parameters`, `size_bytes` of the weights
    file(s), and `latency_ms`, the median milliseconds of a forward pass of one text of 32 tokens (or the models' limit
    if lower), in which the models take turns.
    """
    as_saved = {name: in_precision(model, "float32") for name, model in models.items()}
    limits = (model.config.max_tokens for model in as_saved.values())
    latency = measure_latency(as_saved, seq_len=min(LATENCY_SEQ_LEN, *limits))
    results: dict[str, dict[str, Any]] = {}
    for name, model in as_saved.items():
        read = {key: split.for_teacher if name == "teacher" else split for key, split in splits.items()}
        result: dict[str, Any] = measure_fully(model, read["dev"], task)
        if "test" in splits:
            result["test"] = measure_fully(model, read["test"], task)
        result["parameters"] = count_parameters(model)
        result["size_bytes"] = sum(map(weights_size, directories[name]))
        result["latency_ms"] = latency[name]
        results[name] = result
    return results
