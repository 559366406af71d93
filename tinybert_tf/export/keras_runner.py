"""A runner for a Keras model, with the interface of exported models' runners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tinybert_tf import features
from tinybert_tf.models.heads.task_model import TaskModel

# The inputs that `TokenizedTexts.padded` makes, for any number of rows and any length.
INPUTS = {name: tf.TensorSpec((None, None), tf.int32) for name in ("input_ids", "attention_mask", "token_type_ids")}


class KerasRunner:
    """Computes the logits of a task model, in one graph for every batch and length."""

    lengths = None

    def __init__(self, model: TaskModel) -> None:
        self.model = model

        @tf.function(input_signature=[INPUTS])
        def logits(inputs: Mapping[str, Any]) -> Any:
            return model(inputs, training=False)[features.LOGITS]

        self._logits = logits

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the logits of rows of any length."""
        return np.asarray(self._logits({name: tf.constant(inputs[name]) for name in INPUTS}), np.float32)
