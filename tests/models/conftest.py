"""Tiny configs and inputs for the tests of models, and a global Keras policy that is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig


@pytest.fixture
def make_config() -> Callable[..., EncoderConfig]:
    """A tiny config with large weights, so that no two layers or tokens look alike."""

    def make(**fields: Any) -> EncoderConfig:
        sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        rest = {"intermediate_size": 24, "max_position_embeddings": 12, "initializer_range": 0.2}
        return EncoderConfig(**{**sizes, **rest, **fields})

    return make


@pytest.fixture
def make_inputs() -> Callable[..., dict[str, np.ndarray]]:
    """Random token ids and types of the given lengths, padded to the longest, or to `seq_len`."""

    def make(lengths: list[int], seq_len: int | None = None) -> dict[str, np.ndarray]:
        mask = (np.arange(seq_len or max(lengths)) < np.array(lengths)[:, None]).astype("int32")
        generator = np.random.default_rng(0)
        rows = [generator.integers(1, 50, 12) for _ in lengths]
        ids = np.stack(rows).astype("int32")[:, : mask.shape[1]]
        types = (np.arange(mask.shape[1]) >= 2).astype("int32") * mask
        return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}

    return make


@pytest.fixture
def global_policy() -> Iterator[Callable[[str], None]]:
    """Sets the global Keras dtype policy for one test."""
    policy = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(policy)
