"""LiteRT files: a Keras model in, the bytes of a `.tflite` file out, and their quantization."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tinybert_tf.errors import InputError
from tinybert_tf.export.inference_graph import InferenceGraph
from tinybert_tf.export.litert_runner import SIGNATURE
from tinybert_tf.models.task_model import TaskModel


def convert(model: TaskModel, lengths: Sequence[int], fake_quantized: bool = False) -> bytes:
    """A task model as a LiteRT file, float32: a signature `length_<n>` for each of the lengths, for any batch.

    The weights are in it once. Nothing outside of LiteRT's own operations is used (no Flex).

    Args:
        model: as `InferenceGraph` takes it.
        lengths: tokens that texts are padded to.
        fake_quantized: the model was trained with fake quantization: its products then become int8 ones.

    Raises:
        InputError: a length that the model has no positions for.
    """
    check_lengths(lengths, model.config.max_tokens)
    graph = InferenceGraph(model)
    signatures = {SIGNATURE.format(length): graph.function(length) for length in sorted(set(lengths))}
    with tempfile.TemporaryDirectory() as directory, quiet():
        tf.saved_model.save(graph, directory, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if fake_quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def check_lengths(lengths: Sequence[int], max_tokens: int) -> None:
    """Refuse lengths that a model of so many tokens cannot be exported for."""
    if not lengths:
        raise InputError("lengths: none; at least one number of tokens is wanted")
    for length in lengths:
        if not 3 <= length <= max_tokens:
            raise InputError(
                f"lengths: {length} tokens; 3 to {max_tokens} are accepted, as many as the model has positions for"
            )


@dataclass(frozen=True)
class Scheme:
    """How the numbers of a LiteRT file become smaller.

    `products`, `tables`: the rule for weights of matrix products, and for embedding tables; each is a method of
    litert-quantizer's `Quantizer` that adds a rule, and its arguments. `calibrated`: whether activations are integers
    too, and their ranges are measured on texts.

    A table is never dequantized as a whole: its rows are, when they are looked up.
    """

    products: tuple[str, dict[str, Any]]
    tables: tuple[str, dict[str, Any]]
    calibrated: bool = False


_ROWS_OF_8, _ROWS_OF_4 = (("add_dynamic_config", {"num_bits": bits}) for bits in (8, 4))
SCHEMES: dict[str, Scheme] = {
    "dynamic_int8": Scheme(("add_dynamic_config", {"num_bits": 8}), _ROWS_OF_8),
    "weight_int8": Scheme(("add_weight_only_config", {"num_bits": 8}), _ROWS_OF_8),
    "weight_int4": Scheme(("add_weight_only_config", {"num_bits": 4}), _ROWS_OF_4),
}
