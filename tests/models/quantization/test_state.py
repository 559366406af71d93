"""A model's quantization is read from its layers, and given to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tinybert_tf import EncoderConfig, InputError, TransformerEncoder
from tinybert_tf.models.quantization.state import FakeQuantization, quantization_of, set_state

QUANTIZATION = FakeQuantization({"place": (-1.0, 1.5)}, {"sum": [1.0, 0.5]})


def test_config_round_trip() -> None:
    assert FakeQuantization.from_config(QUANTIZATION.get_config(), "config.json") == QUANTIZATION


@pytest.mark.parametrize(
    "damage",
    [
        lambda config: config.pop("ranges"),
        lambda config: config.update(ranges={"place": [0.0]}),
        lambda config: config.update(limits=3),
        lambda config: config.update(weight_bits=5),
    ],
)
def test_a_damaged_config_is_named(damage: Callable[[dict], object]) -> None:
    config = QUANTIZATION.get_config()
    damage(config)
    with pytest.raises(InputError):
        FakeQuantization.from_config(config, "config.json")


def test_an_activation_without_a_range_is_named_and_nothing_changes() -> None:
    encoder = TransformerEncoder(EncoderConfig.from_preset("bert-tiny", vocab_size=20), add_pooler=False)
    with pytest.raises(InputError, match="layer_1/attention/key/input: no range was measured there"):
        set_state(encoder, QUANTIZATION)
    assert quantization_of(encoder) is None
    assert not any("lowest" in variable.path for variable in encoder.weights)
