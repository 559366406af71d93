"""A tiny classifier and its batches for the tests of compression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier


@pytest.fixture
def make_model() -> Callable[..., SequenceClassifier]:
    """A tiny classifier without dropout; its weights are a function of `seed`."""

    def make(seed: int = 0, dtype: str = "float32", **sizes: Any) -> SequenceClassifier:
        given = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24, **sizes}
        given = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2, **given}
        keras.utils.set_random_seed(seed)
        return SequenceClassifier(EncoderConfig(vocab_size=50, **given), num_labels=3, dtype=dtype)

    return make


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    """24 rows of up to 7 random tokens."""
    lengths = np.arange(24) % 5 + 3
    mask = (np.arange(7) < lengths[:, None]).astype("int32")
    ids = np.random.default_rng(0).integers(1, 50, mask.shape).astype("int32")
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}


@pytest.fixture
def labels() -> np.ndarray:
    """A label of three for each row."""
    return (np.arange(24) % 3).astype("int32")
