"""The cost of a model: parameters, zeros among them, arithmetic, bytes, and measured latency."""

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
    """Count the weights that a Keras model learns, embedding tables included."""
    return int(sum(np.prod(variable.shape) for variable in _learned(model)))


def count_nonzero(model: Any) -> int:
    """Count the weights of a Keras model that are not zero."""
    return int(sum(np.count_nonzero(variable.numpy()) for variable in _learned(model)))


def gzipped_size(model: Any) -> int:
    """Return the bytes of a Keras model's float32 weights after gzip, which shrinks zeros and repeated values."""
    return sum(len(zlib.compress(variable.numpy().astype("float32").tobytes(), 6)) for variable in _learned(model))


def _learned(model: Any) -> Iterable[Any]:
    """Return a model's weights, without the ranges of a quantized model of this library."""
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
    """Return the floating-point operations of an encoder's layers for one token of a text of `seq_len` tokens.

    A multiplication and its addition count as two. A layer takes `8 h a + 4 h i + 4 a n` for the four projections of
    attention, the two of the feed-forward network, the scores and their sum over values (Kaplan et al., arXiv
    2001.08361, table 1), where h is `hidden_size`, i `intermediate_size`, n `seq_len` and a `attention_size`, the width
    of all heads together (by default `hidden_size`). Embeddings, LayerNorm, softmax, GELU and the head are left out.

    Example:
        >>> flops_per_token(hidden_size=312, num_hidden_layers=4, intermediate_size=1200, seq_len=128)
        9744384
    """
    width = hidden_size if attention_size is None else attention_size
    dense = 8 * hidden_size * width + 4 * hidden_size * intermediate_size
    return num_hidden_layers * (dense + 4 * width * seq_len)


def size_on_disk(path: Path) -> tuple[int, int]:
    """Return the bytes of a file, or of all files of a directory, before and after gzip at its default level."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    zipped = sum(len(gzip.compress(file.read_bytes(), compresslevel=6)) for file in files)
    return sum(file.stat().st_size for file in files), zipped


def measure_calls(
    calls: Mapping[str, Callable[[], object]], repeats: int = 50, seconds: float = float("inf")
) -> dict[str, dict[str, float]]:
    """Measure the median and the 95th percentile of each call's milliseconds: `{name: {"p50": ..., "p95": ...}}`.

    The calls take turns, so that other work on the machine slows all of them equally.

    Args:
        calls: the functions to call, by name.
        repeats: number of measured turns, after `WARM_UP_CALLS` unmeasured ones.
        seconds: no turn begins after so many seconds, but at least one is measured.
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
    """Return the number of weights of an encoder, BERT's or a relative's, with a linear head of `num_outputs` columns.

    It builds no model. `has_pooler`: whether the encoder or the head has a dense layer on the first token.
    `embedding_size` and `attention_size` (of all heads together) are `hidden_size` by default.
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
    """Measure the median milliseconds of a forward pass; each model is compiled as a `tf.function`, in its own dtype.

    Args:
        models: the models by name; each takes `input_ids`, `attention_mask` and `token_type_ids` and returns `logits`.
        seq_len: number of tokens of every row, without padding.
        batch_size: number of rows of a call.
        repeats: number of measured calls of each model.
    """
    import tensorflow as tf

    inputs = {name: tf.constant(value) for name, value in full_inputs(batch_size, seq_len).items()}

    def call(model: Any) -> Callable[[], object]:
        forward = _compiled(model)
        return lambda: forward(inputs).numpy()

    found = measure_calls({name: call(model) for name, model in models.items()}, repeats)
    return {name: times["p50"] for name, times in found.items()}


def full_inputs(batch_size: int, seq_len: int) -> dict[str, np.ndarray]:
    """Make inputs without padding, each `(batch_size, seq_len)` int32."""
    return {name: np.full((batch_size, seq_len), value, np.int32) for name, value in _INPUT_VALUES.items()}


_INPUT_VALUES = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}


def _compiled(model: Any) -> Any:
    import tensorflow as tf

    @tf.function
    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)["logits"]

    return forward
