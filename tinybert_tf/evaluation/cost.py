"""What a model costs: parameters, zeros among them, and measured latency."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

WARM_UP_CALLS = 5


def count_parameters(model: Any) -> int:
    """Number of weights of a Keras model, the embedding tables included."""
    return int(sum(np.prod(variable.shape) for variable in model.weights))


def count_nonzero(model: Any) -> int:
    """Number of weights of a Keras model that are not zero."""
    return int(sum(np.count_nonzero(variable.numpy()) for variable in model.weights))


def gzipped_size(model: Any) -> int:
    """Bytes of a Keras model's weights as float32, compressed by gzip: what zeros, and values that repeat, save."""
    return sum(len(zlib.compress(variable.numpy().astype("float32").tobytes(), 6)) for variable in model.weights)


def task_model_parameters(
    *,
    vocab_size: int,
    hidden_size: int,
    num_hidden_layers: int,
    intermediate_size: int,
    max_position_embeddings: int,
    type_vocab_size: int,
    num_outputs: int,
    embedding_size: int | None = None,
    has_pooler: bool = True,
    attention_size: int | None = None,
) -> int:
    """Number of weights of an encoder with a linear head of `num_outputs` columns, BERT's or a relative's.

    Nothing is built. `has_pooler`: whether a dense layer on the first token is in between, the encoder's or the head's.
    `embedding_size`, and `attention_size` of all heads together: where they are others than `hidden_size`.
    """
    width = hidden_size if embedding_size is None else embedding_size
    tables = (vocab_size + max_position_embeddings + type_vocab_size + 2) * width
    projection = 0 if embedding_size is None else (embedding_size + 1) * hidden_size
    heads = hidden_size if attention_size is None else attention_size
    attention = 3 * (hidden_size + 1) * heads + (heads + 1) * hidden_size
    feed_forward = 2 * hidden_size * intermediate_size + hidden_size + intermediate_size
    layers = num_hidden_layers * (attention + feed_forward + 4 * hidden_size)
    return tables + projection + layers + (hidden_size + 1) * (hidden_size * has_pooler + num_outputs)


def measure_latency(
    models: Mapping[str, Any], seq_len: int = 32, batch_size: int = 1, repeats: int = 50
) -> dict[str, float]:
    """Median milliseconds of a forward pass, each model compiled as a `tf.function`, its `model.dtype` as it is.

    The models take turns, so that whatever else the machine does meets them alike.

    Args:
        models: by name; each takes `input_ids`, `attention_mask` and `token_type_ids` and gives `logits`.
        seq_len: tokens of every row, none of them padding.
        batch_size: rows of a call.
        repeats: measured calls of each model.
    """
    import tensorflow as tf

    ids = np.ones((batch_size, seq_len), np.int32)
    inputs = {name: tf.constant(ids * value) for name, value in _INPUT_VALUES.items()}
    forward = {name: _compiled(model) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for call in range(WARM_UP_CALLS + repeats):
        for name, function in forward.items():
            begin = time.perf_counter()
            function(inputs).numpy()
            if call >= WARM_UP_CALLS:
                seconds[name].append(time.perf_counter() - begin)
    return {name: float(np.median(values)) * 1e3 for name, values in seconds.items()}


_INPUT_VALUES = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}


def _compiled(model: Any) -> Any:
    import tensorflow as tf

    @tf.function
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)["logits"]

    return forward
