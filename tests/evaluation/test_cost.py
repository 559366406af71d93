"""Parameters counted from sizes and from models, and latency with a clock of our own."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier, TokenClassifier
from tinybert_tf.evaluation.cost import (
    WARM_UP_CALLS,
    count_nonzero,
    count_parameters,
    flops_per_token,
    gzipped_size,
    measure_calls,
    measure_latency,
    size_on_disk,
    task_model_parameters,
)

SIZES = dict(vocab_size=50, hidden_size=16, num_hidden_layers=3, intermediate_size=24, max_position_embeddings=40)


@pytest.mark.parametrize(("type_vocab_size", "num_labels"), [(2, 2), (1, 5)])
def test_parameters_equal_the_built_models(type_vocab_size: int, num_labels: int) -> None:
    sizes = {**SIZES, "type_vocab_size": type_vocab_size}
    model = SequenceClassifier(EncoderConfig(num_attention_heads=2, **sizes), num_labels=num_labels)
    assert task_model_parameters(**sizes, num_outputs=num_labels) == count_parameters(model) == model.count_params()


def test_parameters_of_a_head_for_tokens() -> None:
    model = TokenClassifier(EncoderConfig(num_attention_heads=2, **SIZES), num_labels=3)
    counted = task_model_parameters(**SIZES, type_vocab_size=2, num_outputs=3, has_pooler=False)
    assert counted == count_parameters(model)


@pytest.mark.parametrize("more", [{"model_type": "distilbert", "type_vocab_size": 0}, {"model_type": "roberta"}])
def test_parameters_of_relatives(more: dict[str, Any]) -> None:
    sizes = {**SIZES, "type_vocab_size": more.get("type_vocab_size", 2)}
    model = SequenceClassifier(EncoderConfig(num_attention_heads=2, **{**sizes, **more}), num_labels=3)
    assert task_model_parameters(**sizes, num_outputs=3) == model.count_params()


def test_parameters_with_embeddings_of_another_width() -> None:
    sizes = {**SIZES, "type_vocab_size": 2, "embedding_size": 12}
    model = SequenceClassifier(EncoderConfig(num_attention_heads=2, model_type="electra", **sizes), num_labels=3)
    assert task_model_parameters(**sizes, num_outputs=3) == model.count_params()


def test_parameters_of_bert_base() -> None:
    sizes = dict(vocab_size=30522, hidden_size=768, num_hidden_layers=12, intermediate_size=3072)
    counted = task_model_parameters(**sizes, max_position_embeddings=512, type_vocab_size=2, num_outputs=2)
    assert counted == 109_482_240 + 768 * 2 + 2  # the encoder with its pooler, as Hugging Face counts it, and the head


class Slow(keras.Model):
    """Sleeps `seconds` in each call, and says what it was called with."""

    def __init__(self, seconds: float, say: Callable[[Any], None]) -> None:
        super().__init__()
        self.seconds = seconds
        self.say = say

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Any]:
        import tensorflow as tf

        def sleep(ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
            self.say((self.name, ids.shape, int(mask.min()), int(types.max())))
            time.sleep(self.seconds)
            return np.float32(0)

        names = ("input_ids", "attention_mask", "token_type_ids")
        return {"logits": tf.numpy_function(sleep, [inputs[name] for name in names], tf.float32)}


def test_parameters_of_narrower_attention() -> None:
    config = EncoderConfig(num_attention_heads=3, head_dim=4, type_vocab_size=2, **SIZES)
    counted = count_parameters(SequenceClassifier(config, num_labels=5))
    assert counted == task_model_parameters(num_outputs=5, attention_size=12, type_vocab_size=2, **SIZES)


def test_zeros_are_counted_and_gzipped_away() -> None:
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100, bias_initializer="ones")])
    kernel = model.layers[0].kernel
    assert count_nonzero(model) == 100 * 100 + 100
    before = gzipped_size(model)
    assert 0.8 * 4 * 100 * 101 < before < 4 * 100 * 101  # random digits stay what they are
    kernel.assign(np.where(np.arange(100) < 75, 0, kernel.numpy()))
    assert count_nonzero(model) == 25 * 100 + 100
    assert gzipped_size(model) < 0.4 * before


def test_latency_is_the_median_of_calls_that_take_turns() -> None:
    calls: list[Any] = []
    models = {"fast": Slow(0.001, calls.append), "slow": Slow(0.02, calls.append)}
    latency = measure_latency(models, seq_len=7, batch_size=3, repeats=4)
    assert latency.keys() == models.keys()
    assert 1 <= latency["fast"] < latency["slow"]
    assert latency["slow"] >= 20  # milliseconds
    assert len(calls) == 2 * (WARM_UP_CALLS + 4)
    assert {call[1:] for call in calls} == {((3, 7), 1, 0)}  # all tokens are real
    assert [call[0] for call in calls[::2]] == [models["fast"].name] * (WARM_UP_CALLS + 4)


def test_latency_of_a_model() -> None:
    model = SequenceClassifier(EncoderConfig(num_attention_heads=2, type_vocab_size=2, **SIZES))
    assert measure_latency({"model": model}, seq_len=8, repeats=2)["model"] > 0


def test_parameters_that_are_not_zero() -> None:
    model = SequenceClassifier(EncoderConfig(num_attention_heads=2, type_vocab_size=2, **SIZES))
    zeros = sum(int((np.asarray(weight) == 0).sum()) for weight in model.weights)  # new biases
    assert count_nonzero(model) == count_parameters(model) - zeros
    model.classifier.bias.assign([0.5, 0.0])
    assert count_nonzero(model) == count_parameters(model) - zeros + 1


def test_flops_of_a_layer_by_hand() -> None:
    """h = 2, i = 3, n = 5: projections 4 * 2 * 2 * 2, feed-forward 2 * 2 * 2 * 3, scores and values 2 * 2 * 2 * 5."""
    sizes = {"hidden_size": 2, "num_hidden_layers": 1, "intermediate_size": 3, "seq_len": 5}
    assert flops_per_token(**sizes) == 32 + 24 + 40
    assert flops_per_token(**sizes, attention_size=1) == 16 + 24 + 20


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "model" / "inside").mkdir(parents=True)
    for name in ("model/a", "model/inside/b"):
        (tmp_path / name).write_bytes(b"\0" * 10_000)
    zipped = len(gzip.compress(b"\0" * 10_000, 6))
    assert size_on_disk(tmp_path / "model" / "a") == (10_000, zipped)
    assert size_on_disk(tmp_path / "model") == (20_000, 2 * zipped)


def test_calls_take_turns_until_time_is_up() -> None:
    said: list[str] = []
    calls = {"slow": lambda: (said.append("slow"), time.sleep(0.01)), "fast": lambda: said.append("fast")}
    found = measure_calls(calls, repeats=3)
    assert said == ["slow", "fast"] * (WARM_UP_CALLS + 3)
    assert 10 <= found["slow"]["p50"] <= found["slow"]["p95"]
    assert found["fast"]["p50"] < 5
    said.clear()
    measure_calls(calls, repeats=1000, seconds=0.0)
    assert said == ["slow", "fast"] * (WARM_UP_CALLS + 1)
