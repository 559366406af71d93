"""The formats of `tinybert export`: how a model is written in each, and how it is run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError, VerificationError
from tinybert_tf.export.rows import Runner

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Wish:
    """What is to be written: a scheme of quantization, or None; for fixed lengths these, and inputs of each of them."""

    quantize: str | None = None
    lengths: tuple[int, ...] = ()
    calibration: Mapping[int, Iterable[Inputs]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """One format.

    `file`: what a model in it is called, a file or a directory; `.` is the directory of the export itself.
    `require`: refuses where something that it takes is not installed. `quantizations`: the schemes that there are, and
    of these the `calibrated`. `has_lengths`: whether it is written for fixed lengths; `has_threads`: whether a runner
    can be told how many. `writes_quantized`: whether a model of `quantize_aware` can be written.
    """

    file: str
    write: Callable[[Any, Path, Wish], None]
    open: Callable[[Path, int | None], Runner]
    require: Callable[[], None] = lambda: None
    quantizations: tuple[str, ...] = ()
    calibrated: tuple[str, ...] = ()
    has_lengths: bool = False
    has_threads: bool = False
    writes_quantized: bool = False


def _require_litert() -> None:
    from tinybert_tf.export.litert_quantization import require_litert

    require_litert()


def _write_litert(model: Any, path: Path, wish: Wish) -> None:
    from tinybert_tf.export.litert import convert, custom_operations
    from tinybert_tf.export.litert_quantization import quantize, quantize_tables

    content = convert(model, wish.lengths)
    custom = custom_operations(content)
    if custom:
        raise VerificationError(f"not exported: {', '.join(custom)} are not among LiteRT's own operations")
    if model.is_quantized:
        content = quantize_tables(content)
    elif wish.quantize is not None:
        content = quantize(content, wish.quantize, wish.calibration)
    path.write_bytes(content)


def _open_litert(path: Path, num_threads: int | None) -> Runner:
    from tinybert_tf.export.litert_runner import LiteRTRunner

    return LiteRTRunner(path, num_threads)


def _write_saved_model(model: Any, path: Path, wish: Wish) -> None:
    from tinybert_tf.export.saved_model import write_saved_model

    write_saved_model(model, path)


def _open_saved_model(path: Path, num_threads: int | None) -> Runner:
    from tinybert_tf.export.saved_model import SavedModelRunner

    return SavedModelRunner(path)


def _require_onnx() -> None:
    from tinybert_tf.export.onnx import require_onnx

    require_onnx()


def _write_onnx(model: Any, path: Path, wish: Wish) -> None:
    from tinybert_tf.export.onnx import quantize_onnx, write_onnx

    write_onnx(model, path)
    if wish.quantize is not None:
        quantize_onnx(path)


def _open_onnx(path: Path, num_threads: int | None) -> Runner:
    from tinybert_tf.export.onnx import OnnxRunner

    return OnnxRunner(path, num_threads)


def _write_hf(model: Any, path: Path, wish: Wish) -> None:
    model.save_pretrained(path)


def _open_hf(path: Path, num_threads: int | None) -> Runner:
    from tinybert_tf.export.keras_runner import KerasRunner
    from tinybert_tf.models.heads.tasks import load_teaching, task_of

    return KerasRunner(load_teaching(path, task_of(path)))


FORMATS = {
    "litert": Format(
        "model.tflite",
        _write_litert,
        _open_litert,
        _require_litert,
        quantizations=("dynamic_int8", "dynamic_int4", "weight_int8", "weight_int4", "full_int8", "float16"),
        calibrated=("full_int8",),
        has_lengths=True,
        has_threads=True,
        writes_quantized=True,
    ),
    "saved_model": Format("saved_model", _write_saved_model, _open_saved_model),
    "onnx": Format(
        "model.onnx", _write_onnx, _open_onnx, _require_onnx, quantizations=("dynamic_int8",), has_threads=True
    ),
    "hf": Format(".", _write_hf, _open_hf, writes_quantized=True),
}


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: there is none.
    """
    if name not in FORMATS:
        raise InputError(f"format {name!r} is not known; one of {', '.join(FORMATS)} is.")
    return FORMATS[name]
