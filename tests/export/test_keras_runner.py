"""A Keras model as one graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tinybert_tf.export.keras_runner import KerasRunner


class Counting:
    """Answers a row with the number of its tokens; notes how often Python is asked, which is when it is traced."""

    traces = 0

    def __call__(self, inputs: Mapping[str, Any], training: bool) -> dict[str, Any]:
        self.traces += 1
        return {"logits": tf.cast(tf.reduce_sum(inputs["attention_mask"], axis=1, keepdims=True), tf.float32)}


def test_one_trace_for_all_batches_and_lengths() -> None:
    model: Any = Counting()
    runner = KerasRunner(model)
    for rows, length in [(1, 5), (1, 7), (4, 7), (3, 12), (32, 128)]:
        ones = np.ones((rows, length), np.int32)
        found = runner(dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ones))
        assert found.tolist() == [[length]] * rows
    assert model.traces == 1
