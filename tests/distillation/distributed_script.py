"""Trains the same Distiller on one CPU device and on two replicas; prints losses and weights as JSON.

Run by test_distributed.py in a process of its own: TensorFlow splits a CPU into devices only before it is first used.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf.data.batches import Batches
from tinybert_tf.data.tokenizer import TokenizedTexts
from tinybert_tf.distillation.distiller import Distiller
from tinybert_tf.distillation.losses import AttentionLoss, EmbeddingLoss, HiddenStateLoss, PredictionLoss
from tinybert_tf.models.config import EncoderConfig
from tinybert_tf.models.heads import SequenceClassifier
from tinybert_tf.models.teacher import Teacher

# Batches of four rows, and a last one of three: replicas get two and two of very different lengths, then two and one.
LENGTHS = [9, 8, 1, 2, 3, 7, 7, 1, 2, 9, 5]
BATCH_SIZE = 4


def texts_and_labels() -> tuple[TokenizedTexts, np.ndarray]:
    generator = np.random.default_rng(0)
    total = sum(LENGTHS)
    tokens = TokenizedTexts(
        generator.integers(1, 50, total).astype("int32"),
        np.zeros(total, "int8"),
        np.concatenate([[0], np.cumsum(LENGTHS)]),
    )
    return tokens, generator.integers(0, 3, len(LENGTHS)).astype("int32")


def data_set(kind: str) -> Any:
    batches = Batches(*texts_and_labels(), batch_size=BATCH_SIZE)
    return batches if kind == "batches" else batches.get_tf_dataset()


def model(**sizes: Any) -> SequenceClassifier:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, **sizes}
    config = EncoderConfig(
        vocab_size=50,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
        max_position_embeddings=16,
        **sizes,
    )
    return SequenceClassifier(config, num_labels=3)


def trained(strategy: Any, kind: str) -> dict[str, Any]:
    """The logged losses of two epochs, those of an evaluation, and the weights."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        losses = [EmbeddingLoss(), AttentionLoss(), HiddenStateLoss(), PredictionLoss(hard_label_weight=0.5)]
        distiller = Distiller(Teacher(model(hidden_size=32, num_hidden_layers=2)), model(), losses=losses)
        distiller.compile(optimizer=keras.optimizers.SGD(0.05), metrics=["accuracy"])
    history = distiller.fit(data_set(kind), epochs=2, shuffle=False, verbose=0).history
    evaluated = distiller.evaluate(data_set(kind), return_dict=True, verbose=0)
    weights = {f"{number} {v.path}": np.asarray(v).tolist() for number, v in enumerate(distiller.trainable_variables)}
    return {
        "history": {name: [float(value) for value in values] for name, values in history.items()},
        "evaluated": {name: float(value) for name, value in evaluated.items()},
        "iterations": int(np.asarray(distiller.optimizer.iterations.value)),
        "weights": weights,
    }


def main(kind: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one = trained(None, kind)
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), kind)
    print(json.dumps({"one": one, "two": two}))


if __name__ == "__main__":
    main(sys.argv[1])
