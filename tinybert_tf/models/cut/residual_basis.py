"""Choosing the directions of the teacher's hidden states that the narrower student keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tinybert_tf.models.cut.least_squares import Affine, Moments

# Dropped directions are predicted from the kept ones with almost no ridge: both come from the same tokens.
RIDGE = 1e-6


def principal_components(covariance: np.ndarray, width: int) -> np.ndarray:
    """Return the `width` directions in which hidden states vary most, `(teacher_width, width)`, orthonormal columns.

    SliceGPT (arXiv 2401.15024) keeps these directions of a decoder's residual stream.
    """
    _, vectors = np.linalg.eigh(covariance)
    return vectors[:, ::-1][:, :width]


def widest_channels(covariance: np.ndarray, width: int) -> np.ndarray:
    """Return the `width` channels that vary most, as columns of the identity in the teacher's order.

    Minitron (arXiv 2407.14679) ranks a decoder's channels by their activations too.
    """
    chosen = np.sort(np.argsort(-np.diag(covariance), kind="stable")[:width])
    return np.eye(len(covariance))[:, chosen]


BASES: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "components": principal_components,
    "channels": widest_channels,
}


def residual_basis(moments: Iterable[Moments], width: int, kind: str) -> np.ndarray:
    """Return a basis `(teacher_width, width)`: the student's hidden states are to be `teacher hidden @ basis`.

    `moments` holds those of the embeddings and of each mapped layer. Every hidden state counts the same, whatever its
    size: covariances are divided by their trace. `kind` is a key of `BASES`: `components`, orthonormal principal
    components, the largest first, or `channels`, the channels that vary most. If the widths are equal, the basis is the
    identity, whatever `kind` is.
    """
    covariances = [each.covariance for each in moments]
    pooled = sum(covariance / np.trace(covariance) for covariance in covariances)
    return np.eye(width) if len(covariances[0]) == width else BASES[kind](np.asarray(pooled), width)


def expansion(moments: Moments, basis: np.ndarray) -> Affine:
    """Return the affine map from the student's hidden states back to the teacher's, by least squares.

    It maps `(..., width)` to `(..., teacher_width)`: the dropped directions are predicted from the kept ones.
    """
    kept = basis.T @ moments.covariance @ basis
    prior = np.linalg.pinv(basis)
    # A single row does not vary: only the prior is left.
    penalty = max(RIDGE * np.trace(kept) / len(kept), np.finfo(np.float64).tiny) * np.eye(len(kept))
    kernel = prior + np.linalg.solve(kept + penalty, basis.T @ moments.covariance - kept @ prior)
    return Affine(kernel, moments.mean - moments.mean @ basis @ kernel)
