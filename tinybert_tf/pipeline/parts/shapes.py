"""The devices and padded lengths for which a step is compiled."""

from __future__ import annotations

from collections.abc import Sequence

from tinybert_tf.config.schema import Data, Train
from tinybert_tf.data.batches.batches import few_lengths
from tinybert_tf.training.devices import Devices, setup_devices


def devices_for(train: Train, fixed_shapes: bool = True) -> Devices:
    """Set up a config's devices, precision and XLA; `fixed_shapes`: whether batches can be padded to few lengths."""
    return setup_devices(train.precision, "auto" if train.xla is None else train.xla, fixed_shapes)


def padded_lengths(data: Data, devices: Devices) -> Sequence[int] | None:
    """Return the config's lengths; by default a few lengths with XLA, else None for any length."""
    if data.padded_lengths is not None:
        return data.padded_lengths
    return few_lengths(data.max_length) if devices.choice.jit_compile else None
