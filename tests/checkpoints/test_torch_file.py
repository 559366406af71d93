"""`pytorch_model.bin`: through a torch of its own process, and what is said where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tinybert_tf import InputError
from tinybert_tf.checkpoints.torch_file import TorchTensors

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(4, dtype=np.float32)

# What the conversion uses of torch; a "pickle" is an .npz here, and one that holds code is refused as torch does.
STAND_IN = """
import numpy

class Tensor:
    def __init__(self, value): self.value = value
    def is_floating_point(self): return self.value.dtype.kind == "f"
    def float(self): return Tensor(self.value.astype("float32"))
    def numpy(self): return self.value

def load(file, map_location, weights_only):
    assert map_location == "cpu" and weights_only is True
    with open(file, "rb") as opened:
        if opened.read(2) != b"PK":
            raise RuntimeError("Weights only load failed\\nUnsupported global: posix.system")
    with numpy.load(file) as arrays:
        return {name: Tensor(arrays[name]) for name in arrays}
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for a model; processes that are started find a torch that does what is needed."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torch.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def write(path: Path, **arrays: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def test_tensors_of_one_file(stand_in: Path) -> None:
    write(stand_in / "pytorch_model.bin", a=A.T, half=B.astype(np.float16), position_ids=np.arange(3))
    tensors = TorchTensors.open(stand_in)
    assert tensors.path == stand_in / "pytorch_model.bin"
    assert tensors.names() == ["a", "half"]
    assert tensors.shape("a") == (3, 2)
    np.testing.assert_array_equal(tensors.read("a"), A.T)
    np.testing.assert_array_equal(tensors.read("half"), B)
    assert sorted(path.name for path in stand_in.iterdir()) == ["pytorch_model.bin"]
    temporary = stand_in.parent / "temporary"
    assert len(list(temporary.iterdir())) == 1
    del tensors
    assert list(temporary.iterdir()) == []


def test_shards(stand_in: Path) -> None:
    write(stand_in / "pytorch_model-1.bin", a=A)
    write(stand_in / "pytorch_model-2.bin", b=B)
    index = stand_in / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}))
    tensors = TorchTensors.open(stand_in)
    assert tensors.names() == ["a", "b"]
    np.testing.assert_array_equal(tensors.read("b"), B)
    index.write_text(json.dumps({"weight_map": {"a": "../pytorch_model-1.bin"}}))
    with pytest.raises(
        InputError,
        match=r"index\.json: weight_map: a: expected the name of a file in the same dir",
    ):
        TorchTensors.open(stand_in)
    index.write_text("[]")
    with pytest.raises(InputError, match=r"index\.json: expected a JSON object, got \[\]"):
        TorchTensors.open(stand_in)


def test_what_torch_refuses_is_one_line(stand_in: Path) -> None:
    (stand_in / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n")
    with pytest.raises(InputError) as caught:
        TorchTensors.open(stand_in)
    path = stand_in / "pytorch_model.bin"
    assert list((stand_in.parent / "temporary").iterdir()) == []
    assert (
        str(caught.value) == f"{path}: torch cannot read it with weights_only=True (Unsupported global: posix.system)"
    )


@pytest.mark.parametrize("python_path", ["", f"{os.pathsep}"])
def test_a_module_beside_the_model_is_not_run(
    stand_in: Path, python_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty entry of `PYTHONPATH` stands for the current directory."""
    for name in ("torch", "numpy", "safetensors"):
        (stand_in / f"{name}.py").write_text(f"open({str(stand_in / 'was_run')!r}, 'w')")
    monkeypatch.setenv("PYTHONPATH", python_path + os.environ["PYTHONPATH"])
    write(stand_in / "pytorch_model.bin", a=A)
    monkeypatch.chdir(stand_in)
    np.testing.assert_array_equal(TorchTensors.open(Path()).read("a"), A)
    assert not (stand_in / "was_run").exists()


def test_a_tensor_that_is_not_finite_is_named_by_the_users_file(stand_in: Path) -> None:
    write(stand_in / "pytorch_model.bin", a=A, b=np.array([1, np.nan], np.float32))
    with pytest.raises(InputError, match=r"pytorch_model\.bin: tensor b: expected finite numbers, got 1 of 2"):
        TorchTensors.open(stand_in).read("b")


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "torch.py").write_text("raise ImportError")
    write(tmp_path / "pytorch_model.bin", a=A)
    with pytest.raises(InputError, match=r"pytorch_model\.bin: reading it takes torch, .* writes model\.safetensors$"):
        TorchTensors.open(tmp_path)


def test_a_real_torch(tmp_path: Path) -> None:
    python = os.environ.get("TINYBERT_TORCH_PYTHON")
    if python is None:
        pytest.skip("needs a Python with torch, numpy and safetensors: TINYBERT_TORCH_PYTHON is not set")
    path = tmp_path / "pytorch_model.bin"
    save = (
        f"import torch; torch.save({{'a': torch.arange(6.).reshape(2, 3).T, 'n': torch.ones(2).long()}}, {str(path)!r})"
    )
    subprocess.run([python, "-c", save], check=True)
    tensors = TorchTensors.open(tmp_path, python)
    assert tensors.names() == ["a"]
    np.testing.assert_array_equal(tensors.read("a"), A.T)
    code = f"import torch, os; torch.save({{'a': os.system}}, {str(path)!r})"
    subprocess.run([python, "-c", code], check=True)
    with pytest.raises(InputError, match=r"torch cannot read it with weights_only=True"):
        TorchTensors.open(tmp_path, python)
    assert "torch" not in sys.modules
