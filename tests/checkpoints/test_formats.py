"""Which of a directory's files the weights are read from, and what is fetched of a Hub repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinybert_tf import InputError
from tinybert_tf.checkpoints import formats
from tinybert_tf.checkpoints.formats import open_tensors, resolve_model, weights_size
from tinybert_tf.checkpoints.tensorflow_files import TensorFlowTensors
from tinybert_tf.checkpoints.tensors import TensorFiles


def test_safetensors_come_first(golden: Callable[[str], dict[str, np.ndarray]], tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"never read")
    (tmp_path / "tf_model.h5").write_bytes(golden("tf_models")["classifier"].tobytes())
    tensors = open_tensors(tmp_path)
    assert isinstance(tensors, TensorFlowTensors)
    assert tensors.path == tmp_path / "tf_model.h5"
    assert weights_size(tmp_path) == (tmp_path / "tf_model.h5").stat().st_size
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "model.safetensors")
    assert isinstance(open_tensors(tmp_path), TensorFiles)
    assert weights_size(tmp_path) == (tmp_path / "model.safetensors").stat().st_size


def test_no_weights(tmp_path: Path) -> None:
    expected = r"expected one of model\.safetensors, .*tf_model\.h5, \*\.ckpt\*\.index, pytorch_model\.bin"
    with pytest.raises(InputError, match=f"no weights here; {expected}"):
        open_tensors(tmp_path)
    for name in ("weights.h5", "model.keras"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"model\.keras, weights\.h5 cannot be read; {expected}"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("has_safetensors", [True, False])
def test_other_formats_are_fetched_only_without_safetensors(
    has_safetensors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def resolve(name: str, allow_patterns: tuple[str, ...]) -> Path:
        fetched.extend(allow_patterns)
        return tmp_path

    monkeypatch.setattr(formats, "resolve_directory", resolve)
    if has_safetensors:
        save_file({"a": np.ones(2, np.float32)}, tmp_path / "model.safetensors")
    assert resolve_model("organisation/name") == tmp_path
    assert {"config.json", "*.safetensors", "*.safetensors.index.json"} <= set(fetched)
    for pattern in ("tf_model.h5", "*.ckpt*.index", "*.ckpt*.data-*", "pytorch_model*.bin", "bert_config.json"):
        assert (pattern in fetched) is not has_safetensors
