"""Writing ONNX files, and running them with ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.export.quiet import quiet


def require_onnx() -> None:
    """Refuse if the libraries to write or run ONNX files are missing.

    Raises:
        InputError: `onnx`, or `onnxruntime`, is not installed.
    """
    for name in ("onnx", "onnxruntime"):
        _library(name)


def write_onnx(model: Any, path: Path) -> None:
    """Write a task model as an ONNX file, float32, for any batch and any length.

    Raises:
        InputError: `onnx`, or `onnxruntime` to verify the file, is not installed; or as `OnnxGraph`.
    """
    require_onnx()
    from tinybert_tf.export.onnx_graph import OnnxGraph

    path.write_bytes(OnnxGraph(model).model_proto().SerializeToString())


def quantize_onnx(path: Path) -> None:
    """Give an ONNX file 8-bit weights, tables included; activations are rounded at run time.

    Raises:
        InputError: `onnxruntime` is not installed.
    """
    _library("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as directory, quiet():
        smaller = Path(directory) / path.name
        # Unsigned, as sums of signed weights and unsigned activations saturate on CPUs without VNNI.
        quantize_dynamic(path, smaller, weight_type=QuantType.QUInt8, per_channel=True)
        path.write_bytes(smaller.read_bytes())


class OnnxRunner:
    """Runs an ONNX file of `tinybert export` with ONNX Runtime on the CPU.

    Args:
        path: the file.
        num_threads: number of threads; by default the number of cores.

    Raises:
        InputError: `onnxruntime` is not installed, or cannot run the file.
    """

    lengths = None

    def __init__(self, path: str | Path, num_threads: int | None = None) -> None:
        runtime = _library("onnxruntime")
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; expected an .onnx file of `tinybert export`")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads or 0
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has an exception class for each status code
            raise InputError(f"{path}: not an ONNX file that can be run ({str(error).splitlines()[0]})") from None
        self._names = [given.name for given in self._session.get_inputs()]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the logits of rows of any length."""
        given = {name: inputs[name] for name in self._names}
        return np.asarray(self._session.run([features.LOGITS], given)[0], np.float32)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{name} is not installed ({error}); pip install 'tinybert_tf[onnx]'") from None
