"""Trains the same Distiller on one CPU device, and on two replicas (also in parts); prints losses and weights as JSON.

Run by test_distributed.py in a process of its own: TensorFlow splits a CPU into devices only before it is first used.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf import (
    AttentionLoss,
    Distiller,
    EmbeddingLoss,
    EncoderConfig,
    HiddenStateLoss,
    MultiTaskBatches,
    MultiTaskDistiller,
    PredictionLoss,
    SequenceClassifier,
    Teacher,
    TransformerEncoder,
)
from tinybert_tf.data.batches.batches import Batches
from tinybert_tf.data.tokenizers.tokenizer import TokenizedTexts

# In batches of four rows two replicas get two and two of very different lengths. In the last batch they get two and one
# where there are 3 rows (it is the very first batch, too) or 7, one and none where there are 9.
LENGTHS = [9, 8, 1, 2, 3, 7, 7, 1, 2]
ODD_NUMBERS_OF_ROWS = (3, 7, 9)
BATCH_SIZE = 4


def data_set(kind: str, num_rows: int) -> Any:
    generator = np.random.default_rng(0)
    lengths = LENGTHS[:num_rows]
    ids, types = generator.integers(1, 50, sum(lengths)).astype("int32"), np.zeros(sum(lengths), "int8")
    tokens = TokenizedTexts(ids, types, np.concatenate([[0], np.cumsum(lengths)]))
    batches = Batches(tokens, generator.integers(0, 3, num_rows).astype("int32"), batch_size=BATCH_SIZE, seed=1)
    return batches.get_tf_dataset() if kind == "dataset" else batches


def batches_of_tasks(num_rows: int) -> MultiTaskBatches:
    """Of one task `num_rows`, of the other always all."""
    return MultiTaskBatches({"one": data_set("batches", num_rows), "all": data_set("batches", len(LENGTHS))})


def model(encoder: TransformerEncoder | None = None, **sizes: Any) -> SequenceClassifier:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, **sizes}
    config = EncoderConfig(
        vocab_size=50,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
        max_position_embeddings=16,
        **sizes,
    )
    return SequenceClassifier(config if encoder is None else encoder, num_labels=3)


def trained(strategy: Any, kind: str) -> dict[str, Any]:
    """A student and its teacher, in all losses and both reductions."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        losses = [
            loss_class(reduction=reduction)
            for reduction in ("tokens", "paper")
            for loss_class in (EmbeddingLoss, AttentionLoss, HiddenStateLoss, PredictionLoss)
        ]
        distiller = Distiller(Teacher(model(hidden_size=32, num_hidden_layers=2)), model(), losses=losses)
        parts = 2 if strategy and kind == "parts" else 1
        distiller.compile(optimizer=keras.optimizers.SGD(0.05), metrics=["accuracy"], accumulation_steps=parts)
    return followed(distiller, lambda rows: data_set(kind, rows))


def trained_on_tasks(strategy: Any) -> dict[str, Any]:
    """Two tasks, of which one has fewer batches in an epoch, or as many."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        students = [model()]
        students.append(model(students[0].encoder))
        teacher_sizes = {"hidden_size": 32, "num_hidden_layers": 2}
        losses = [AttentionLoss(), HiddenStateLoss(), PredictionLoss()]
        one, both = (Distiller(Teacher(model(**teacher_sizes)), student, losses=losses) for student in students)
        distiller = MultiTaskDistiller({"one": one, "all": both}, weights={"all": 0.5})
        distiller.compile(optimizer=keras.optimizers.SGD(0.05))
    return followed(distiller, batches_of_tasks)


def followed(distiller: keras.Model, make_batches: Callable[[int], Any]) -> dict[str, Any]:
    """What `fit` and `evaluate` log for all numbers of rows, and after all the steps taken and the weights."""
    logged = {}
    for rows in ODD_NUMBERS_OF_ROWS:
        history = distiller.fit(make_batches(rows), epochs=2, shuffle=False, verbose=0).history
        for epoch in range(2):
            logged[f"{rows} rows, epoch {epoch}"] = {name: float(values[epoch]) for name, values in history.items()}
        evaluated = distiller.evaluate(make_batches(rows), return_dict=True, verbose=0)
        logged[f"{rows} rows, evaluated"] = {name: float(value) for name, value in evaluated.items()}
    weights = [np.asarray(variable).ravel() for variable in distiller.trainable_variables]
    steps = int(np.asarray(distiller.optimizer.iterations.value))
    return {"logged": logged, "steps": steps, "weights": np.concatenate(weights).tolist()}


def main(kind: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    run = trained_on_tasks if kind == "tasks" else functools.partial(trained, kind=kind)
    one, two = (run(strategy) for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])))
    print(json.dumps({"one": one, "two": two}))


if __name__ == "__main__":
    main(sys.argv[1])
