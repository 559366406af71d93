"""Narrower, wider and fewer attention heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# No division by a variance below this fraction of the largest one.
SMALLEST_VARIANCE = 1e-7


@dataclass(frozen=True)
class NarrowHead:
    """The maps that make a head of the student from head `number` of the teacher (counted from 0).

    `queries`, `keys` and `values`, each `(teacher_head_size, student_head_size)`, map the teacher's to the student's.
    `output`, `(student_head_size, teacher_head_size)`, maps the narrow values back in front of the output projection.
    """

    number: int
    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    output: np.ndarray


def most_important_heads(context: np.ndarray, output_kernel: np.ndarray, count: int) -> list[int]:
    """Return the numbers of the `count` heads whose output varies most, ascending.

    Args:
        context: `(tokens, heads, head_size)`.
        output_kernel: `(heads, head_size, hidden_size)`.
        count: heads to keep.
    """
    outputs = (context[:, head] @ output_kernel[head] for head in range(context.shape[1]))
    variances = np.array([output.var(axis=0).sum() for output in outputs])
    return sorted(np.argsort(-variances, kind="stable")[:count].tolist())


def narrow_head(
    number: int, queries: np.ndarray, keys: np.ndarray, context: np.ndarray, output_kernel: np.ndarray, head_size: int
) -> NarrowHead:
    """Find the `head_size` directions that keep a head's scores and its output best, in the least-squares sense.

    A head only enters through the products `Q K^T` and `context W_O`. With `C_Q`, `C_K` the second moments of queries
    and keys, the best approximation of `Q K^T` of a rank r comes from the singular value decomposition of
    `C_Q^1/2 C_K^1/2` (Eckart and Young 1936), and likewise for the output. The scores are rescaled, so that dividing
    them by the square root of the student's head size leaves the teacher's scores.

    Args:
        number: the head's number.
        queries: `(tokens, teacher_head_size)`.
        keys: of the same shape.
        context: the head's weighted values, of the same shape.
        output_kernel: `(teacher_head_size, hidden_size)`.
        head_size: the student's. In a wider head the directions beyond the teacher's change no output yet: their
            queries and outputs are zero. Their keys and values are mixtures of the others, so that they can learn.
    """
    wide = queries.shape[1]
    if head_size == wide:
        identity = np.eye(wide)
        return NarrowHead(number, identity, identity, identity, identity)
    rescale = (head_size / wide) ** 0.25
    if head_size > wide:
        more = np.random.default_rng(number).normal(size=(wide, head_size - wide)) / np.sqrt(wide)
        padded, mixed = np.eye(wide, head_size), np.concatenate([np.eye(wide), more], axis=1)
        return NarrowHead(number, queries=rescale * padded, keys=rescale * mixed, values=mixed, output=padded.T)
    query_root, query_inverse = _root_and_inverse(queries)
    key_root, key_inverse = _root_and_inverse(keys)
    left, singular, right = np.linalg.svd(query_root @ key_root)
    scale = rescale * np.sqrt(singular[:head_size])
    context_root, context_inverse = _root_and_inverse(context)
    directions = np.linalg.svd(context_root @ output_kernel, full_matrices=False)[0][:, :head_size]
    # The values keep their size: one factor scales all of them.
    size = np.sqrt(np.trace(context_root @ context_root) / wide)
    return NarrowHead(
        number,
        queries=query_inverse @ left[:, :head_size] * scale,
        keys=key_inverse @ right[:head_size].T * scale,
        values=context_inverse @ directions * size,
        output=directions.T @ context_root / size,
    )


def _root_and_inverse(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square root of the rows' second moment, and its inverse."""
    values, vectors = np.linalg.eigh(rows.astype(np.float64).T @ rows.astype(np.float64) / len(rows))
    roots = np.sqrt(np.clip(values, max(values[-1] * SMALLEST_VARIANCE, np.finfo(np.float64).tiny), None))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
