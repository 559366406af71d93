"""A real pretrained BERT (MiniLM, 6 layers) on real sentences: every layer equals Hugging Face's, padding included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import TransformerEncoder

# Among real tokens both agree to a few 1e-6 (hidden states) and 1e-5 (scores, which reach 30). Padding rows are
# computed too, but mean nothing to the model: there torch in float32 is up to 9e-5 away from torch in float64.
HIDDEN_TOLERANCE = 1e-5
SCORE_TOLERANCE = 1e-4
PADDING_TOLERANCE = 2.5e-4


@pytest.fixture(scope="module")
def expected(golden: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return golden("minilm")


@pytest.fixture(scope="module")
def output(expected: dict[str, np.ndarray], minilm_dir: Path) -> dict[str, Any]:
    encoder = TransformerEncoder.from_pretrained(minilm_dir)
    inputs = {name: expected[f"inputs/{name}"] for name in ("input_ids", "attention_mask")}
    return encoder(inputs, training=False, output_hidden_states=True, output_attention_scores=True)


def assert_close(actual: Any, expected: np.ndarray, real: np.ndarray, tolerance: float) -> None:
    """`real` marks what belongs to real tokens only; it has the arrays' first axes."""
    difference = np.abs(keras.ops.convert_to_numpy(actual) - expected)
    assert difference[real].max() <= tolerance
    assert difference[~real].max() <= PADDING_TOLERANCE


@pytest.mark.parametrize("layer", range(7))
def test_hidden_states(expected: dict[str, np.ndarray], output: dict[str, Any], layer: int) -> None:
    real = expected["inputs/attention_mask"].astype(bool)
    assert_close(output["hidden_states"][layer], expected[f"hidden_states/{layer}"], real, HIDDEN_TOLERANCE)


@pytest.mark.parametrize("layer", range(1, 7))
def test_attention_scores(expected: dict[str, np.ndarray], output: dict[str, Any], layer: int) -> None:
    scores = expected[f"attention_scores/{layer}"]
    mask = expected["inputs/attention_mask"].astype(bool)
    real = np.broadcast_to(mask[:, None, :, None] & mask[:, None, None, :], scores.shape)
    assert_close(output["attention_scores"][layer], scores, real, SCORE_TOLERANCE)


def test_final_outputs(expected: dict[str, np.ndarray], output: dict[str, Any]) -> None:
    pooled = keras.ops.convert_to_numpy(output["pooled_output"])
    np.testing.assert_allclose(pooled, expected["pooled_output"], rtol=0, atol=HIDDEN_TOLERANCE)
    last = keras.ops.convert_to_numpy(output["last_hidden_state"])
    np.testing.assert_array_equal(last, keras.ops.convert_to_numpy(output["hidden_states"][6]))
