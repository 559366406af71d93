"""Arithmetic that several losses share: means over real tokens, unit vectors, divergences."""

from __future__ import annotations

from typing import Any

from keras import ops

from tinybert_tf.distillation.losses.base import global_mean

# Below this a squared length counts as 0: a vector without a direction has no gradient either, rather than NaN.
TINY = 1e-12
# Added to the scores of padded columns: no weight after the softmax, and finite, so that differences are 0.
MASKED = -1e9


def masked_sum(values: Any, mask: Any, counted: Any = 1.0) -> tuple[Any, Any]:
    """`(total, count)` of `(batch,)`, or of `(batch, seq_len)` over real tokens; `counted` 0 leaves a value out."""
    weights = counted * (mask if len(values.shape) == 2 else ops.ones_like(values))
    return ops.sum(values * weights), ops.sum(weights)


def masked_mean(values: Any, mask: Any, counted: Any = 1.0) -> Any:
    """The mean of the values that `masked_sum` counts, a scalar; 0 where it counts none."""
    return global_mean(*masked_sum(values, mask, counted))


def sum_of_rows(values: Any) -> tuple[Any, Any]:
    """`(total, count)` of the means over each row of `(batch, ...)`, padding included."""
    rows = ops.mean(values, axis=tuple(range(1, len(values.shape))))
    return ops.sum(rows), ops.sum(ops.ones_like(rows))


def scaled(factor: float, mean: tuple[Any, Any]) -> tuple[Any, Any]:
    """`factor` times a mean given as `(total, count)`."""
    return factor * mean[0], mean[1]


def length(vectors: Any, axis: int | tuple[int, ...] = -1, keepdims: bool = False) -> Any:
    """Euclidean length along `axis`, at least 1e-6."""
    return ops.sqrt(ops.maximum(ops.sum(ops.square(vectors), axis=axis, keepdims=keepdims), TINY))


def unit(vectors: Any, axis: int = -1) -> Any:
    """The vectors along `axis`, scaled to length 1; 0 stays 0."""
    return vectors / length(vectors, axis=axis, keepdims=True)


def kl_divergence(student: Any, teacher: Any) -> Any:
    """`KL(softmax(teacher) || softmax(student))` along the last axis, `(..., classes)` to `(...)`."""
    difference = ops.log_softmax(teacher, axis=-1) - ops.log_softmax(student, axis=-1)
    return ops.sum(ops.softmax(teacher, axis=-1) * difference, axis=-1)


def row_divergence(student: Any, teacher: Any, mask: Any) -> tuple[Any, Any]:
    """`(total, count)` of `kl_divergence` over real tokens, averaged over heads.

    Scores are `(batch, heads, seq_len, seq_len)`. Columns of padding are left out of the softmax, rows of padding out
    of the mean.
    """
    padded = (1.0 - mask[:, None, None, :]) * MASKED
    rows = kl_divergence(student + padded, teacher + padded)  # (batch, heads, seq_len)
    return masked_sum(ops.mean(rows, axis=1), mask)
