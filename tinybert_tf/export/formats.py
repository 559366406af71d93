"""The formats of `tinybert export`: writing a model in each of them, and running it again."""

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
    """The options of an export: a quantization scheme or None, the fixed lengths, and calibration inputs for each."""

    quantize: str | None = None
    lengths: tuple[int, ...] = ()
    calibration: Mapping[int, Iterable[Inputs]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A format of `tinybert export`.

    `file`: the name of the model's file or directory; `.` is the directory of the export itself. `require` refuses if
    a needed library is not installed. `quantizations`: the available schemes; `calibrated`: those that need texts.
    `has_lengths`: whether files have fixed lengths. `has_threads`: whether a runner takes a number of threads.
    `writes_quantized`: whether the format can hold a model of `quantize_aware`.
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
        raise VerificationError(f"not exported: expected LiteRT's own operations only, got {', '.join(custom)}")
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
    """Return the format of a name.

    Raises:
        InputError: no format has this name.
    """
    if name not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}.")
    return FORMATS[name]
