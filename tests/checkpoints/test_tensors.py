from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tinybert_tf.checkpoints.tensors import TensorFiles
from tinybert_tf.errors import InputError

A = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
B = np.arange(4, dtype=np.float32)


def _shards(directory: Path, weight_map: dict[str, str]) -> None:
    save_file({"a": A}, directory / "model-00001-of-00002.safetensors")
    save_file({"b": B}, directory / "model-00002-of-00002.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_a_single_file(tmp_path: Path) -> None:
    save_file({"b": B, "a": A}, tmp_path / "model.safetensors")
    tensors = TensorFiles.open(tmp_path)
    assert tensors.path == tmp_path / "model.safetensors"
    assert tensors.names() == ["a", "b"]
    assert "a" in tensors
    assert "c" not in tensors
    assert tensors.shape("a") == (2, 3)
    np.testing.assert_array_equal(tensors.read("a"), A)


def test_shards(tmp_path: Path) -> None:
    _shards(tmp_path, {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})
    tensors = TensorFiles.open(tmp_path)
    assert tensors.names() == ["a", "b"]
    assert tensors.shape("b") == (4,)
    np.testing.assert_array_equal(tensors.read("a"), A)
    np.testing.assert_array_equal(tensors.read("b"), B)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_every_float_becomes_float32(dtype: type, tmp_path: Path) -> None:
    save_file({"a": A.astype(dtype)}, tmp_path / "model.safetensors")
    value = TensorFiles.open(tmp_path).read("a")
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, A.astype(dtype).astype(np.float32))


def test_integers_are_no_weights(tmp_path: Path) -> None:
    save_file({"q": np.ones(3, np.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(
        InputError, match=r"model\.safetensors: tensor q holds I8, one of F64, F32, F16, BF16 is wanted"
    ):
        TensorFiles.open(tmp_path).read("q")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weights here, model\.safetensors \(or model\.safetensors\.index\.json"):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_truncated_file_is_named(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": A}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors: truncated or damaged") as caught:
        TensorFiles.open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_shard(tmp_path: Path) -> None:
    _shards(tmp_path, {"a": "model-00003-of-00003.safetensors"})
    with pytest.raises(InputError, match=r"index\.json: shard 'model-00003-of-00003.safetensors' is missing"):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/secret.safetensors", "..\\secret.safetensors"])
def test_a_shard_outside_the_directory(shard: str, tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    save_file({"a": A}, tmp_path / "secret.safetensors")
    _shards(inside, {"a": shard})
    with pytest.raises(InputError, match=r"is outside the directory"):
        TensorFiles.open(inside)


def test_a_tensor_that_its_shard_does_not_hold(tmp_path: Path) -> None:
    _shards(tmp_path, {"b": "model-00001-of-00002.safetensors"})
    with pytest.raises(InputError, match=r"tensor b is said to be in model-00001-of-00002\.safetensors"):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}', '"x"'])
def test_a_broken_index(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=r"index\.json: not a safetensors index"):
        TensorFiles.open(tmp_path)
