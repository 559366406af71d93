"""Tiny models and batches for the tests of distillation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier

VOCAB_SIZE = 50


@pytest.fixture
def make_model() -> Callable[..., SequenceClassifier]:
    """A tiny classifier without dropout, as large as the arguments say; its weights are a function of `seed`."""

    def make(seed: int = 0, dtype: str | None = None, **sizes: Any) -> SequenceClassifier:
        given = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, **sizes}
        given = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2, **given}
        keras.utils.set_random_seed(seed)
        return SequenceClassifier(EncoderConfig(vocab_size=VOCAB_SIZE, **given), num_labels=3, dtype=dtype)

    return make


@pytest.fixture
def make_inputs() -> Callable[..., dict[str, np.ndarray]]:
    """Random token ids of the given lengths, padded to the longest, or to `seq_len`."""

    def make(lengths: list[int], seq_len: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
        mask = (np.arange(seq_len or max(lengths)) < np.array(lengths)[:, None]).astype("int32")
        ids = np.random.default_rng(seed).integers(1, VOCAB_SIZE, mask.shape).astype("int32")
        return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}

    return make
