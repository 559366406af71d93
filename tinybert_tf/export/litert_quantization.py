"""Quantization of a LiteRT file after training."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinybert_tf.errors import InputError
from tinybert_tf.export.litert_runner import SIGNATURE, available_cores, interpreter_class
from tinybert_tf.export.quiet import quiet


@dataclass(frozen=True)
class Scheme:
    """Which numbers of a LiteRT file become smaller, and how.

    `bits`: of weights. `products`: the method of litert-quantizer's `Quantizer` that adds the rule for matrix products;
    None is float16. `is_calibrated`: whether activations are int8 too, in ranges that are measured on texts.

    Weights have one scale for each row: an output of a product, a token of a table. A table is never made float as a
    whole: its rows are, when they are looked up.
    """

    bits: int
    products: str | None
    is_calibrated: bool = False


SCHEMES: dict[str, Scheme] = {
    # Activations are rounded to int8 as they come, row by row: products of integers.
    "dynamic_int8": Scheme(8, "add_dynamic_config"),
    "dynamic_int4": Scheme(4, "add_dynamic_config"),
    # Weights are made float again, once, before the first product: products of floats.
    "weight_int8": Scheme(8, "add_weight_only_config"),
    "weight_int4": Scheme(4, "add_weight_only_config"),
    "float16": Scheme(16, None),
    "full_int8": Scheme(8, "add_static_config", is_calibrated=True),
}


# What a calibrated file computes with integers; softmax, LayerNorm and the mask stay floats. A mask of -1e9 leaves
# nothing of a score in 8 bits, and squares of differences leave little of a LayerNorm.
INTEGER_OPERATIONS = ("FULLY_CONNECTED", "BATCH_MATMUL", "RESHAPE", "TRANSPOSE", "GELU")


def quantize_tables(content: bytes, bits: int = 8) -> bytes:
    """A LiteRT file of a quantized model with tables of integers, a scale for each row; the rest stays as it is.

    Raises:
        InputError: `litert-quantizer` is not installed.
    """
    library = _library()
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Input model is already partially quantized")  # as it is to be
        quantizer = library.quantizer.Quantizer(content)
        quantizer.add_dynamic_config(".*", library.qtyping.TFLOperationName.EMBEDDING_LOOKUP, num_bits=bits)
        return bytes(quantizer.quantize(None).quantized_model)


def quantize(content: bytes, scheme: str, calibration: Mapping[int, Iterable[Mapping[str, np.ndarray]]]) -> bytes:
    """A float32 LiteRT file of `convert` with smaller numbers.

    Args:
        content: the file.
        scheme: a key of `SCHEMES`.
        calibration: for schemes that are calibrated, inputs of each signature, by its length.

    Raises:
        InputError: `litert-quantizer` is not installed.
    """
    rule = SCHEMES[scheme]
    library = _library()
    names, algorithms = library.qtyping.TFLOperationName, library.quantizer.AlgorithmName
    quantizer = library.quantizer.Quantizer(content)
    # With 16 steps it pays to cut a row's largest weights off (OCTAV, arXiv 2206.06501); with 256 it does not.
    bits = {
        "num_bits": rule.bits,
        "algorithm_key": algorithms.OCTAV if rule.bits == 4 else algorithms.MIN_MAX_UNIFORM_QUANT,
    }
    if rule.products is None:
        for operation in (names.FULLY_CONNECTED, names.EMBEDDING_LOOKUP):
            quantizer.update_quantization_recipe(".*", operation, _float16(library.qtyping), algorithms.FLOAT_CASTING)
    elif rule.is_calibrated:
        for operation in INTEGER_OPERATIONS:
            quantizer.add_static_config(".*", names[operation], activation_num_bits=8, weight_num_bits=rule.bits)
    else:
        getattr(quantizer, rule.products)(".*", names.FULLY_CONNECTED, **bits)
    if rule.products is not None:
        quantizer.add_dynamic_config(".*", names.EMBEDDING_LOOKUP, **bits)
    with quiet():
        ranges = None
        if rule.is_calibrated:
            # The outermost values; `Quantizer.calibrate` itself takes a moving average, that of the last texts.
            calibrator = library.calibrator.Calibrator(
                content, available_cores(), qsv_update_func=library.utils.qsv_utils.min_max_update
            )
            rows = {SIGNATURE.format(length): inputs for length, inputs in calibration.items()}
            calibrator.calibrate(rows, quantizer._recipe_manager)
            ranges = calibrator.get_model_qsvs()
        return bytes(quantizer.quantize(ranges).quantized_model)


def require_litert() -> None:
    """Refuse to begin what ends with a quantized LiteRT file, where nothing can write or run one.

    Raises:
        InputError: `ai-edge-litert` or `litert-quantizer` is not installed.
    """
    interpreter_class()
    _library()


def _float16(qtyping: Any) -> Any:
    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    return qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
    )


def _library() -> Any:
    try:
        import litert_quantizer
        import litert_quantizer.calibrator
        import litert_quantizer.quantizer
        import litert_quantizer.utils.qsv_utils
    except ImportError as error:
        raise InputError(f"litert-quantizer is not installed ({error}); pip install 'tinybert_tf[litert]'") from None
    return litert_quantizer
