"""What `save_pretrained` writes is what transformers' own classes have loaded (see tests/golden/load_saved.py)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from tinybert_tf.models.pretrained import PretrainedModel

Saved = tuple[Path, dict[str, np.ndarray], type[PretrainedModel]]

RELATIVES = [
    f"{family}_{task}" for family in ("roberta", "distilbert", "electra") for task in ("classifier", "masked_lm")
]
NAMES = [
    *("encoder", "classifier", "multi_label", "token_classifier", "question_answering", "masked_lm", "pretraining"),
    *RELATIVES,
    *("distilbert_encoder", "electra_encoder"),
]
# Of what transformers gives, what it is in our output dict.
OURS: dict[str, Callable[[Any], Any]] = {
    "last_hidden_state": lambda output: output["last_hidden_state"],
    "pooler_output": lambda output: output["pooled_output"],
    "logits": lambda output: output["logits"],
    "start_logits": lambda output: output["logits"][..., 0],
    "end_logits": lambda output: output["logits"][..., 1],
    "prediction_logits": lambda output: output["logits"],
    "seq_relationship_logits": lambda output: output["next_sentence_logits"],
}


@pytest.fixture(scope="module", params=NAMES)
def saved(
    request: pytest.FixtureRequest,
    golden: Callable[[str], dict[str, np.ndarray]],
    write_saved_script: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Saved:
    """The directory that the library writes, what torch saw in it, and the library's model class."""
    directory = tmp_path_factory.mktemp(request.param)
    write_saved_script["write_saved"](request.param, directory)
    _, model_class = write_saved_script["SAVED"][request.param]
    return directory, golden(f"saved_{request.param}"), model_class


def test_torch_loaded_everything(saved: Saved) -> None:
    report = json.loads(str(saved[1]["loading_info"]))
    assert report["missing_keys"] == report["unexpected_keys"] == report["mismatched_keys"] == []


def test_tensors_are_the_ones_torch_loaded(saved: Saved) -> None:
    directory, torch_saw, _ = saved
    tensors = {
        name: {
            "shape": list(values.shape),
            "dtype": str(values.dtype),
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        }
        for name, values in load_file(directory / "model.safetensors").items()
    }
    assert tensors == json.loads(str(torch_saw["tensors"]))


def test_file_is_marked_as_torch_tensors(saved: Saved) -> None:
    with safe_open(saved[0] / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_config_gives_the_same_class_and_labels(saved: Saved) -> None:
    directory, torch_saw, _ = saved
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    architecture = json.loads(str(torch_saw["architecture"]))
    assert config["architectures"] == [architecture]
    assert architecture.lower().startswith(config["model_type"])
    # A config without labels means LABEL_0 and LABEL_1 to transformers, whatever the model.
    labels = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    assert labels == json.loads(str(torch_saw["id2label"]))
    assert config.get("problem_type") == json.loads(str(torch_saw["problem_type"]))


def test_loaded_back_model_computes_what_torch_computes(saved: Saved) -> None:
    directory, torch_saw, model_class = saved
    inputs = {key.removeprefix("inputs/"): values for key, values in torch_saw.items() if key.startswith("inputs/")}
    output = model_class.from_pretrained(directory)(inputs, training=False)
    compared = {key.removeprefix("outputs/"): values for key, values in torch_saw.items() if key.startswith("outputs/")}
    assert compared
    for name, expected in compared.items():
        actual = keras.ops.convert_to_numpy(OURS[name](output))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
