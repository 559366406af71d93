"""Files that are not what `tinybert export` writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinybert_tf import InputError
from tinybert_tf.export.litert_runner import LiteRTRunner
from tinybert_tf.export.quiet import quiet


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.tflite: no such file"):
        LiteRTRunner(tmp_path / "model.tflite")


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all", b"\x00" * 4096])
def test_no_litert_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.tflite: not a LiteRT file"):
        LiteRTRunner(path)


def test_somebody_elses_file(tmp_path: Path) -> None:
    import tensorflow as tf

    double = tf.function(lambda x: 2.0 * x, input_signature=[tf.TensorSpec((1, 2), tf.float32)])
    with quiet():
        content = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()]).convert()
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"has no signature length_<tokens>; `tinybert export` writes them"):
        LiteRTRunner(tmp_path / "model.tflite")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, litert_export: Path) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"pip install 'tinybert_tf\[litert\]'"):
        LiteRTRunner(litert_export / "model.tflite")


def test_a_damaged_file_is_not_run(litert_export: Path, tmp_path: Path, tinybert: Callable) -> None:
    content = (litert_export / "model.tflite").read_bytes()
    (tmp_path / "model.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a LiteRT file"):
        LiteRTRunner(tmp_path / "model.tflite")
