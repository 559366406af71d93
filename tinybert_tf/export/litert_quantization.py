"""Quantizing a LiteRT file after training."""

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
    """A way to make the numbers of a LiteRT file smaller.

    `bits`: bits of weights. `products`: the method of litert-quantizer's `Quantizer` that adds the rule for matrix
    products; None means float16. `is_calibrated`: whether activations are int8 too, in ranges measured on texts.

    Weights have a scale for each row: for each output of a product and each token of a table. A table is never
    converted to float as a whole, only the rows that are looked up.
    """

    bits: int
    products: str | None
    is_calibrated: bool = False


SCHEMES: dict[str, Scheme] = {
    # Activations are rounded to int8 at run time, row by row: products of integers.
    "dynamic_int8": Scheme(8, "add_dynamic_config"),
    "dynamic_int4": Scheme(4, "add_dynamic_config"),
    # Weights are converted back to float once, before the first product: products of floats.
    "weight_int8": Scheme(8, "add_weight_only_config"),
    "weight_int4": Scheme(4, "add_weight_only_config"),
    "float16": Scheme(16, None),
    "full_int8": Scheme(8, "add_static_config", is_calibrated=True),
}


# The operations that a calibrated file computes with integers; softmax, LayerNorm and the mask stay floats. In 8 bits
# a mask of -1e9 would leave nothing of a score, and squares of differences little of a LayerNorm.
INTEGER_OPERATIONS = ("FULLY_CONNECTED", "BATCH_MATMUL", "RESHAPE", "TRANSPOSE", "GELU")


def quantize_tables(content: bytes, bits: int = 8) -> bytes:
    """Make the tables of a quantized model's LiteRT file integers, with a scale for each row; nothing else changes.

    Raises:
        InputError: `litert-quantizer` is not installed.
    """
    library = _library()
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Input model is already partially quantized")  # as intended
        quantizer = library.quantizer.Quantizer(content)
        quantizer.add_dynamic_config(".*", library.qtyping.TFLOperationName.EMBEDDING_LOOKUP, num_bits=bits)
        return bytes(quantizer.quantize(None).quantized_model)


def quantize(content: bytes, scheme: str, calibration: Mapping[int, Iterable[Mapping[str, np.ndarray]]]) -> bytes:
    """Quantize a float32 LiteRT file of `convert`.

    Args:
        content: the file's bytes.
        scheme: a key of `SCHEMES`.
        calibration: for calibrated schemes, inputs of each signature, by its length.

    Raises:
        InputError: `litert-quantizer` is not installed.
    """
    rule = SCHEMES[scheme]
    library = _library()
    names, algorithms = library.qtyping.TFLOperationName, library.quantizer.AlgorithmName
    quantizer = library.quantizer.Quantizer(content)
    # Cutting a row's largest weights off pays with 16 steps (OCTAV, arXiv 2206.06501), but not with 256.
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
            # This takes the outermost values; `Quantizer.calibrate` takes a moving average, mostly of the last texts.
            calibrator = library.calibrator.Calibrator(
                content, available_cores(), qsv_update_func=library.utils.qsv_utils.min_max_update
            )
            rows = {SIGNATURE.format(length): inputs for length, inputs in calibration.items()}
            calibrator.calibrate(rows, quantizer._recipe_manager)
            ranges = calibrator.get_model_qsvs()
        return bytes(quantizer.quantize(ranges).quantized_model)


def require_litert() -> None:
    """Refuse work that ends with a quantized LiteRT file if the libraries to write or run one are missing.

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
