from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tinybert_tf import InputError
from tinybert_tf.checkpoints.replace_file import replace_file
from tinybert_tf.checkpoints.tensors import TensorFiles

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
    with pytest.raises(InputError, match=r"model\.safetensors: tensor q holds I8; expected one of F64, F32, F16, BF16"):
        TensorFiles.open(tmp_path).read("q")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no weights here; expected model\.safetensors, or model\.safetensors\.index\.json"
    ):
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
    with pytest.raises(InputError, match=r"weight_map: a: expected the name of a file in the same directory, got"):
        TensorFiles.open(inside)


def test_a_tensor_that_its_shard_does_not_hold(tmp_path: Path) -> None:
    _shards(tmp_path, {"b": "model-00001-of-00002.safetensors"})
    with pytest.raises(InputError, match=r"expected tensor b in model-00001-of-00002\.safetensors, which does not"):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", r"expected a JSON object, got \[\]"),
        ("{}", "expected `weight_map`, tensors and the files that hold them, got none"),
        ('{"weight_map": 3}', "weight_map: expected an object, got 3"),
        ('{"weight_map": {"a": 3}}', "weight_map: a: expected the name of a file in the same directory, got 3"),
    ],
)
def test_a_broken_index(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=rf"index\.json: {message}"):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(dtype: Any, value: float, tmp_path: Path) -> None:
    save_file({"good": A, "bad": np.array([0, value, value], dtype)}, tmp_path / "model.safetensors")
    tensors = TensorFiles.open(tmp_path)
    np.testing.assert_array_equal(tensors.read("good"), A)
    message = r"model\.safetensors: tensor bad: expected finite numbers, got 2 of 3 that are NaN or infinite"
    with pytest.raises(InputError, match=message):
        tensors.read("bad")


def test_numbers_too_large_for_float32(tmp_path: Path) -> None:
    save_file({"a": np.array([1e300])}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="tensor a: expected finite numbers, got 1 of 1"):
        TensorFiles.open(tmp_path).read("a")


def test_the_shard_with_a_number_that_is_not_finite(tmp_path: Path) -> None:
    save_file({"a": np.array([np.nan], np.float32)}, tmp_path / "model-00001-of-00002.safetensors")
    _shards(tmp_path, {"a": "model-00001-of-00002.safetensors"})
    save_file({"a": np.array([np.nan], np.float32)}, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(InputError, match=r"model-00001-of-00002\.safetensors: tensor a: expected finite numbers"):
        TensorFiles.open(tmp_path).read("a")


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path) -> None:
    """All tensors are of the file that was opened."""
    save_file({"a": A, "b": B}, tmp_path / "model.safetensors")
    tensors = TensorFiles.open(tmp_path)
    np.testing.assert_array_equal(tensors.read("a"), A)
    replace_file(tmp_path / "model.safetensors", lambda path: save_file({"a": A + 1, "b": B + 1}, path))
    np.testing.assert_array_equal(tensors.read("b"), B)
    np.testing.assert_array_equal(TensorFiles.open(tmp_path).read("b"), B + 1)


@pytest.mark.parametrize("replacements", [1, 3])
def test_a_file_that_is_replaced_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replacements: int
) -> None:
    save_file({"a": A}, tmp_path / "model.safetensors")
    left = list(range(replacements))

    def opened(path: Path, framework: str) -> Any:
        if left:
            value = A + 10 - left.pop()
            replace_file(path, lambda new: save_file({"a": value}, new))
        return safe_open(path, framework=framework)

    monkeypatch.setattr("tinybert_tf.checkpoints.tensors.safe_open", opened)
    np.testing.assert_array_equal(TensorFiles.open(tmp_path).read("a"), A + 10)
