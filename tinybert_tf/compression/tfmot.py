"""TensorFlow Model Optimization's modules, imported without the import's side effects."""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType

_PACKAGE = "tensorflow_model_optimization.python.core"
_SWITCH = "TF_USE_LEGACY_KERAS"


def tfmot_module(name: str) -> ModuleType:
    """Import a module of TFMOT's core, such as `sparsity.keras.pruning_schedule`.

    Importing TFMOT sets `TF_USE_LEGACY_KERAS=1`, which turns `tf.keras` into Keras 2 in this process's children, and in
    this process unless it has used `tf.keras` before. This function uses it first, and then restores the environment.
    """
    import keras  # noqa: F401  # before `tf.keras`, which is built on it
    import tensorflow as tf

    _ = tf.keras.layers  # resolves TensorFlow's lazy `tf.keras` while it is still Keras 3
    before = os.environ.get(_SWITCH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # distutils, protobuf and tf_keras warn about themselves
            return importlib.import_module(f"{_PACKAGE}.{name}")
    finally:
        if before is None:
            os.environ.pop(_SWITCH, None)
        else:
            os.environ[_SWITCH] = before
