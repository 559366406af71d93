from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinybert_tf import InputError
from tinybert_tf.checkpoints.assign import LoadReport, assign_tensors, collect_tensors
from tinybert_tf.checkpoints.families import BERT
from tinybert_tf.checkpoints.hf_directory import write_directory
from tinybert_tf.checkpoints.name_tables import CLASSIFIER, MASKED_LM, POOLER
from tinybert_tf.checkpoints.tensors import TensorFiles

ENCODER = BERT.encoder_names(2)
HIDDEN, INTERMEDIATE, VOCAB = 4, 6, 11


class FakeVariable:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value = np.full(shape, np.nan, np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def untouched(self) -> bool:
        return bool(np.isnan(self.value).all())

    def assign(self, value: np.ndarray) -> None:
        assert value.shape == self.value.shape
        self.value = np.array(value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.value


def _shape(path: str) -> tuple[int, ...]:
    """Keras's shapes: kernels are (input, output)."""
    sizes = {
        "word_embeddings/embeddings": (VOCAB, HIDDEN),
        "position_embeddings/embeddings": (8, HIDDEN),
        "token_type_embeddings/embeddings": (2, HIDDEN),
        "attention/output/kernel": (HIDDEN, HIDDEN),
        "intermediate/kernel": (HIDDEN, INTERMEDIATE),
        "intermediate/bias": (INTERMEDIATE,),
        "output/kernel": (INTERMEDIATE, HIDDEN),
        "classifier/kernel": (HIDDEN, 3),
        "classifier/bias": (3,),
        "predictions/bias": (VOCAB,),
        "kernel": (HIDDEN, HIDDEN),
        "": (HIDDEN,),
    }
    return next(shape for ending, shape in sizes.items() if path.endswith(ending))


def _variables(table: tuple) -> dict[str, FakeVariable]:
    return {name.variable: FakeVariable(_shape(name.variable)) for name in table}


def _values(table: tuple, prefix: str = "") -> dict[str, np.ndarray]:
    """A file for the table: numbers that differ everywhere, in Hugging Face's orientation."""
    rng = np.random.default_rng(0)
    shapes = {
        (prefix if name.prefixed else "") + name.tensor: _shape(name.variable)[:: -1 if name.transposed else 1]
        for name in table
    }
    return {tensor: rng.normal(size=shape).astype(np.float32) for tensor, shape in shapes.items()}


def _open(directory: Path, values: Mapping[str, np.ndarray]) -> TensorFiles:
    save_file(dict(values), directory / "model.safetensors")
    return TensorFiles.open(directory)


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_with_and_without_prefix(prefix: str, tmp_path: Path) -> None:
    table = (*ENCODER, *POOLER, *CLASSIFIER)
    values, variables = _values(table, prefix), _variables(table)
    report = assign_tensors(variables, table, _open(tmp_path, values))
    assert report == LoadReport((), ())
    query = values[f"{prefix}encoder.layer.1.attention.self.query.weight"]
    np.testing.assert_array_equal(variables["layer_2/attention/query/kernel"].value, query.T)
    np.testing.assert_array_equal(variables["classifier/kernel"].value, values["classifier.weight"].T)
    words = values[f"{prefix}embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(variables["embeddings/word_embeddings/embeddings"].value, words)
    assert not any(variable.untouched for variable in variables.values())


def test_gamma_and_beta(tmp_path: Path) -> None:
    values = {
        tensor.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for tensor, value in _values(ENCODER, "bert.").items()
    }
    variables = _variables(ENCODER)
    assert assign_tensors(variables, ENCODER, _open(tmp_path, values)) == LoadReport((), ())
    gamma = values["bert.encoder.layer.0.output.LayerNorm.gamma"]
    np.testing.assert_array_equal(variables["layer_1/output_layer_norm/gamma"].value, gamma)


def test_the_masked_lm_bias_under_its_tied_name(tmp_path: Path) -> None:
    table = (*ENCODER, *MASKED_LM)
    values, variables = _values(table, "bert."), _variables(table)
    bias = values["cls.predictions.decoder.bias"] = values.pop("cls.predictions.bias")
    assert assign_tensors(variables, table, _open(tmp_path, values)) == LoadReport((), ())
    np.testing.assert_array_equal(variables["predictions/bias"].value, bias)


def test_what_is_optional_and_what_is_unused_is_reported(tmp_path: Path) -> None:
    table = (*ENCODER, *POOLER, *CLASSIFIER)
    values = _values((*ENCODER, *MASKED_LM), "bert.")
    values |= {
        "bert.embeddings.position_ids": np.arange(8)[None],
        "cls.predictions.decoder.weight": values["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": values["cls.predictions.bias"],
        "cls.seq_relationship.bias": np.ones(2, np.float32),
    }
    variables = _variables(table)
    report = assign_tensors(variables, table, _open(tmp_path, values))
    assert report.missing == ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")
    assert set(report.unused) == {name.tensor for name in MASKED_LM} | {"cls.seq_relationship.bias"}
    assert str(report).startswith(
        "newly initialised: pooler.dense.weight, pooler.dense.bias, classifier.weight, classifier.bias; not used: cls."
    )
    assert variables["classifier/kernel"].untouched


def test_a_long_report_is_cut() -> None:
    report = LoadReport((), tuple(f"t{number}" for number in range(10)))
    assert str(report) == "not used: t0, t1, t2, t3, t4, t5, t6, t7 and 2 more"
    assert str(LoadReport((), ())) == "every tensor was used"


def test_a_missing_required_tensor(tmp_path: Path) -> None:
    values, variables = _values(ENCODER), _variables(ENCODER)
    del values["encoder.layer.1.output.dense.bias"]
    with pytest.raises(
        InputError, match=r"model\.safetensors: expected encoder\.layer\.1\.output\.dense\.bias,.*the file has"
    ):
        assign_tensors(variables, ENCODER, _open(tmp_path, values))
    assert all(variable.untouched for variable in variables.values())


def test_another_architecture_shows_what_the_file_has(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected embeddings\.word_embeddings\.weight.* and 29 more,.*the file has h\.0"
    ):
        assign_tensors(_variables(ENCODER), ENCODER, _open(tmp_path, {"h.0": np.ones(2, np.float32)}))


@pytest.mark.parametrize(
    ("tensor", "shape", "message"),
    [
        (
            "embeddings.word_embeddings.weight",
            (VOCAB + 1, HIDDEN),
            r"has shape \(12, 4\); the model expects \(11, 4\) \(see vocab_size, hidden_size\)",
        ),
        (
            "encoder.layer.1.intermediate.dense.weight",
            (HIDDEN, INTERMEDIATE),  # Keras's orientation, wrong in a file
            r"has shape \(4, 6\); the model expects \(6, 4\) \(see intermediate_size, hidden_size\)",
        ),
        ("encoder.layer.1.attention.output.dense.weight", (5, 4), r"the model expects \(4, 4\) \(see hidden_size\)"),
        ("classifier.weight", (2, HIDDEN), r"expects \(3, 4\) \(see num_labels, hidden_size\)"),
    ],
)
def test_a_wrong_shape_assigns_nothing(tensor: str, shape: tuple[int, int], message: str, tmp_path: Path) -> None:
    table = (*ENCODER, *CLASSIFIER)
    values, variables = _values(table), _variables(table)
    values[tensor] = np.ones(shape, np.float32)
    with pytest.raises(InputError, match=f"model\\.safetensors: tensor {tensor} .*{message}$"):
        assign_tensors(variables, table, _open(tmp_path, values))
    assert all(variable.untouched for variable in variables.values())


def test_several_wrong_shapes_are_counted(tmp_path: Path) -> None:
    values = {tensor: np.ones(7, np.float32) for tensor in _values(POOLER)}
    with pytest.raises(InputError, match=r"pooler\.dense\.weight has shape .*, and 1 more tensors differ"):
        assign_tensors(_variables(POOLER), POOLER, _open(tmp_path, values))


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_round_trip_is_bit_equal(prefix: str, tmp_path: Path) -> None:
    table = (*ENCODER, *POOLER, *MASKED_LM)
    first, second = _variables(table), _variables(table)
    assign_tensors(first, table, _open(tmp_path, _values(table, prefix)))
    collected = collect_tensors(first, table, prefix)
    assert all(value.dtype == np.float32 and value.flags["C_CONTIGUOUS"] for value in collected.values())
    write_directory(tmp_path / "out", {}, collected)
    tensors = TensorFiles.open(tmp_path / "out")
    assert f"{prefix}pooler.dense.weight" in tensors
    assert "cls.predictions.bias" in tensors
    assert tensors.shape(f"{prefix}encoder.layer.0.intermediate.dense.weight") == (INTERMEDIATE, HIDDEN)
    assert assign_tensors(second, table, tensors) == LoadReport((), ())
    for path, variable in first.items():
        assert variable.value.tobytes() == second[path].value.tobytes()
