"""Quantization-aware training: a model computes and learns with the rounded numbers of its later integer file."""

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
    """Let a model compute with numbers rounded as small integers from now on, in inference and in training.

    The ranges of activations are measured on `calibration` and then fixed. Train the model afterwards, with a
    `Distiller` or by itself, so that it adapts to them. Its weights stay floats; these are trained and saved. The
    ranges are variables of the model's layers: Keras saves, clones and copies them with the weights, and
    `save_pretrained` writes them into `config.json`. LayerNorm, sums, attention's own products and the last product,
    to the logits, stay in float. `FakeQuantization` in `tinybert_tf.models.quantization.state` has the formulas.

    Args:
        model: an encoder or a task model, which is changed in place. A quantized model is calibrated again.
        calibration: batches of inputs, or of `(inputs, labels)`, as for training. Padding is left out.
        bits: bits of weights, 8; activations have 8 too.
        num_texts: the number of texts that are read, from the first on.

    Returns:
        The same model; `set_quantization(model, None)` turns the rounding off again.

    Raises:
        InputError: there are no texts, `bits` is not supported, the feed-forward activation is tanh, or an activation
            has values that are not finite. Then the model does not change.

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
        raise InputError(
            "hidden_act='tanh': expected another, as LiteRT's converter makes no integers of such a layer."
        )
    before = model.fake_quantizer
    start_rounding(model, bits)
    try:
        measure_ranges(model, calibration, num_texts)
    except BaseException:
        set_state(model, before)
        raise
    return model


def set_quantization(model: Model, quantization: FakeQuantization | None) -> Model:
    """Let a model round its numbers as `quantization` describes, or not at all; `fake_quantizer` is its current state.

    Args:
        model: an encoder or a task model, which is changed in place. Its functions are traced again at their next use.
        quantization: another model's `fake_quantizer`, or None for floats.

    Returns:
        The same model.

    Raises:
        InputError: an activation of the model has no range. Then the model does not change.
    """
    set_state(model, quantization)
    return model
