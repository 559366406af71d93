"""`tinybert evaluate`: measures a saved or exported model on a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinybert_tf.data.batches.encoded import BATCH_SIZE
from tinybert_tf.data.tasks import find_task
from tinybert_tf.export.predictor import load
from tinybert_tf.export.rows import logits_of_rows
from tinybert_tf.labels import Labels
from tinybert_tf.metrics import RESAMPLES, TASK_METRICS, Measured, format_score, metric_title, never_predicted
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.splits import tokenize
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.settings import Reading

logger = logging.getLogger(__name__)

DEFAULT_MAX_LENGTH = 128


def run_evaluate(
    model: str | Path,
    data: str,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    max_length: int | None = None,
    task: str | None = None,
    labels: Sequence[str] | None = None,
    positive: str | None = None,
) -> dict[str, Any]:
    """Measure a saved model in float32 on a file of labelled texts or pairs (for pairs `text` is "a,b").

    `model` is any model that `Predictor` takes, exports too. If it is a run directory, its config gives the missing
    arguments: task, columns, the meaning of integers (`labels`), the positive class. Otherwise the task is the model's.
    Texts are cut at `max_length` tokens; by default at 128, or at the model's limit if that is lower.

    Returns:
        The task's metrics, and under `standard_error` the standard error of each; for classes also `positive_label` and
        `per_class`, see `TaskMetrics.details`.

    Raises:
        InputError: the model has no head for the task, or the file does not fit the model.
    """
    reading = Reading(task, text, label, labels, positive).completed_by_run(model)
    with held_back():
        if reading.task is not None:
            find_task(reading.task)
        loaded = load(model, max_length, task=reading.task)
        dataset = find_task(loaded.task).read(data, reading.text, reading.label, reading.labels)
        known = labels_for(Labels.of(loaded.label_names), [dataset], loaded.task, reading.positive)
        length = min(DEFAULT_MAX_LENGTH, loaded.max_length) if max_length is None else max_length
        encoded = tokenize({"data": dataset}, loaded.tokenizer, known, length, loaded.task)["data"]
    logits = logits_of_rows(loaded.runner, encoded.tokens, encoded.pad_token_id, BATCH_SIZE)
    measured = TASK_METRICS[loaded.task].measure_fully(encoded.answers(logits), encoded.expected, known)
    logger.info(_with_errors(measured, len(encoded.expected)))
    missing = never_predicted(measured.details)
    if missing is not None:
        logger.info(missing)
    return measured.as_json()


def _with_errors(measured: Measured, rows: int) -> str:
    """Describe the metrics and their standard errors in a line."""
    errors = measured.standard_errors
    shown = (
        f"{metric_title(name, measured.details)} {format_score(name, value, errors[name])}"
        for name, value in measured.metrics.items()
    )
    return f"{', '.join(shown)}; ± standard error, from {RESAMPLES:,} resamples of {rows:,} rows"
