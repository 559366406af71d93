"""TensorFlow Model Optimization's modules, imported without what its import does to the process."""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType

_PACKAGE = "tensorflow_model_optimization.python.core"
_SWITCH = "TF_USE_LEGACY_KERAS"


def tfmot_module(name: str) -> ModuleType:
    """A module of TFMOT's core, such as `sparsity.keras.pruning_schedule`.

    Importing TFMOT sets `TF_USE_LEGACY_KERAS=1`, which turns `tf.keras` into Keras 2 for this process, unless `tf.keras`
    has been touched before, and for its children. Here it has been, and the environment is put back.
    """
    import keras  # noqa: F401  # before `tf.keras`, which is made of it
    import tensorflow as tf

    _ = tf.keras.layers  # resolves TensorFlow's lazy `tf.keras` while it still is Keras 3
    before = os.environ.get(_SWITCH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of distutils, protobuf and tf_keras, about themselves
            return importlib.import_module(f"{_PACKAGE}.{name}")
    finally:
        if before is None:
            os.environ.pop(_SWITCH, None)
        else:
            os.environ[_SWITCH] = before
