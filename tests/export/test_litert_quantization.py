"""Smaller numbers: which ones, how much smaller, and what is left of the answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import EncoderConfig, SequenceClassifier
from tinybert_tf.export.formats import FORMATS
from tinybert_tf.export.litert import convert, operations
from tinybert_tf.export.litert_quantization import SCHEMES, quantize
from tinybert_tf.export.litert_runner import LiteRTRunner
from tinybert_tf.models.heads.task_model import TaskModel

Inputs = Callable[..., dict[str, np.ndarray]]
LENGTHS = [8, 12]
# Bytes of a weight, and a bound of what logits of random weights, about 1, differ by: above what was seen, below noise.
EXPECTED = {
    "dynamic_int8": (1, 0.1),
    "weight_int8": (1, 0.1),
    "float16": (2, 0.005),
    "full_int8": (1, 2.0),
    "dynamic_int4": (0.5, 2.5),
    "weight_int4": (0.5, 2.5),
}


@pytest.fixture(scope="module")
def model(make_model: Callable[..., TaskModel]) -> TaskModel:
    return make_model(vocab_size=3000, hidden_size=64, intermediate_size=128)


@pytest.fixture(scope="module")
def float32(model: TaskModel) -> bytes:
    return convert(model, LENGTHS)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sizes_and_answers(
    scheme: str,
    model: TaskModel,
    float32: bytes,
    make_inputs: Inputs,
    keras_logits: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    """Tables are quantized as products are: they are most of these weights."""
    rows = {length: make_inputs([length, 4, 6, 3, 8, 5], length) for length in LENGTHS}
    calibration = {
        length: [{name: values[row : row + 1] for name, values in inputs.items()} for row in range(6)]
        for length, inputs in rows.items()
    }
    content = quantize(float32, scheme, calibration)
    (tmp_path / "model.tflite").write_bytes(content)
    runner = LiteRTRunner(tmp_path / "model.tflite")
    num_bytes, tolerance = EXPECTED[scheme]
    weights = model.count_params()
    # Scales of the tables' rows are 12 bytes each; graphs and positions are the rest.
    assert len(content) < num_bytes * weights + 12 * 3000 + 160_000
    for length in LENGTHS:
        difference = np.abs(runner(rows[length]) - keras_logits(model, rows[length]))
        assert 0 < difference.max() < tolerance
    found = operations(content)
    assert found["EMBEDDING_LOOKUP"] == 4
    assert ("QUANTIZE" in found) == (scheme == "full_int8")


def test_the_format_offers_the_schemes_there_are() -> None:
    assert set(FORMATS["litert"].quantizations) == SCHEMES.keys()
    assert set(FORMATS["litert"].calibrated) == {name for name, scheme in SCHEMES.items() if scheme.is_calibrated}


@pytest.mark.slow
def test_the_sizes_of_a_tinybert() -> None:
    """14.4 million weights: at most 15 MB in int8, and 9 MB in int4."""
    model = SequenceClassifier(EncoderConfig.from_preset("tinybert-4l-312d"), num_labels=2, dtype="float32")
    content = convert(model, [128])
    assert len(content) > 56e6
    assert len(quantize(content, "dynamic_int8", {})) <= 15e6
    assert len(quantize(content, "dynamic_int4", {})) <= 9e6
    assert len(quantize(content, "weight_int4", {})) <= 9e6
