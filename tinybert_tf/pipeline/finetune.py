"""`tinybert finetune`: trains a pretrained model on a file of labelled texts, so that it can teach."""

from __future__ import annotations

import logging
from typing import Any

import keras

from tinybert_tf.config.schema import FinetuneConfig
from tinybert_tf.data.tasks import find_task
from tinybert_tf.data.tokenizers.tokenizer import load_tokenizer
from tinybert_tf.labels import shown
from tinybert_tf.metrics import choose_metric
from tinybert_tf.models.heads.tasks import load_for_labels
from tinybert_tf.models.limits import check_limits
from tinybert_tf.pipeline.parts.chosen import settled, training_of_teacher
from tinybert_tf.pipeline.parts.labels import labels_for
from tinybert_tf.pipeline.parts.shapes import devices_for, padded_lengths
from tinybert_tf.pipeline.parts.splits import read_datasets, tokenize
from tinybert_tf.pipeline.parts.stages import Stage, train_stage
from tinybert_tf.pipeline.runs.callbacks import BestEpoch, stage_callbacks
from tinybert_tf.pipeline.runs.log_lines import held_back
from tinybert_tf.pipeline.runs.measure import measure, measure_models
from tinybert_tf.pipeline.runs.progress import RunProgress
from tinybert_tf.pipeline.runs.run import Run

logger = logging.getLogger(__name__)


def run_finetune(config: FinetuneConfig, overwrite: bool = False) -> dict[str, Any]:
    """Fine-tune a model on labelled texts, or pairs of texts; save the best dev epoch under `model/`.

    An interrupted run goes on after its last epoch; a complete one is not trained again, unless with `overwrite`. Then
    its model stays until the new one is complete.

    If the files fit the labels that the model already has, these stay; otherwise the labels are the train file's, with
    a new head. For `regression` labels are numbers, and the head has one output.

    Returns:
        The content of `metrics.json`: `{"model": {...}, "data": {...}}`.

    Raises:
        InputError: the config, a file or the model is wrong, or has changed since the run began. Then nothing is
            written.
    """
    with Run(config, overwrite) as run:
        return run.results() or _finetune(run.config, run)


def _finetune(config: FinetuneConfig, run: Run) -> dict[str, Any]:
    with held_back():
        datasets = read_datasets(config.data, task=config.task)
        task = find_task(config.task)
        task.check_training(datasets["train"])
        devices = devices_for(config.train)
        keras.utils.set_random_seed(config.train.seed)
        with devices.scope():
            model = load_for_labels(config.model.dir, config.task, task.label_names(datasets["train"]))
        model_labels = labels_for(model.labels, datasets.values(), config.task, config.data.positive)
        if model_labels:
            model.labels = model_labels
        tokenizer = load_tokenizer(config.model.dir)
        check_limits(model.config, tokenizer.vocab_size, config.data.max_length, config.model.dir)
        lengths = padded_lengths(config.data, devices)
        splits = tokenize(datasets, tokenizer, model.labels, config.data.max_length, config.task, lengths)
        metric = choose_metric(config.task, config.metric, len(model.label_names))
        rows, classes, width = len(splits["train"].tokens), len(model.label_names), model.config.hidden_size
        config = run.config = settled(config, training_of_teacher(config, rows, classes, width))
        progress = RunProgress(run)
    if model.label_names:
        logger.info(f"labels: {shown(model.label_names)}")
    stage = Stage.trained(config.train, name="finetune", losses=())
    train = splits["train"].training_batches(config.train)
    progress.begin()
    progress.turn_to("model")
    best = BestEpoch(model, lambda m: measure(m, splits["dev"], config.task), metric, run.path / "model", tokenizer)
    progress.follow(best)
    train_stage(
        model,
        stage,
        train,
        callbacks=[best, *stage_callbacks(stage.name, stage.total_steps(len(train)), run, train)],
        jit_compile=devices.choice.jit_compile,
        verbose=0,
        watched=f"dev_{metric}",
        checkpoint=progress.stage(stage.name),
    )
    best.restore()
    directories = {"model": [run.path / "model"]}
    results: dict[str, Any] = measure_models({"model": model}, directories, splits, config.task, run)
    results["model"]["seconds"] = round(progress.seconds(), 1)
    results["data"] = {name: split.summary() for name, split in splits.items()}
    run.finish(results)
    return results
