"""The rounding of a whole model, read from its layers and set in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tinybert_tf.errors import InputError
from tinybert_tf.models.quantization.ranges import ChannelLimits, Range, Rounding
from tinybert_tf.models.quantization.rounded_layer import RoundedLayer
from tinybert_tf.models.quantization.rounding import check_weight_bits


@dataclass(frozen=True)
class FakeQuantization:
    """How a quantized model rounds its numbers; `config.json` stores it.

    - A weight `w` becomes `s round(w / s)`, `s = max|w| / (2^(bits-1) - 1)` for each output of a product and each row
      of a table. 0 stays 0, so pruned weights stay pruned. The scale follows the weights.
    - A bias becomes a multiple of its product's unit, `s` times the input's step, as LiteRT adds it to sums of these.
    - An activation `x` in its range `[a, b]` gets steps of `(b - a) / 255`, of which one is 0 (arXiv 1712.05877,
      section 3); outside the range it becomes the nearest end, and its gradient is 0.
    - An operand of float arithmetic is rounded as an activation, but each channel is divided by its own limit before
      and multiplied by it after.

    Args:
        ranges: `(lowest, highest)` of each activation, by its place, such as `layer_1/attention/query/input`.
        limits: the largest size in each channel of the operands of float arithmetic, by their places.
        weight_bits: bits of weights, 8; activations have 8 too.

    Raises:
        InputError: the number of bits is not supported.
    """

    ranges: Mapping[str, tuple[float, float]]
    limits: Mapping[str, Sequence[float]]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        check_weight_bits(self.weight_bits)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, for `config.json`."""
        return {
            "weight_bits": self.weight_bits,
            "ranges": {place: list(ends) for place, ends in self.ranges.items()},
            "limits": {place: list(limits) for place, limits in self.limits.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str) -> Self:
        """Read the content that `get_config` wrote.

        Raises:
            InputError: the content is damaged; the message names `source`.
        """
        try:
            ranges = {place: (float(low), float(high)) for place, (low, high) in config["ranges"].items()}
            limits = {place: [float(limit) for limit in limits] for place, limits in config["limits"].items()}
            return cls(ranges, limits, config["weight_bits"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source}: damaged ({type(error).__name__}: {error}); expected weight_bits, ranges and limits."
            ) from None


def rounded_layers(model: Any) -> dict[str, RoundedLayer]:
    """Return the layers of a model that round, by their places."""
    return {place: layer for place, layer in _layers(model).items() if layer.is_rounded}


def roundings(model: Any) -> dict[str, Rounding]:
    """Return the roundings of a model's activations, by their places."""
    return _roundings(rounded_layers(model))


def quantization_of(model: Any) -> FakeQuantization | None:
    """Read how a model rounds; None if it does not."""
    layers = rounded_layers(model)
    if not layers:
        return None
    found = _roundings(layers)
    ranges = {place: rounding.read() for place, rounding in found.items() if isinstance(rounding, Range)}
    limits = {place: rounding.read() for place, rounding in found.items() if isinstance(rounding, ChannelLimits)}
    bits = [layer.weight_bits for layer in layers.values() if layer.weight_bits is not None]
    return FakeQuantization(ranges, limits, *bits[:1])


def start_rounding(model: Any, weight_bits: int) -> None:
    """Let all layers of a model round that can; new ranges are as small as possible."""
    start_rounding_at(model, dict.fromkeys(_layers(model), weight_bits))


def start_rounding_at(model: Any, bits: Mapping[str, int | None]) -> None:
    """Let some layers of a model round; `bits` of their weights by place, None if these are rounded already."""
    layers = _layers(model)
    with model.distribute_strategy.scope():
        for place, weight_bits in bits.items():
            layers[place].start_rounding(weight_bits)


def weight_bits_by_place(model: Any) -> dict[str, int | None]:
    """Return the bits with which `start_rounding_at` makes another model of this kind round like this one."""
    return {place: layer.weight_bits for place, layer in rounded_layers(model).items()}


def set_state(model: Any, quantization: FakeQuantization | None) -> None:
    """Let a model round as `quantization` describes, or not at all if it is None.

    Raises:
        InputError: an activation of the model has no range; then the model does not change.
    """
    before = quantization_of(model)
    if quantization is None:
        for layer in _layers(model).values():
            layer.stop_rounding()
        return
    start_rounding(model, quantization.weight_bits)
    ranges = {**quantization.ranges, **quantization.limits}
    found = roundings(model)
    missing = sorted(found.keys() - ranges.keys())
    if missing:
        set_state(model, before)
        raise InputError(f"{missing[0]}: no range was measured there; calibrate the model again (`quantize_aware`).")
    for place, rounding in found.items():
        rounding.assign(ranges[place])


def frozen(model: Any) -> Any:
    """Copy a quantized model in float32 with weights that are rounded for good, so that a converter can make integers.

    The copy computes the same and rounds only activations, in constant ranges. LiteRT's converter recovers the scales
    from the weights.
    """
    copy = model.copy(dtype="float32")
    for layer in rounded_layers(copy).values():
        layer.freeze()
    return copy


def refuse_quantized(model: Any, what: str) -> None:
    """Refuse a quantized model where only floats will do; `what` names the operation.

    Raises:
        InputError: `model` rounds its numbers.
    """
    if model.is_quantized:
        raise InputError(f"{what} is for floats; the model has been quantized (`set_quantization(model, None)`).")


def without_ranges(model: Any, variables: Iterable[Any]) -> list[Any]:
    """Return the variables that are not ranges: those that a model learns and its files hold."""
    ranges = {id(variable) for rounding in roundings(model).values() for variable in rounding.weights}
    return [variable for variable in variables if id(variable) not in ranges]


def _layers(model: Any) -> dict[str, RoundedLayer]:
    return {layer.place: layer for layer in model._flatten_layers() if isinstance(layer, RoundedLayer)}


def _roundings(layers: Mapping[str, RoundedLayer]) -> dict[str, Rounding]:
    return {
        f"{place}/{name}": rounding for place, layer in layers.items() for name, rounding in layer.roundings.items()
    }
