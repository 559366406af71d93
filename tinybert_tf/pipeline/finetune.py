"""`tinybert finetune`: a pretrained model, a file of labelled texts, a model that can teach."""

from __future__ import annotations

import time
from typing import Any

import keras

from tinybert_tf.config.schema import FinetuneConfig
from tinybert_tf.data.tokenizer import load_tokenizer
from tinybert_tf.errors import InputError
from tinybert_tf.metrics import choose_metric
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.models.limits import check_limits
from tinybert_tf.pipeline.callbacks import BestEpoch, stage_callbacks
from tinybert_tf.pipeline.log_lines import held_back
from tinybert_tf.pipeline.measure import measure
from tinybert_tf.pipeline.results import measure_models
from tinybert_tf.pipeline.run_directory import RunDirectory
from tinybert_tf.pipeline.shapes import devices_for, padded_lengths
from tinybert_tf.pipeline.splits import read_datasets, tokenize
from tinybert_tf.pipeline.stages import Stage, train_stage

# The name that a score has among a model's labels, as Hugging Face calls it.
SCORE = ["LABEL_0"]


def run_finetune(config: FinetuneConfig) -> dict[str, Any]:
    """Fine-tune a model on labelled texts, or pairs of texts; the best dev epoch is saved under `model/`.

    The labels are the ones the model already has, if the files fit them; otherwise the train file's, with a new head.
    For `regression` they are numbers, and the head has one output.

    Returns:
        What `metrics.json` holds: `{"model": {...}, "data": {...}}`.

    Raises:
        InputError: anything the user gave is wrong; nothing has been written then.
    """
    with held_back():
        run = RunDirectory(config.out, config)
        datasets = read_datasets(config.data)
        labels = set(datasets["train"].labels or ())
        if len(labels) < 2:
            raise InputError(f"{config.data.train}: all labels are {labels.pop()!r}; at least two labels are wanted.")
        devices = devices_for(config.train)
        keras.utils.set_random_seed(config.train.seed)
        with devices.scope():
            names = SCORE if config.task == "regression" else datasets["train"].label_names()
            model = load_for_labels(config.model.dir, names)
        tokenizer = load_tokenizer(config.model.dir)
        check_limits(model.config, tokenizer.vocab_size, config.data.max_length, config.model.dir)
        names = list(model.id2label.values())
        lengths = padded_lengths(config.data, devices)
        splits = tokenize(datasets, tokenizer, names, config.data.max_length, config.task, lengths)
        metric = choose_metric(config.task, config.metric, model.num_labels)
    stage = Stage.trained(config.train, name="finetune", losses=())
    train = splits["train"].training_batches(config.train)
    dev = splits["dev"].evaluation_batches()

    run.create()
    begin = time.monotonic()
    best = BestEpoch(model, lambda m: measure(m, dev, config.task), metric, run.path / "model", tokenizer)
    train_stage(
        model,
        stage,
        train,
        callbacks=[best, *stage_callbacks(stage.name, stage.total_steps(train), run, train)],
        jit_compile=devices.choice.jit_compile,
        verbose=0,
        watched=f"dev_{metric}",
    )
    best.restore()
    results: dict[str, Any] = measure_models({"model": model}, {"model": run.path / "model"}, splits, config.task)
    results["model"]["seconds"] = round(time.monotonic() - begin, 1)
    results["data"] = {name: split.summary() for name, split in splits.items()}
    run.write_metrics(results)
    return results


def load_for_labels(path: str, label_names: list[str]) -> SequenceClassifier:
    """The directory's classifier where it has these labels, else its encoder with a new head for them.

    `["LABEL_0"]` is the label of a score.
    """
    model = SequenceClassifier.from_pretrained(path)
    names = list(model.id2label.values())
    integers = label_names == [f"LABEL_{number}" for number in range(len(label_names))]
    if model.has_loaded_head and (
        sorted(names) == sorted(label_names) or (integers and len(names) == len(label_names))
    ):
        return model
    return SequenceClassifier(model.encoder, num_labels=len(label_names), id2label=label_names)
