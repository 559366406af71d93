"""Quantization-aware training: a model computes, and learns, with the integers that it is going to be made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from tinybert_tf.compression.calibration import measure_ranges
from tinybert_tf.errors import InputError
from tinybert_tf.models.pretrained import PretrainedModel
from tinybert_tf.models.quantization.rounding import check_weight_bits
from tinybert_tf.models.quantization.state import FakeQuantization, set_state, start_rounding

Model = TypeVar("Model", bound=PretrainedModel)


def quantize_aware(model: Model, calibration: Iterable[Any], bits: int = 8, num_texts: int = 256) -> Model:
    """Let a model compute with integers' numbers from now on: when it answers, and when it is trained.

    The ranges of activations are measured on `calibration` and stay as they are; train the model afterwards, with a
    `Distiller` or by itself, and it learns to do with them. Its own weights stay floats, and are what is trained and
    saved. The ranges are variables of the model's layers: Keras saves, clones and copies them with its weights, and
    `save_pretrained` writes them into `config.json`. What stays float: LayerNorm, sums, attention's own products and
    the last product, to the logits.

    Args:
        model: an encoder or a task model; changed in place. One that is quantized already is calibrated anew.
        calibration: batches of inputs, or of `(inputs, labels)`, as the model is trained on. Padding is not looked at.
        bits: of weights; activations have 8.
        num_texts: how many texts are looked at, the first ones.

    Returns:
        The same model; `set_quantization(model, None)` makes it what it was.

    Raises:
        InputError: no texts; a number of bits that is not supported; feed-forward layers with tanh; values that are not
            finite. The model is left as it was.

    Example:
        >>> import numpy as np
        >>> from tinybert_tf.models.config import EncoderConfig
        >>> from tinybert_tf.models.heads.sequence_classifier import SequenceClassifier
        >>> student = SequenceClassifier(EncoderConfig.from_preset("bert-tiny", vocab_size=100))
        >>> ids = np.array([[5, 6, 7]], dtype="int32")
        >>> quantized = quantize_aware(student, [{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
        >>> quantized is student, quantized.fake_quantizer.weight_bits
        (True, 8)
    """
    check_weight_bits(bits)
    if model.config.hidden_act == "tanh":
        raise InputError("hidden_act='tanh': LiteRT's converter makes no integers of such a layer.")
    before = model.fake_quantizer
    start_rounding(model, bits)
    try:
        measure_ranges(model, calibration, num_texts)
    except BaseException:
        set_state(model, before)
        raise
    return model


def set_quantization(model: Model, quantization: FakeQuantization | None) -> Model:
    """Let a model round its numbers so, or not at all; its `fake_quantizer` says how it does.

    Args:
        model: an encoder or a task model; changed in place. What was traced of it is traced again when it is next used.
        quantization: another model's `fake_quantizer`, or None for floats.

    Returns:
        The same model.

    Raises:
        InputError: an activation of the model has no range; the model is left as it was.
    """
    set_state(model, quantization)
    return model
