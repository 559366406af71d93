"""One step whole and in parts, on one replica and on two: how far its gradient is from the whole batch's, as JSON.

Run by test_equal_steps.py in a process of its own, with `all` for every task in every way: TensorFlow splits a CPU into
devices only before it is first used. The gradients are those of plain SGD with the rate 1, weights before less weights
after.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from tinybert_tf import (
    AttentionLoss,
    BertPretraining,
    Distiller,
    EmbeddingLoss,
    EncoderConfig,
    HiddenStateLoss,
    MaskedLM,
    PredictionLoss,
    QuestionAnswering,
    SequenceClassifier,
    TokenClassifier,
    features,
)
from tinybert_tf.distillation.losses import LOSSES
from tinybert_tf.training.optimizer import BertAdamW

ROWS, LENGTH, CLASSES = 7, 6, 3
SIZES = {"hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 6, "max_position_embeddings": LENGTH}
DRAW = np.random.default_rng(3)
MASK = (np.arange(LENGTH) < np.array([6, 5, 2, 6, 3, 2, 4])[:, None]).astype("int32")
INPUTS = {
    "input_ids": DRAW.integers(1, 20, MASK.shape).astype("int32") * MASK,
    "attention_mask": MASK,
    "token_type_ids": np.zeros_like(MASK),
    "masked_positions": DRAW.integers(0, 2, (ROWS, 3)).astype("int32"),
}
# Few labels in the first rows, many in the last.
TAGS = np.where(DRAW.uniform(size=MASK.shape) < np.linspace(0.1, 1.0, ROWS)[:, None], 1, -1)
TAGS = np.where(TAGS * MASK > 0, DRAW.integers(0, CLASSES, MASK.shape), -100).astype("int32")
CLASS = np.array([0, 1, -100, 2, 1, -100, 0], "int32")
TOKENS = np.where(DRAW.uniform(size=(ROWS, 3)) < 0.6, DRAW.integers(1, 20, (ROWS, 3)), -100).astype("int32")
TASKS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "classes": (SequenceClassifier, {"num_labels": CLASSES}, CLASS),
    "score": (SequenceClassifier, {"num_labels": 1}, np.where(CLASS < 0, np.nan, CLASS).astype("float32")),
    "labels": (
        SequenceClassifier,
        {"num_labels": CLASSES, "problem_type": "multi_label_classification"},
        DRAW.integers(-1, 2, (ROWS, CLASSES)).astype("int32"),
    ),
    "tags": (TokenClassifier, {"num_labels": CLASSES}, TAGS),
    "answers": (QuestionAnswering, {}, np.array([[0, 1], [1, -100], [0, 0], [2, 3], [-100, -100], [0, 1], [3, 3]])),
    "masked": (MaskedLM, {}, TOKENS),
    "pretraining": (BertPretraining, {}, {"masked_tokens": TOKENS, "next_sentence": np.maximum(CLASS, 0) % 2}),
}
OF_TINYBERT = (EmbeddingLoss, AttentionLoss, HiddenStateLoss, PredictionLoss)


def make(kind: str, layers: int = 1, seed: int = 0) -> Any:
    cls, arguments, _ = TASKS[kind]
    keras.utils.set_random_seed(seed)
    config = EncoderConfig(
        vocab_size=20,
        num_hidden_layers=layers,
        initializer_range=0.4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **SIZES,
    )
    model = cls(config, dtype="float32", **arguments)
    first = next(weight for weight in model.trainable_weights if weight.path.endswith("kernel"))
    first.regularizer = keras.regularizers.L2(0.1)
    return model


def losses_of(kind: str) -> list[Any]:
    losses = [PredictionLoss(hard_label_weight=0.5), LOSSES["logits_mse"]()]
    if kind != "classes":
        return losses
    coupled = ("rkd", "cka")
    return [
        *(make_loss() for name, make_loss in LOSSES.items() if name not in coupled),
        *(make_loss(reduction="paper", name=f"paper_{number}") for number, make_loss in enumerate(OF_TINYBERT)),
        PredictionLoss(hard_label_weight=0.5),
    ]


def distilled(kind: str) -> Distiller:
    return Distiller(make(kind, 2, seed=1), make(kind, 2, seed=2), losses=losses_of(kind))


def inputs_of(kind: str) -> dict[str, np.ndarray]:
    has_masks = kind in ("masked", "pretraining")
    return {name: value for name, value in INPUTS.items() if has_masks or name != "masked_positions"}


def cached_inputs(model: Distiller, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With the teacher's features, rounded as a cache rounds them, as floats."""
    answers = features.by_teacher_key(model.teacher(inputs, training=False, **model.teacher_arguments))
    kept = {key: np.asarray(answers[key]) for key in model.teacher_shapes}
    return inputs | {key: value.astype(ml_dtypes.bfloat16).astype("float32") for key, value in kept.items()}


class Rounded(keras.Model):
    """A teacher whose features are rounded as a cache rounds them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.num_hidden_layers, self.predicts = model, model.num_hidden_layers, model.predicts

    def call(self, inputs: Any, **arguments: Any) -> Any:
        answers = self.model(inputs, **arguments)
        return keras.tree.map_structure(lambda each: tf.cast(tf.cast(each, "bfloat16"), "float32"), answers)


def step(
    build: Callable[[], Any], inputs: Any, labels: Any, parts: int, strategy: Any, optimizer: Any = None, **options: Any
) -> tuple[np.ndarray, Any]:
    """The gradient and what is logged; weights before less weights after."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = build()
        made = keras.optimizers.SGD(1.0) if optimizer is None else optimizer()
        model.compile(optimizer=made, accumulation_steps=parts, jit_compile=False, **options)
    before = [variable.numpy() for variable in model.trainable_variables]
    data = tf.data.Dataset.from_tensors((inputs, labels))
    history = model.fit(data, verbose=0, shuffle=False).history
    after = [variable.numpy() for variable in model.trainable_variables]
    gradient = np.concatenate([(one - two).ravel() for one, two in zip(before, after, strict=True)])
    return gradient, {name: float(values[0]) for name, values in history.items()}


def clipping_optimizer() -> BertAdamW:
    """With this epsilon its first step is the clipped gradient, but for a thousandth."""
    return BertAdamW(1.0, epsilon=10.0, weight_decay=0.0, global_clipnorm=0.01)


def compared(
    build: Callable[[], Any], inputs: Any, labels: Any, ways: Any, optimizer: Any = None, traced: bool = False
) -> dict[str, Any]:
    """The whole step is eager; so are the others unless they are `traced`, which takes far longer."""
    whole, logs = step(build, inputs, labels, 1, None, optimizer, run_eagerly=True)
    found = {}
    for name, (parts, strategy) in ways.items():
        gradient, logged = step(build, inputs, labels, parts, strategy, optimizer, run_eagerly=not traced)
        apart = {each: abs(logged[each] - value) / max(abs(value), 1e-3) for each, value in logs.items()}
        found[name] = {
            "gradient": float(np.linalg.norm(gradient - whole) / np.linalg.norm(whole)),
            "logs": max(apart.values()),
        }
    return found


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    ways = {"2 parts": (2, None), "4 parts on 2 replicas": (4, two)}
    few = {"2 parts on 2 replicas": (2, two)}
    distilled_kinds: tuple[str, ...] = ("classes", "tags")
    if sys.argv[1:] == ["all"]:
        ways = few = ways | few | {"4 parts": (4, None), "2 replicas": (1, two)}
        distilled_kinds = tuple(TASKS)
    results = {}
    for kind, (_, _, labels) in TASKS.items():
        of_task = ways if kind == "tags" else few
        build = functools.partial(make, kind)
        results[kind] = compared(build, inputs_of(kind), labels, of_task, traced=kind == "tags")
    for kind in distilled_kinds:
        labels, build = TASKS[kind][2], functools.partial(distilled, kind)
        results[f"{kind} distilled"] = compared(build, inputs_of(kind), labels, few, traced=kind == "tags")
    results["clipped"] = compared(
        lambda: make("classes"), inputs_of("classes"), CLASS, {"2 replicas": (1, two)}, clipping_optimizer, traced=True
    )
    rounded = Distiller(Rounded(make("classes", 2, 1)), make("classes", 2, 2), losses=losses_of("classes"))
    cached = cached_inputs(distilled("classes"), inputs_of("classes"))
    gradients = [
        step(lambda each=each: each, given, CLASS, 1, None, run_eagerly=True)[0]
        for each, given in ((rounded, inputs_of("classes")), (distilled("classes"), cached))
    ]
    apart = np.linalg.norm(gradients[0] - gradients[1]) / np.linalg.norm(gradients[0])
    results["cached"] = {"1 part": {"gradient": float(apart), "logs": 0.0}}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
