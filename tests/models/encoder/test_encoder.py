"""`TransformerEncoder`: what is in the dict, lengths and padding, precision, saving and loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tinybert_tf import EncoderConfig, InputError, TransformerEncoder

MakeConfig = Callable[..., EncoderConfig]
MakeInputs = Callable[..., dict[str, np.ndarray]]
EVERYTHING = {"output_hidden_states": True, "output_attention_scores": True, "output_queries_keys_values": True}


@pytest.fixture
def encoder(make_config: MakeConfig) -> TransformerEncoder:
    return TransformerEncoder(make_config())


def arrays(outputs: Any) -> Any:
    return keras.tree.map_structure(
        lambda tensor: keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), outputs
    )


def test_shapes(encoder: TransformerEncoder, make_inputs: MakeInputs) -> None:
    outputs = encoder(make_inputs([4, 3, 5]), **EVERYTHING)
    shapes = keras.tree.map_structure(lambda tensor: "x".join(map(str, tensor.shape)), outputs)
    assert shapes == {
        "last_hidden_state": "3x5x16",
        "pooled_output": "3x16",
        "hidden_states": {0: "3x5x16", 1: "3x5x16", 2: "3x5x16"},
        "attention_scores": {1: "3x2x5x5", 2: "3x2x5x5"},
        "queries": {1: "3x2x5x8", 2: "3x2x5x8"},
        "keys": {1: "3x2x5x8", 2: "3x2x5x8"},
        "values": {1: "3x2x5x8", 2: "3x2x5x8"},
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, {}),
        ({"output_hidden_states": False, "output_attention_scores": ()}, {}),
        ({"output_hidden_states": (0,)}, {"hidden_states": {0}}),
        ({"output_hidden_states": (2, 1, 2)}, {"hidden_states": {1, 2}}),
        ({"output_attention_scores": (1,)}, {"attention_scores": {1}}),
        ({"output_queries_keys_values": (2,)}, {"queries": {2}, "keys": {2}, "values": {2}}),
        ({"output_hidden_states": True, "output_attention_scores": True, "last_layer": 1},
         {"hidden_states": {0, 1}, "attention_scores": {1}}),
        ({"output_hidden_states": (0,), "last_layer": 0}, {"hidden_states": {0}}),
    ],
)  # fmt: skip
def test_only_what_is_asked_for(
    encoder: TransformerEncoder, make_inputs: MakeInputs, request_: dict[str, Any], expected: dict[str, set[int]]
) -> None:
    inputs = make_inputs([4, 3])
    outputs = encoder(inputs, **request_)
    above = set() if "last_layer" in request_ else {"last_hidden_state", "pooled_output"}
    assert set(outputs) == set(expected) | above
    everything = encoder(inputs, **EVERYTHING)
    for name, layers in expected.items():
        assert set(outputs[name]) == layers
        for layer in layers:
            np.testing.assert_allclose(outputs[name][layer], everything[name][layer], rtol=1e-5, atol=1e-6)


def test_the_last_hidden_state_is_the_last_layers(encoder: TransformerEncoder, make_inputs: MakeInputs) -> None:
    outputs = encoder(make_inputs([4]), output_hidden_states=True)
    np.testing.assert_array_equal(outputs["last_hidden_state"], outputs["hidden_states"][2])


def test_scores_are_of_queries_and_keys(encoder: TransformerEncoder, make_inputs: MakeInputs) -> None:
    outputs = arrays(encoder(make_inputs([4, 2]), **EVERYTHING))
    for layer in (1, 2):
        expected = np.einsum("bhid,bhjd->bhij", outputs["queries"][layer], outputs["keys"][layer]) / np.sqrt(8)
        np.testing.assert_allclose(outputs["attention_scores"][layer], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_hidden_states": (3,)}, "`output_hidden_states` asks for layer 3; this model has layers 0 to 2"),
        ({"output_attention_scores": (0,)}, "`output_attention_scores` asks for layer 0; this model has layers 1 to 2"),
        ({"output_queries_keys_values": (-1,)}, "`output_queries_keys_values` asks for layer -1"),
        ({"last_layer": 3}, "`last_layer` asks for layer 3"),
        ({"output_hidden_states": (2,), "last_layer": 1}, "asks for layer 2; this model has layers 0 to 1"),
    ],
)
def test_layers_that_are_not_there(
    encoder: TransformerEncoder, make_inputs: MakeInputs, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        encoder(make_inputs([2]), **arguments)


@pytest.mark.parametrize("seq_len", [1, 2, 11, 12])
def test_any_length(encoder: TransformerEncoder, make_inputs: MakeInputs, seq_len: int) -> None:
    outputs = arrays(encoder(make_inputs([seq_len, 1])))
    assert outputs["last_hidden_state"].shape == (2, seq_len, 16)
    assert np.isfinite(outputs["last_hidden_state"]).all()


def test_too_long(encoder: TransformerEncoder) -> None:
    ids = np.ones((1, 13), "int32")
    with pytest.raises(InputError, match="a sequence of 13 tokens; this model has max_position_embeddings=12"):
        encoder({"input_ids": ids, "attention_mask": ids})


@pytest.mark.parametrize("missing", ["input_ids", "attention_mask"])
def test_inputs_that_are_not_there(encoder: TransformerEncoder, make_inputs: MakeInputs, missing: str) -> None:
    inputs = make_inputs([2])
    del inputs[missing]
    found = ", ".join(sorted(inputs))
    with pytest.raises(InputError, match=f"the inputs have no `{missing}`; found: {found}"):
        encoder(inputs)


def test_without_token_types_all_are_zero(encoder: TransformerEncoder, make_inputs: MakeInputs) -> None:
    inputs = make_inputs([4, 3])
    typed = encoder(inputs)["last_hidden_state"]
    zeros = encoder({**inputs, "token_type_ids": np.zeros_like(inputs["input_ids"])})["last_hidden_state"]
    del inputs["token_type_ids"]
    np.testing.assert_array_equal(encoder(inputs)["last_hidden_state"], zeros)
    assert np.abs(np.asarray(typed) - np.asarray(zeros)).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_padding_changes_nothing(make_config: MakeConfig, make_inputs: MakeInputs, dtype: str) -> None:
    encoder = TransformerEncoder(make_config(), dtype=dtype)
    short, padded = make_inputs([4, 4]), make_inputs([4, 4], seq_len=9)
    padded["input_ids"] = np.where(padded["attention_mask"] == 1, padded["input_ids"], 17)  # any token
    padded["token_type_ids"][:, 4:] = 1
    alone, beside = arrays(encoder(short, **EVERYTHING)), arrays(encoder(padded, **EVERYTHING))
    tolerance = {"rtol": 0, "atol": 1e-5 if dtype == "float32" else 0.05}
    np.testing.assert_allclose(beside["pooled_output"], alone["pooled_output"], **tolerance)
    for layer in (0, 1, 2):
        real = beside["hidden_states"][layer][:, :4]
        np.testing.assert_allclose(real, alone["hidden_states"][layer], **tolerance)
    for layer in (1, 2):
        scores = beside["attention_scores"][layer]
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(scores[:, :, :4, :4], alone["attention_scores"][layer], **tolerance)


@pytest.mark.parametrize(
    ("dtype", "compute_dtype", "tolerance"), [("mixed_bfloat16", "bfloat16", 0.1), ("mixed_float16", "float16", 0.01)]
)
def test_mixed_precision_is_close(
    encoder: TransformerEncoder, make_inputs: MakeInputs, dtype: str, compute_dtype: str, tolerance: float
) -> None:
    mixed = TransformerEncoder.from_config({**encoder.get_config(), "dtype": dtype})
    mixed.set_weights(encoder.get_weights())
    inputs = make_inputs([5, 1, 12])
    expected, outputs = encoder(inputs, **EVERYTHING), mixed(inputs, **EVERYTHING)
    assert all(variable.dtype == "float32" for variable in mixed.weights)
    for tensor in keras.tree.flatten(outputs):
        assert keras.backend.standardize_dtype(tensor.dtype) == compute_dtype
    keras.tree.map_structure(
        lambda actual, wanted: np.testing.assert_allclose(
            actual, wanted, rtol=0, atol=tolerance * np.abs(wanted).max()
        ),
        arrays(outputs),
        arrays(expected),
    )


def test_large_float16_scores_with_padding_are_no_nan(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    keras.utils.set_random_seed(1)
    encoder = TransformerEncoder(make_config(initializer_range=3.0), dtype="mixed_float16")
    outputs = arrays(encoder(make_inputs([1, 12, 6]), **EVERYTHING))
    assert np.abs(outputs["attention_scores"][1]).max() > 200
    for tensor in keras.tree.flatten(outputs):
        assert np.isfinite(tensor).all()


def test_dropout_in_training_only(make_config: MakeConfig, make_inputs: MakeInputs) -> None:
    encoder = TransformerEncoder(make_config(hidden_dropout_prob=0.5))
    inputs = make_inputs([4])
    outputs = [
        np.asarray(encoder(inputs, training=training)["pooled_output"]) for training in (False, False, True, True)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.any(outputs[2] != outputs[0])
    assert np.any(outputs[3] != outputs[2])


@pytest.mark.parametrize("add_pooler", [True, False])
def test_save_and_load(make_config: MakeConfig, make_inputs: MakeInputs, tmp_path: Path, add_pooler: bool) -> None:
    encoder = TransformerEncoder(make_config(hidden_act="relu"), add_pooler=add_pooler)
    encoder.save_pretrained(tmp_path / "encoder")
    assert {file.name for file in (tmp_path / "encoder").iterdir()} == {"config.json", "model.safetensors"}
    loaded = TransformerEncoder.from_pretrained(tmp_path / "encoder")
    assert loaded.config == encoder.config
    assert (loaded.pooler is None) is (encoder.pooler is None) is (not add_pooler)
    assert loaded.load_report is not None
    assert (loaded.load_report.missing, loaded.load_report.unused) == ((), ())
    inputs = make_inputs([5, 2])
    keras.tree.map_structure(np.testing.assert_array_equal, arrays(loaded(inputs)), arrays(encoder(inputs)))


def test_get_config_round_trip(make_config: MakeConfig) -> None:
    encoder = TransformerEncoder(make_config(), add_pooler=False, dtype="mixed_bfloat16", name="mine")
    again = TransformerEncoder.from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()
    assert [variable.path for variable in again.weights] == [variable.path for variable in encoder.weights]
