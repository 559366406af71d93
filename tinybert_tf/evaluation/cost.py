"""What a model costs: parameters, zeros among them, arithmetic, bytes, and measured latency."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP_CALLS = 5


def count_parameters(model: Any) -> int:
    """Number of weights that a Keras model learns, the embedding tables included."""
    return int(sum(np.prod(variable.shape) for variable in _learned(model)))


def count_nonzero(model: Any) -> int:
    """Number of weights of a Keras model that are not zero."""
    return int(sum(np.count_nonzero(variable.numpy()) for variable in _learned(model)))


def gzipped_size(model: Any) -> int:
    """Bytes of a Keras model's weights as float32, compressed by gzip: what zeros, and values that repeat, save."""
    return sum(len(zlib.compress(variable.numpy().astype("float32").tobytes(), 6)) for variable in _learned(model))


def _learned(model: Any) -> Iterable[Any]:
    """A model's weights; of ours without the ranges of one that has been quantized."""
    by_name = getattr(model, "variables_by_name", None)
    return model.weights if by_name is None else by_name().values()


def flops_per_token(
    *,
    hidden_size: int,
    num_hidden_layers: int,
    intermediate_size: int,
    seq_len: int,
    attention_size: int | None = None,
) -> int:
    """Floating-point operations that an encoder's layers take for a token of a text of `seq_len` tokens.

    A multiplication and its addition are two. For a layer `8 h a + 4 h i + 4 a n`: the four projections of attention,
    the two of the feed-forward network, scores and their sum over values (Kaplan et al., arXiv 2001.08361, table 1).
    Embeddings, LayerNorm, softmax, GELU and the head are left out. `attention_size`, a: the width of all heads
    together, `hidden_size` by default.

    Example:
        >>> flops_per_token(hidden_size=312, num_hidden_layers=4, intermediate_size=1200, seq_len=128)
        9744384
    """
    width = hidden_size if attention_size is None else attention_size
    dense = 8 * hidden_size * width + 4 * hidden_size * intermediate_size
    return num_hidden_layers * (dense + 4 * width * seq_len)


def size_on_disk(path: Path) -> tuple[int, int]:
    """Bytes of a file, or of all files of a directory, as they are and after gzip at its usual level."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    zipped = sum(len(gzip.compress(file.read_bytes(), compresslevel=6)) for file in files)
    return sum(file.stat().st_size for file in files), zipped


def measure_calls(
    calls: Mapping[str, Callable[[], object]], repeats: int = 50, seconds: float = float("inf")
) -> dict[str, dict[str, float]]:
    """The median and the 95th percentile of each call's milliseconds, as `{name: {"p50": ..., "p95": ...}}`.

    The calls take turns, so that whatever else the machine does meets them alike.

    Args:
        calls: by name.
        repeats: turns that are measured, after `WARM_UP_CALLS` that are not.
        seconds: after so many no turn is begun; at least one is measured.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    started = time.perf_counter()
    for turn in range(WARM_UP_CALLS + repeats):
        if turn > WARM_UP_CALLS and time.perf_counter() - started > seconds:
            break
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if turn >= WARM_UP_CALLS:
                taken[name].append(time.perf_counter() - begin)
    return {
        name: {f"p{percentile}": float(np.percentile(times, percentile)) * 1e3 for percentile in (50, 95)}
        for name, times in taken.items()
    }


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

    Args:
        models: by name, as `measure_calls` has them; each takes `input_ids`, `attention_mask` and `token_type_ids` and
            gives `logits`.
        seq_len: tokens of every row, none of them padding.
        batch_size: rows of a call.
        repeats: measured calls of each model.
    """
    import tensorflow as tf

    inputs = {name: tf.constant(value) for name, value in full_inputs(batch_size, seq_len).items()}

    def call(model: Any) -> Callable[[], object]:
        forward = _compiled(model)
        return lambda: forward(inputs).numpy()

    found = measure_calls({name: call(model) for name, model in models.items()}, repeats)
    return {name: times["p50"] for name, times in found.items()}


def full_inputs(batch_size: int, seq_len: int) -> dict[str, np.ndarray]:
    """Inputs without padding, each `(batch_size, seq_len)` int32."""
    return {name: np.full((batch_size, seq_len), value, np.int32) for name, value in _INPUT_VALUES.items()}


_INPUT_VALUES = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}


def _compiled(model: Any) -> Any:
    import tensorflow as tf

    @tf.function
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)["logits"]

    return forward
