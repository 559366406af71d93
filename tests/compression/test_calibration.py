"""Ranges are those of real tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, quantize_aware
from tinybert_tf.compression.calibration import without_padding

Inputs = dict[str, np.ndarray]


def measured(model: Any, batches: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ranges and limits, by their places."""
    found = quantize_aware(model, batches, num_texts=100).fake_quantizer
    return found.ranges, found.limits


def split(inputs: Inputs, size: int) -> list[Inputs]:
    rows = len(inputs["input_ids"])
    return [{name: each[start : start + size] for name, each in inputs.items()} for start in range(0, rows, size)]


def test_padding_does_not_widen_ranges(make_model: Callable[..., Any], inputs: Inputs) -> None:
    """However far a text is padded, and whatever padding is made of."""
    model = make_model()
    # What padding is made of is far outside of everything else.
    model.encoder.embeddings.word_embeddings.embeddings.assign(
        np.concatenate(
            [np.full((1, 16), 100.0) * np.arange(16), model.encoder.embeddings.word_embeddings.embeddings[1:]]
        )
    )
    wider = {name: np.pad(each, ((0, 0), (0, 5))) for name, each in inputs.items()}
    single = [{name: each[:, : row["attention_mask"].sum()] for name, each in row.items()} for row in split(inputs, 1)]
    expected = measured(model, single)
    for batches in (split(inputs, 8), split(wider, 8), [(inputs, np.zeros(24))]):
        found = measured(model, batches)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.keys() == theirs.keys()
            for place in ours:
                np.testing.assert_allclose(ours[place], theirs[place], rtol=1e-4, atol=1e-5, err_msg=place)


def test_ranges_are_the_outermost_values(make_model: Callable[..., Any], inputs: Inputs) -> None:
    model = make_model()
    ranges, limits = measured(model, [inputs])
    layers = [f"layer_{number}" for number in (1, 2)]
    assert set(ranges) == {
        *(f"{layer}/attention/{name}/input" for layer in layers for name in ("query", "key", "value", "output")),
        *(
            f"{layer}/{name}"
            for layer in layers
            for name in ("intermediate/input", "intermediate/output", "output/input")
        ),
        "pooler/input",
        "pooler/output",
    }
    assert set(limits) == {
        *(f"{layer}/attention/{name}/output" for layer in layers for name in ("query", "key", "value", "output")),
        *(f"{layer}/output/output" for layer in layers),
    }
    assert all(low <= 0 <= high for low, high in ranges.values())
    hidden = np.asarray(model(inputs, output_hidden_states=(0,))["hidden_states"][0])[inputs["attention_mask"] > 0]
    # Tables are rounded meanwhile, a little.
    np.testing.assert_allclose(ranges["layer_1/attention/key/input"], [hidden.min(), hidden.max()], rtol=0.02)
    assert len(limits["layer_1/attention/key/output"]) == 16


def test_texts_are_regrouped(inputs: Inputs) -> None:
    groups = list(without_padding(split(inputs, 5), 24))
    assert sorted(group["input_ids"].shape[1] for group in groups) == [3, 4, 5, 6, 7]
    assert sum(len(group["input_ids"]) for group in groups) == 24
    assert all(group["attention_mask"].all() for group in groups)
    assert sum(len(group["input_ids"]) for group in without_padding(split(inputs, 5), 7)) == 7


def test_no_texts(make_model: Callable[..., Any], inputs: Inputs) -> None:
    for batches, number in (([], 100), ([inputs], 0)):
        with pytest.raises(InputError, match="calibration: no texts"):
            quantize_aware(make_model(), batches, num_texts=number)


def test_numbers_that_are_none(make_model: Callable[..., Any], inputs: Inputs) -> None:
    model = make_model()
    model.encoder.pooler.bias.assign(np.full(16, np.nan))
    with pytest.raises(InputError, match=r"expected finite numbers in .*pooler/output, got others"):
        quantize_aware(model, [inputs])
    assert not model.is_quantized
