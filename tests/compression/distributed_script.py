"""Prunes a model on one CPU device, and the same one on two replicas; prints a kernel of each as JSON.

Run by test_pruning.py in a process of its own: TensorFlow splits a CPU into devices only before it is first used.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybert_tf import MagnitudePruning

ROWS = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")


def trained(strategy: Any) -> list[np.ndarray]:
    """The first kernel after twelve steps, on each device."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        below = keras.layers.Dense(8, activation="tanh", name="below")
        model = keras.Sequential([keras.Input((8,)), below, keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
    pruning = MagnitudePruning(0.75, begin_step=2, end_step=8, frequency=2, kernels=".*below/kernel")
    labels = ROWS.sum(axis=1, keepdims=True)
    model.fit(ROWS, labels, batch_size=8, epochs=3, shuffle=False, callbacks=[pruning], verbose=0)
    copies = strategy.experimental_local_results(below.kernel.value) if strategy else [below.kernel.value]
    return [np.asarray(copy) for copy in copies]


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    kernels = [*trained(None), *trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))]
    described = [{"sparsity": float(np.mean(kernel == 0)), "kernel": kernel.tolist()} for kernel in kernels]
    print(json.dumps(dict(zip(("one", "two", "replica"), described, strict=True))))


if __name__ == "__main__":
    main()
