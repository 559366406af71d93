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
from tinybert_tf.metrics import TASK_METRICS, Comparison, Measured, Metrics
from tinybert_tf.models.pretrained import in_precision
from tinybert_tf.pipeline.runs.directory import RunDirectory

LATENCY_SEQ_LEN = 32
# The splits on which models are measured.
MEASURED = ("dev", "test")


def measure(model: Any, data: EncodedDataset, task: str) -> Metrics:
    """Measure the task's metrics of a model on a labelled data set."""
    answers = data.answers(logits_of(model, data.evaluation_batches()))
    return TASK_METRICS[task].measure(answers, data.expected, data.classes)


def measure_fully(model: Any, data: EncodedDataset, task: str) -> Measured:
    """Measure the task's metrics with their standard errors, and details such as `per_class` results."""
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
    run: RunDirectory,
) -> dict[str, dict[str, Any]]:
    """Measure metrics and cost of each model in float32, as loaded from its saved files.

    For each model: the task's metrics on dev and their standard errors, those on test under `test`, `parameters`,
    `size_bytes` of the weights file(s), and `latency_ms`, the median milliseconds of a forward pass of one text of 32
    tokens (or the models' limit if lower), in which the models take turns. Under `comparisons`, for each split, the
    differences between the student and the other models.

    The metrics in all resamples of the rows go to the run's `resamples.npz`.
    """
    as_saved = {name: in_precision(model, "float32") for name, model in models.items()}
    limits = (model.config.max_tokens for model in as_saved.values())
    latency = measure_latency(as_saved, seq_len=min(LATENCY_SEQ_LEN, *limits))
    measured = {
        split: {name: measure_fully(model, _read_by(name, data), task) for name, model in as_saved.items()}
        for split, data in splits.items()
        if split in MEASURED
    }
    results: dict[str, dict[str, Any]] = {}
    for name, model in as_saved.items():
        result = measured["dev"][name].as_json()
        if "test" in measured:
            result["test"] = measured["test"][name].as_json()
        result["parameters"] = count_parameters(model)
        result["size_bytes"] = sum(map(weights_size, directories[name]))
        result["latency_ms"] = latency[name]
        results[name] = result
    run.write_resamples(_resamples(measured))
    comparisons = {split: compare_students(of_split) for split, of_split in measured.items()}
    return {**results, **({"comparisons": comparisons} if any(comparisons.values()) else {})}


def compare_students(measured: Mapping[str, Measured]) -> dict[str, dict[str, Comparison]]:
    """Compare the student with each other model, by `student_` and the other's name, and by metric."""
    student = measured.get("student")
    others = {name: each for name, each in measured.items() if name != "student"}
    return {} if student is None else {f"student_{name}": student.less(other) for name, other in others.items()}


def _read_by(name: str, data: EncodedDataset) -> EncodedDataset:
    return data.for_teacher if name == "teacher" else data


def _resamples(measured: Mapping[str, Mapping[str, Measured]]) -> dict[str, np.ndarray]:
    """The arrays of `resamples.npz`, by `model/split/metric`."""
    return {
        f"{name}/{split}/{metric}": values
        for split, of_split in measured.items()
        for name, each in of_split.items()
        for metric, values in each.resampled.items()
    }
