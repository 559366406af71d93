"""Quantization-aware training: a model computes, and learns, with the integers that it is going to be made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from tinybert_tf.checkpoints.hf_directory import config_path, read_config
from tinybert_tf.compression.calibration import calibrate
from tinybert_tf.compression.rounding import FakeQuantization, RoundedActivations, check_weight_bits
from tinybert_tf.errors import InputError
from tinybert_tf.models.fake_quantization import Dense, Embedding, place_of
from tinybert_tf.models.pretrained import FAKE_QUANTIZATION, PretrainedModel

Model = TypeVar("Model", bound=PretrainedModel)


def quantize_aware(model: Model, calibration: Iterable[Any], bits: int = 8, num_texts: int = 256) -> Model:
    """Let a model compute with integers' numbers from now on: when it answers, and when it is trained.

    The ranges of activations are measured on `calibration` and stay as they are; train the model afterwards, with a
    `Distiller` or by itself, and it learns to do with them. Its own weights stay floats, and are what is trained and
    saved; `save_pretrained` writes the ranges into `config.json`, `load_quantization` reads them again. The last
    product, to the logits, is not rounded.

    Args:
        model: an encoder or a task model; changed in place.
        calibration: batches of inputs, or of `(inputs, labels)`, as the model is trained on. Padding is not looked at.
        bits: of weights: 8 or 4. Activations have 8.
        num_texts: how many texts are looked at, the first ones.

    Returns:
        The same model.

    Raises:
        InputError: no texts; a number of bits that is not supported.

    Example:
        >>> import numpy as np
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads import SequenceClassifier
        >>> student = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> quantized = quantize_aware(student, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
        >>> quantized is student, quantized.fake_quantizer.weight_bits
        (True, 8)
    """
    check_weight_bits(bits)
    set_quantization(model, None)
    ranges, limits = calibrate(model, calibration, bits, num_texts)
    return set_quantization(model, FakeQuantization(ranges, limits, bits))


def set_quantization(model: Model, quantization: FakeQuantization | None) -> Model:
    """Let a model round its numbers so, or not at all; what was traced before is traced again."""
    model.fake_quantizer = quantization
    for phase in ("train", "test", "predict"):
        setattr(model, f"{phase}_function", None)
    return model


def load_quantization(model: Model, directory: str | Path) -> Model:
    """Let a model round its numbers as the one that was saved in `directory`.

    Raises:
        InputError: no model there, or one that was not quantized.
    """
    config, path = read_config(Path(directory)).get(FAKE_QUANTIZATION), config_path(Path(directory))
    if config is None:
        raise InputError(f"{path}: no `{FAKE_QUANTIZATION}`; a model that `quantize_aware` has seen is wanted.")
    try:
        quantization = FakeQuantization.from_config(config)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{path}: `{FAKE_QUANTIZATION}` is damaged; `weight_bits`, `ranges` and `limits` are wanted."
        ) from None
    return set_quantization(model, quantization)


def with_rounded_weights(model: Model) -> Model:
    """A float32 copy of a quantized model whose weights are rounded for good: what integers are made of.

    It computes the same, and rounds activations alone. LiteRT's converter finds the scales again in the weights.

    Raises:
        InputError: the model is not quantized.
    """
    quantization = model.fake_quantizer
    if not isinstance(quantization, FakeQuantization):
        raise InputError("the model is not quantized; `quantize_aware` comes first.")
    copy = type(model).from_config({**model.get_config(), "dtype": "float32"})
    weights = model.variables_by_name()
    for name, variable in copy.variables_by_name().items():
        variable.assign(weights[name])
    for layer in copy._flatten_layers():
        if isinstance(layer, Dense):
            kernel, bias = quantization.dense_weights(place_of(layer), layer.kernel.value, layer.bias.value)
            layer.kernel.assign(kernel)
            layer.bias.assign(bias)
        elif isinstance(layer, Embedding):
            layer.embeddings.assign(quantization.table(layer.embeddings.value))
    return set_quantization(
        copy, RoundedActivations(quantization.ranges, quantization.limits, quantization.weight_bits)
    )
