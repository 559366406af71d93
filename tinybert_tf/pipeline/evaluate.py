"""`tinybert evaluate`: a model directory's metrics on a file."""

from __future__ import annotations

from pathlib import Path

from tinybert_tf.data.dataset import TextDataset
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.metrics import Metrics
from tinybert_tf.models.teacher import Teacher
from tinybert_tf.pipeline.finetune import check_vocabulary_fits
from tinybert_tf.pipeline.measure import measure
from tinybert_tf.pipeline.splits import tokenize


def run_evaluate(
    model: str | Path, data: str, text: str, label: str, max_length: int = 128, task: str = "sequence_classification"
) -> Metrics:
    """The task's metrics of a saved model, computed in float32, on a file of labelled texts.

    Raises:
        InputError: the directory has no model with a head for the task, or the file does not fit it.
    """
    dataset = TextDataset.from_file(data, text=text, label=label)
    tokenizer = load_tokenizer(model)
    loaded = Teacher.from_pretrained(model, task, precision="float32").model
    check_vocabulary_fits(tokenizer, loaded.config, str(model))
    splits = tokenize({"data": dataset}, tokenizer, list(loaded.id2label.values()), max_length)
    return measure(loaded, splits["data"].evaluation_batches(), task)
