"""How a whole model rounds: read from its layers, and given to them."""

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
    """What a model that computes with integers' numbers rounds, and how; as `config.json` has it.

    - A weight `w`: `s round(w / s)`, `s = max|w| / (2^(bits-1) - 1)` for each output of a product and each row of a
      table. Symmetric: 0 stays 0, pruned weights stay pruned. The scale follows the weights.
    - A bias: a multiple of its product's unit, `s` times the input's step, as LiteRT adds it to sums of these.
    - An activation `x` in its range `[a, b]`: steps of `(b - a) / 255`, 0 one of them (arXiv 1712.05877, section 3);
      outside of the range its nearest end, where the gradient is 0.
    - What floats are computed with: as an activation, each channel divided by its own limit before and multiplied by
      it after.

    Args:
        ranges: `(lowest, highest)` of each activation, by its place, such as `layer_1/attention/query/input`.
        limits: the largest size of each channel of what floats are computed with, by its place.
        weight_bits: of weights; activations have 8.

    Raises:
        InputError: another number of bits.
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
        """What `get_config` wrote.

        Raises:
            InputError: it is damaged; named as `source`.
        """
        try:
            ranges = {place: (float(low), float(high)) for place, (low, high) in config["ranges"].items()}
            limits = {place: [float(limit) for limit in limits] for place, limits in config["limits"].items()}
            return cls(ranges, limits, config["weight_bits"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source}: is damaged ({type(error).__name__}: {error}); expected weight_bits, ranges and limits."
            ) from None


def rounded_layers(model: Any) -> dict[str, RoundedLayer]:
    """The layers of a model that round, by their places."""
    return {place: layer for place, layer in _layers(model).items() if layer.is_rounded}


def roundings(model: Any) -> dict[str, Rounding]:
    """What a model's activations are rounded by, by their places."""
    return _roundings(rounded_layers(model))


def quantization_of(model: Any) -> FakeQuantization | None:
    """How a model rounds; None where it does not."""
    layers = rounded_layers(model)
    if not layers:
        return None
    found = _roundings(layers)
    ranges = {place: rounding.read() for place, rounding in found.items() if isinstance(rounding, Range)}
    limits = {place: rounding.read() for place, rounding in found.items() if isinstance(rounding, ChannelLimits)}
    bits = [layer.weight_bits for layer in layers.values() if layer.weight_bits is not None]
    return FakeQuantization(ranges, limits, *bits[:1])


def start_rounding(model: Any, weight_bits: int) -> None:
    """Let all layers of a model that can round do so; new ranges are as small as can be."""
    start_rounding_at(model, dict.fromkeys(_layers(model), weight_bits))


def start_rounding_at(model: Any, bits: Mapping[str, int | None]) -> None:
    """Let some layers of a model round, `bits` of their weights by place; None where weights are rounded already."""
    layers = _layers(model)
    with model.distribute_strategy.scope():
        for place, weight_bits in bits.items():
            layers[place].start_rounding(weight_bits)


def weight_bits_by_place(model: Any) -> dict[str, int | None]:
    """What `start_rounding_at` takes to make another model of this kind round as this one does."""
    return {place: layer.weight_bits for place, layer in rounded_layers(model).items()}


def set_state(model: Any, quantization: FakeQuantization | None) -> None:
    """Let a model round as described, or not at all.

    Raises:
        InputError: an activation of the model has no range; the model is left as it was.
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
    """A float32 copy of a quantized model that integers can be made of: its weights are rounded for good.

    It computes the same, and rounds activations alone, in ranges that are constants. LiteRT's converter finds the
    scales again in the weights.
    """
    copy = model.copy(dtype="float32")
    for layer in rounded_layers(copy).values():
        layer.freeze()
    return copy


def refuse_quantized(model: Any, what: str) -> None:
    """Refuse what is for floats.

    Raises:
        InputError: `model` rounds its numbers.
    """
    if model.is_quantized:
        raise InputError(f"{what} is for floats; the model has been quantized (`set_quantization(model, None)`).")


def without_ranges(model: Any, variables: Iterable[Any]) -> list[Any]:
    """The variables that are no ranges: those that a model learns, and that its files hold."""
    ranges = {id(variable) for rounding in roundings(model).values() for variable in rounding.weights}
    return [variable for variable in variables if id(variable) not in ranges]


def _layers(model: Any) -> dict[str, RoundedLayer]:
    return {layer.place: layer for layer in model._flatten_layers() if isinstance(layer, RoundedLayer)}


def _roundings(layers: Mapping[str, RoundedLayer]) -> dict[str, Rounding]:
    return {
        f"{place}/{name}": rounding for place, layer in layers.items() for name, rounding in layer.roundings.items()
    }
