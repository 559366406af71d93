"""`tinybert evaluate`: a model directory's metrics on a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.models.heads.tasks import load_teaching, task_of
from tinybert_tf.models.limits import check_limits
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.splits import tokenize
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.measure import measure_fully

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
    """The task's metrics of a saved model, computed in float32, on a file of labelled texts or pairs (`text` is "a,b").

    Texts are cut at `max_length` tokens; by default at 128, or at the model's limit where that is lower. The task is
    the one that the model is for, unless another is named. `labels` are what integers in the file stand for.

    Raises:
        InputError: the directory has no model with a head for the task, or the file does not fit it.
    """
    with held_back():
        task = task_of(model) if task is None else task
        dataset = find_task(task).read(data, text, label, labels)
        loaded = load_teaching(model, task)
        tokenizer = load_tokenizer(model)
        if max_length is None:
            max_length = min(DEFAULT_MAX_LENGTH, loaded.config.max_tokens)
        check_limits(loaded.config, tokenizer.vocab_size, max_length, model)
        known = labels_for(loaded.labels, [dataset], task, positive)
        splits = tokenize({"data": dataset}, tokenizer, known, max_length, task)
    return measure_fully(loaded, splits["data"], task)
