"""Tiny models of every family and task, their inputs and their LiteRT files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, QuestionAnswering, SequenceClassifier, TokenClassifier
from tinybert_tf.export.litert import convert
from tinybert_tf.models.heads.task_model import TaskModel

SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1},
    "distilbert": {"model_type": "distilbert", "type_vocab_size": 0},
    "electra": {"model_type": "electra", "embedding_size": 8},
    "fewer heads": {"num_attention_heads": 1, "head_dim": 8},  # as structured pruning leaves a BERT
}
HEADS: dict[str, Callable[[EncoderConfig], TaskModel]] = {
    "sequence_classification": lambda config: SequenceClassifier(config, num_labels=3, dtype="float32"),
    "regression": lambda config: SequenceClassifier(config, num_labels=1, dtype="float32"),
    "multi_label": lambda config: SequenceClassifier(
        config, num_labels=3, problem_type="multi_label_classification", dtype="float32"
    ),
    "token_classification": lambda config: TokenClassifier(config, num_labels=3, dtype="float32"),
    "question_answering": lambda config: QuestionAnswering(config, dtype="float32"),
}
# Every family, and every task of one: what is left out differs from these in nothing that an export sees.
MODELS = [(family, "sequence_classification") for family in FAMILIES] + [("bert", task) for task in list(HEADS)[1:]]


@pytest.fixture(scope="session")
def make_model() -> Callable[..., TaskModel]:
    """A model of a family for a task, with large random weights; the same one every time."""

    def make(family: str = "bert", task: str = "sequence_classification", **fields: Any) -> TaskModel:
        keras.utils.set_random_seed(3)
        model = HEADS[task](EncoderConfig(**{**SIZES, **FAMILIES[family], **fields}))
        generator = np.random.default_rng(3)
        for weight in model.weights:  # biases and LayerNorms too, which are new as 0 and 1
            weight.assign(np.asarray(weight) + 0.1 * generator.standard_normal(weight.shape))
        return model

    return make


@pytest.fixture(scope="session", params=MODELS, ids="-".join)
def any_model(request: pytest.FixtureRequest, make_model: Callable[..., TaskModel]) -> TaskModel:
    """One of `MODELS` after the other: the first of two layers, the others of one."""
    return make_model(*request.param, num_hidden_layers=2 if request.param == MODELS[0] else 1)


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., dict[str, np.ndarray]]:
    """Random rows of these lengths, padded to `seq_len`."""

    def make(lengths: list[int], seq_len: int, pad_token_id: int = 0) -> dict[str, np.ndarray]:
        mask = (np.arange(seq_len) < np.array(lengths)[:, None]).astype(np.int32)
        ids = np.random.default_rng(5).integers(2, 60, mask.shape).astype(np.int32)
        types = (np.arange(seq_len) >= 3).astype(np.int32) * mask
        return {"input_ids": np.where(mask, ids, pad_token_id), "attention_mask": mask, "token_type_ids": types}

    return make


@pytest.fixture(scope="session")
def keras_logits() -> Callable[..., np.ndarray]:
    """A model's own logits; where it has one type of tokens, all are of it."""

    def logits(model: TaskModel, inputs: dict[str, np.ndarray]) -> np.ndarray:
        types = inputs["token_type_ids"] * (model.config.type_vocab_size > 1)
        return np.asarray(model({**inputs, "token_type_ids": types}, training=False)["logits"])

    return logits


@pytest.fixture(scope="session")
def litert_content() -> Callable[[TaskModel], bytes]:
    """The LiteRT file of a model of `make_model`, for texts of 8 and 12 tokens; made once for all that are like it."""
    made: dict[Any, bytes] = {}

    def content(model: TaskModel) -> bytes:
        key = type(model), model.config, getattr(model, "num_labels", 0), getattr(model, "problem_type", None)
        if key not in made:
            made[key] = convert(model, [12, 8])
        return made[key]

    return content
