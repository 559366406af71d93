"""ONNX files compute what their models do, in the operations that ONNX Runtime has kernels for."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tinybert_tf import InputError
from tinybert_tf.export.onnx import OnnxRunner, quantize_onnx, write_onnx
from tinybert_tf.models.config import HIDDEN_ACTIVATIONS
from tinybert_tf.models.heads.task_model import TaskModel

Inputs = Callable[..., dict[str, np.ndarray]]
Logits = Callable[..., np.ndarray]


def test_logits_of_every_family_and_task(
    any_model: TaskModel, make_inputs: Inputs, keras_logits: Logits, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(any_model, path)
    runner = OnnxRunner(path)
    for length in (4, 9):
        inputs = make_inputs([length, 3, 4], length, any_model.config.pad_token_id)
        expected = keras_logits(any_model, inputs)
        real = inputs["attention_mask"].astype(bool) if expected.ndim == 3 else slice(None)
        np.testing.assert_allclose(runner(inputs)[real], expected[real], rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_every_activation(
    activation: str,
    make_model: Callable[..., TaskModel],
    make_inputs: Inputs,
    keras_logits: Logits,
    tmp_path: Path,
) -> None:
    model = make_model(hidden_act=activation)
    write_onnx(model, tmp_path / "model.onnx")
    inputs = make_inputs([6, 3], 6)
    found = OnnxRunner(tmp_path / "model.onnx", num_threads=1)(inputs)
    np.testing.assert_allclose(found, keras_logits(model, inputs), rtol=0, atol=1e-5)


def test_operations(make_model: Callable[..., TaskModel], tmp_path: Path) -> None:
    write_onnx(make_model(), tmp_path / "model.onnx")
    found = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert (found["LayerNormalization"], found["Gelu"], found["MatMul"]) == (5, 2, 2 * 8 + 2)
    assert "Erf" not in found


def test_int8(make_model: Callable[..., TaskModel], make_inputs: Inputs, keras_logits: Logits, tmp_path: Path) -> None:
    model, path = make_model(vocab_size=5000), tmp_path / "model.onnx"
    write_onnx(model, path)
    size = path.stat().st_size
    quantize_onnx(path)
    assert path.stat().st_size < size / 3  # tables too, which are most of it
    inputs = make_inputs([8, 5, 3], 8)
    difference = np.abs(OnnxRunner(path)(inputs) - keras_logits(model, inputs)).max()
    assert 0 < difference < 0.3


def test_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        OnnxRunner(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an ONNX file that can be run"):
        OnnxRunner(tmp_path / "model.onnx")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, make_model: Callable, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx is not installed .*pip install 'tinybert_tf\[onnx\]'"):
        write_onnx(make_model(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
