"""Freed memory is kept by the process: where that is asked for, and after any `fit`."""

from __future__ import annotations

import platform
import subprocess
import sys

import keras
import numpy as np
import pytest

from tinybert_tf.trainable import trainable_model
from tinybert_tf.trainable.trainable_model import TrainableModel

FREED_AND_TAKEN_AGAIN = """
import resource, sys
import numpy as np
from tinybert_tf.trainable.host_memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones(2**24)  # 128 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_is_not_cleared_again() -> None:
    def page_faults(how: str) -> int:
        command = [sys.executable, "-c", FREED_AND_TAKEN_AGAIN, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert page_faults("kept") < 0.05 * page_faults("default")


class Model(TrainableModel):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(1)
        self.layer.build((None, 1))

    def call(self, values: np.ndarray) -> np.ndarray:
        return self.layer(values)


def test_the_first_fit_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `setup_devices`, which a program of one's own may not have called."""
    asked: list[bool] = []
    monkeypatch.setattr(trainable_model, "keep_freed_memory", lambda: asked.append(True))
    model = Model()
    model.compile("sgd", loss="mse")
    model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
    assert asked == [True]
