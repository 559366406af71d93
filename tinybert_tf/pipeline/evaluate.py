"""`tinybert evaluate`: a model directory's metrics on a file."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.metrics import TASK_METRICS, Metrics
from tinybert_tf.models.limits import check_limits
from tinybert_tf.models.teacher import Teacher
from tinybert_tf.pipeline.log_lines import held_back
from tinybert_tf.pipeline.measure import measure
from tinybert_tf.pipeline.splits import tokenize

DEFAULT_MAX_LENGTH = 128


def run_evaluate(
    model: str | Path,
    data: str,
    text: str,
    label: str,
    max_length: int | None = None,
    task: str = "sequence_classification",
) -> Metrics:
    """The task's metrics of a saved model, computed in float32, on a file of labelled texts or pairs (`text` is "a,b").

    Texts are cut at `max_length` tokens; by default at 128, or at the model's limit where that is lower.

    Raises:
        InputError: the directory has no model with a head for the task, or the file does not fit it.
    """
    if task not in TASK_METRICS:
        raise InputError(f"task {task!r} is not known; one of {', '.join(TASK_METRICS)} is.")
    with held_back():
        dataset = TextDataset.from_file(data, text, label)
        loaded = Teacher.from_pretrained(model, task, precision="float32").model
        tokenizer = load_tokenizer(model)
        if max_length is None:
            max_length = min(DEFAULT_MAX_LENGTH, loaded.config.max_tokens)
        check_limits(loaded.config, tokenizer.vocab_size, max_length, model)
        splits = tokenize({"data": dataset}, tokenizer, list(loaded.id2label.values()), max_length, task)
    return measure(loaded, splits["data"].evaluation_batches(), task)
