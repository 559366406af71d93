"""Which directions of the teacher's hidden states the narrower student keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tinybert_tf.models.cut.least_squares import Affine, Moments

# Dropped directions are predicted from the kept ones with next to no ridge: both were seen on the same tokens.
RIDGE = 1e-6


def principal_components(covariance: np.ndarray, width: int) -> np.ndarray:
    """The `width` directions in which hidden states vary most, `(teacher_width, width)`, orthonormal columns.

    What SliceGPT (arXiv 2401.15024) keeps of a decoder's residual stream.
    """
    _, vectors = np.linalg.eigh(covariance)
    return vectors[:, ::-1][:, :width]


def widest_channels(covariance: np.ndarray, width: int) -> np.ndarray:
    """The `width` channels that vary most: columns of the identity, in the teacher's order.

    Ranking channels by their activations is what Minitron (arXiv 2407.14679) does for decoders.
    """
    chosen = np.sort(np.argsort(-np.diag(covariance), kind="stable")[:width])
    return np.eye(len(covariance))[:, chosen]


BASES: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "components": principal_components,
    "channels": widest_channels,
}


def residual_basis(moments: Iterable[Moments], width: int, kind: str) -> np.ndarray:
    """A basis `(teacher_width, width)` for all hidden states of the student: `teacher hidden @ basis` is what it holds.

    Every hidden state counts the same, whatever its size: covariances are divided by their trace. Of equal widths it
    is the identity.
    """
    covariances = [each.covariance for each in moments]
    pooled = sum(covariance / np.trace(covariance) for covariance in covariances)
    return np.eye(width) if len(covariances[0]) == width else BASES[kind](np.asarray(pooled), width)


def expansion(moments: Moments, basis: np.ndarray) -> Affine:
    """The affine map from what the student keeps back to the teacher's hidden states, by least squares.

    It maps `(..., width)` to `(..., teacher_width)`; what was dropped is predicted from what was kept.
    """
    kept = basis.T @ moments.covariance @ basis
    prior = np.linalg.pinv(basis)
    # Of a single row nothing varies, and the prior alone is left.
    penalty = max(RIDGE * np.trace(kept) / len(kept), np.finfo(np.float64).tiny) * np.eye(len(kept))
    kernel = prior + np.linalg.solve(kept + penalty, basis.T @ moments.covariance - kept @ prior)
    return Affine(kernel, moments.mean - moments.mean @ basis @ kernel)
