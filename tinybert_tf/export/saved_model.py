"""Writing and running SavedModels, the format of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tinybert_tf import features
from tinybert_tf.errors import InputError
from tinybert_tf.export.inference_graph import InferenceGraph, save_functions
from tinybert_tf.export.quiet import quiet
from tinybert_tf.models.heads.task_model import TaskModel
from tinybert_tf.models.quantization.state import refuse_quantized

SIGNATURE = "serving_default"


def write_saved_model(model: TaskModel, directory: Path) -> None:
    """Write a task model as a SavedModel with one signature, `serving_default`, for any batch and any length.

    Raises:
        InputError: the model is quantized.
    """
    refuse_quantized(model, "saved_model")
    graph = InferenceGraph(model)
    with quiet():
        save_functions({SIGNATURE: graph.function(None)}, directory)


class SavedModelRunner:
    """Runs a SavedModel of `tinybert export`.

    Raises:
        InputError: the directory holds no such SavedModel.
    """

    lengths = None

    def __init__(self, directory: str | Path) -> None:
        try:
            self._loaded = tf.saved_model.load(str(directory))
            self._signature = self._loaded.signatures[SIGNATURE]
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{directory}: not a SavedModel of `tinybert export` ({reason})") from None
        self._names = tuple(self._signature.structured_input_signature[1])

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the logits of rows of any length."""
        given = {name: tf.constant(inputs[name], tf.int32) for name in self._names}
        return np.asarray(self._signature(**given)[features.LOGITS], np.float32)
