"""`prune_structure`: what does nothing goes without a trace, the ranking says what stays, what is saved loads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, SequenceClassifier, prune_structure, set_fast_layers
from tinybert_tf.compression.structured_pruning import pruned_config

MakeModel = Callable[..., Any]
Arrays = dict[str, np.ndarray]
HEAD_SIZE = 4  # 16 wide, 4 heads


def logits(model: Any, inputs: Arrays) -> np.ndarray:
    return np.asarray(model(inputs, training=False)["logits"])


def silence(model: Any, heads: list[int], units: list[int]) -> None:
    """Take the outgoing weights of heads and units of every layer."""
    weights = model.variables_by_name()
    for layer in range(1, model.num_hidden_layers + 1):
        attention, feed_forward = (
            weights[f"layer_{layer}/attention/output/kernel"],
            weights[f"layer_{layer}/output/kernel"],
        )
        value = attention.numpy()
        for head in heads:
            value[head * HEAD_SIZE : (head + 1) * HEAD_SIZE] = 0
        attention.assign(value)
        value = feed_forward.numpy()
        value[units] = 0
        feed_forward.assign(value)


@pytest.mark.parametrize("is_fast", [True, False])
def test_what_contributes_nothing_goes_without_a_trace(is_fast: bool, make_model: MakeModel, inputs: Arrays) -> None:
    model = make_model()
    silence(model, heads=[1], units=[0, 5, 23])
    before = set_fast_layers(is_fast)
    try:
        pruned = prune_structure(model, [inputs], num_attention_heads=3, intermediate_size=21)
        np.testing.assert_allclose(logits(pruned, inputs), logits(model, inputs), rtol=0, atol=2e-5)
    finally:
        set_fast_layers(before)
    assert (pruned.config.num_attention_heads, pruned.config.head_size, pruned.config.intermediate_size) == (3, 4, 21)
    shapes = {name: tuple(variable.shape) for name, variable in pruned.variables_by_name().items()}
    assert shapes["layer_2/attention/query/kernel"] == (16, 12)
    assert shapes["layer_2/attention/output/kernel"] == (12, 16)
    assert shapes["layer_2/intermediate/kernel"] == (16, 21)
    assert shapes["layer_2/output/kernel"] == (21, 16)


def test_the_smallest_goes(make_model: MakeModel, inputs: Arrays) -> None:
    model = make_model()
    weights = model.variables_by_name()
    for layer in (1, 2):
        output = weights[f"layer_{layer}/output/kernel"]
        output.assign(output.numpy() * np.where(np.arange(24) % 2, 1.0, 1e-4)[:, None])
        output = weights[f"layer_{layer}/attention/output/kernel"]
        output.assign(output.numpy() * np.where(np.arange(16) < 8, 1.0, 1e-4)[:, None])
    pruned = prune_structure(model, [inputs], num_attention_heads=2, intermediate_size=12, ridge=1e6)
    kept = pruned.variables_by_name()
    for layer in (1, 2):
        # With such a ridge the fit leaves the model's own weights alone.
        for name, chosen in (("intermediate", slice(1, None, 2)), ("attention/query", slice(0, 8))):
            theirs = weights[f"layer_{layer}/{name}/kernel"].numpy()[:, chosen]
            np.testing.assert_allclose(kept[f"layer_{layer}/{name}/kernel"].numpy(), theirs, rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits(pruned, inputs), logits(model, inputs), rtol=0, atol=1e-2)


@pytest.mark.parametrize("sizes", [{"num_attention_heads": 3}, {"intermediate_size": 10}])
def test_saved_directory_loads(sizes: dict[str, int], make_model: MakeModel, inputs: Arrays, tmp_path: Path) -> None:
    pruned = prune_structure(make_model(), [inputs], **sizes)
    pruned.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    # transformers has a word for units, and none for the width of a head.
    assert values.get("head_dim") == (4 if "num_attention_heads" in sizes else None)
    assert {name: values[name] for name in sizes} == sizes
    loaded = SequenceClassifier.from_pretrained(tmp_path)
    assert loaded.config == pruned.config
    np.testing.assert_array_equal(logits(loaded, inputs), logits(pruned, inputs))


def test_an_encoder_and_a_precision(make_model: MakeModel, inputs: Arrays) -> None:
    encoder = make_model(dtype="mixed_bfloat16").encoder
    pruned = prune_structure(encoder, [inputs], intermediate_size=10)
    assert type(pruned) is type(encoder)
    assert pruned.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads: expected 1 to the model's 4, got 5"),
        ({"intermediate_size": 0}, "intermediate_size: expected 1 to the model's 24, got 0"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes: dict[str, int], message: str, make_model: MakeModel) -> None:
    with pytest.raises(InputError, match=message):
        pruned_config(make_model().config, **sizes)


LOAD = """
import sys
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
with np.load(sys.argv[2]) as inputs, torch.no_grad():
    batch = {name: torch.from_numpy(inputs[name]).long() for name in inputs}
    np.save(sys.argv[3], model.eval()(**batch).logits.numpy())
"""


def test_transformers_loads_fewer_units_and_refuses_fewer_heads(
    make_model: MakeModel, inputs: Arrays, tmp_path: Path
) -> None:
    python = os.environ.get("TINYBERT_TORCH_PYTHON")
    if python is None:
        pytest.skip("needs a Python with torch and transformers: TINYBERT_TORCH_PYTHON is not set")
    np.savez(tmp_path / "inputs.npz", **inputs)

    def load(pruned: Any, name: str) -> subprocess.CompletedProcess[str]:
        pruned.save_pretrained(tmp_path / name)
        files = [tmp_path / name, tmp_path / "inputs.npz", tmp_path / f"{name}.npy"]
        return subprocess.run([python, "-c", LOAD, *map(str, files)], capture_output=True, text=True)

    units = prune_structure(make_model(), [inputs], intermediate_size=10)
    assert load(units, "units").returncode == 0
    np.testing.assert_allclose(np.load(tmp_path / "units.npy"), logits(units, inputs), rtol=0, atol=1e-5)
    heads = load(prune_structure(make_model(), [inputs], num_attention_heads=2), "heads")
    assert heads.returncode != 0
    assert "size mismatch" in heads.stderr + heads.stdout
