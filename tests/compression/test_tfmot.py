"""TFMOT is imported, and Keras stays Keras 3."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tinybert_tf.compression.tfmot import tfmot_module

PROGRAM = """
import os
from tinybert_tf.compression.tfmot import tfmot_module
schedule = tfmot_module("sparsity.keras.pruning_schedule")
import keras, tensorflow as tf
print(tf.keras.layers.Dense is keras.layers.Dense, os.environ.get("TF_USE_LEGACY_KERAS"), schedule.ConstantSparsity)
"""


@pytest.mark.slow
def test_keras_is_still_keras_3() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    assert process.stdout.startswith("True None <class"), process.stderr


@pytest.mark.parametrize("before", [None, "0"])
def test_the_environment_is_put_back(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    if before is not None:
        monkeypatch.setenv("TF_USE_LEGACY_KERAS", before)
    # Loaded anew, as in the first call of a process.
    for name in [name for name in sys.modules if name.startswith("tensorflow_model_optimization.python.core.keras")]:
        monkeypatch.delitem(sys.modules, name)
    tfmot_module("keras.compat")
    assert os.environ.get("TF_USE_LEGACY_KERAS") == before
