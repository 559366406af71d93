"""Quantization-aware training: a model computes, and learns, with the integers that it is going to be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from keras import ops

from tinybert_tf.checkpoints.hf_directory import config_path, read_config
from tinybert_tf.compression.calibration import observed_ranges
from tinybert_tf.errors import InputError
from tinybert_tf.models.pretrained import FAKE_QUANTIZATION, PretrainedModel

WEIGHT_BITS = (8, 4)

Model = TypeVar("Model", bound=PretrainedModel)


@dataclass(frozen=True)
class FakeQuantization:
    """Rounds weights and activations to what small integers can say; gradients pass as if it did not.

    - A weight `w`: `s round(w / s)` with `s = max|w| / (2^(bits-1) - 1)`, for each output of a product and each row of
      a table. Symmetric: 0 stays 0, pruned weights stay pruned. The scale follows the weights.
    - An activation `x` in its range `[a, b]`: 256 steps of `(b - a) / 255`, 0 one of them (arXiv 1712.05877, section 3);
      outside of the range the nearest end, where the gradient is 0.

    Rounded in float32, in whatever precision the model computes.

    Args:
        ranges: `(lowest, highest)` of each activation, by its place.
        weight_bits: 8 or 4. Activations have 8.

    Raises:
        InputError: another number of bits; when it is called, a place without a range.
    """

    ranges: Mapping[str, tuple[float, float]]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        if self.weight_bits not in WEIGHT_BITS:
            accepted = " or ".join(map(str, WEIGHT_BITS))
            raise InputError(f"bits={self.weight_bits}: weights of {accepted} bits are supported.")

    def weight(self, value: Any, axis: int) -> Any:
        """A weight, one scale for everything along `axis`."""
        return rounded_symmetrically(value, axis, self.weight_bits)

    def activation(self, place: str, value: Any) -> Any:
        """An activation in its range."""
        if place not in self.ranges:
            raise InputError(f"{place}: no range was measured there; calibrate the model again (`quantize_aware`).")
        return self.activation_within(self.ranges[place], value)

    def activation_within(self, limits: tuple[float, float], value: Any) -> Any:
        """An activation in a range."""
        import tensorflow as tf

        low, high = limits
        # The operation that LiteRT's converter makes integers of.
        rounded = tf.quantization.fake_quant_with_min_max_args(tf.cast(value, tf.float32), low, high)
        return tf.cast(rounded, value.dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `config.json`."""
        return {"weight_bits": self.weight_bits, "ranges": {place: list(ends) for place, ends in self.ranges.items()}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FakeQuantization:
        """What `get_config` wrote."""
        ranges = {place: (float(low), float(high)) for place, (low, high) in config["ranges"].items()}
        return cls(ranges, config["weight_bits"])


class RoundedActivations(FakeQuantization):
    """Rounds activations alone: of a model whose weights have been rounded for good."""

    def weight(self, value: Any, axis: int) -> Any:
        """The weight itself."""
        return value


def rounded_symmetrically(value: Any, axis: int, bits: int) -> Any:
    """`s round(w / s)` with `s = max|w| / (2^(bits-1) - 1)` along `axis`; the gradient is that of `value`."""
    exact = ops.stop_gradient(ops.cast(value, "float32"))
    largest = ops.max(ops.abs(exact), axis=axis, keepdims=True)
    scale = largest / (2 ** (bits - 1) - 1)
    rounded = ops.round(exact / ops.where(scale > 0, scale, 1.0)) * scale
    return value + ops.cast(rounded - exact, value.dtype)


def quantize_aware(model: Model, calibration: Iterable[Any], bits: int = 8, num_texts: int = 256) -> Model:
    """Let a model compute with integers' numbers from now on: when it answers, and when it is trained.

    The ranges of activations are measured on `calibration` and stay as they are; train the model afterwards, with a
    `Distiller` or by itself, and it learns to do with them. Its own weights stay floats, and are what is trained and
    saved; `save_pretrained` writes the ranges beside them, `load_quantization` reads them again. The last product, to
    the logits, is not rounded.

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
    unrounded = FakeQuantization({}, bits)
    model.fake_quantizer = None
    return set_quantization(model, FakeQuantization(observed_ranges(model, unrounded, calibration, num_texts), bits))


def set_quantization(model: Model, quantization: FakeQuantization | None) -> Model:
    """Let a model round its numbers so, or not; what was traced before is traced again."""
    model.fake_quantizer = quantization
    for phase in ("train", "test", "predict"):
        setattr(model, f"{phase}_function", None)
    return model


def load_quantization(model: Model, directory: str | Path) -> Model:
    """Let a model round its numbers as the one that was saved in `directory`.

    Raises:
        InputError: no model there, or one that was never quantized.
    """
    config = read_config(Path(directory)).get(FAKE_QUANTIZATION)
    path = config_path(Path(directory))
    if config is None:
        raise InputError(f"{path}: no `{FAKE_QUANTIZATION}`; the model in this directory was not quantized.")
    try:
        quantization = FakeQuantization.from_config(config)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path}: `{FAKE_QUANTIZATION}` is damaged; `weight_bits` and `ranges` are wanted.") from None
    return set_quantization(model, quantization)
