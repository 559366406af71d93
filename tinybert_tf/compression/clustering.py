"""`cluster_weights`: gives each matrix few different values, so that a compressed file is small."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinybert_tf.compression.pruning import prunable_weights
from tinybert_tf.errors import InputError

KERNELS_AND_WORDS = r".*(kernel|word_embeddings/embeddings)"
# The most rounds; Lloyd's algorithm in one dimension settles long before.
ROUNDS = 100


def cluster_weights(model: Any, num_clusters: int, kernels: str = KERNELS_AND_WORDS) -> None:
    """Give each matrix of a model `num_clusters` different values besides 0, in place.

    Each weight becomes the nearest centroid, as in TFMOT's weight clustering. The centroids are the k-means of the
    matrix's weights (Lloyd 1982, starting from equal steps between smallest and largest; deep compression, arXiv
    1510.00149, section 3). Zeros stay zero and have no part in the k-means, so pruned weights stay pruned. TFMOT's own
    `cluster_weights` returns None for a Keras 3 model.

    A file of such weights is as large as before, but gzip (for a download or an APK) reduces it to about
    `log2(num_clusters) / 32` of its size. Inference does not become faster.

    Args:
        model: any Keras model.
        num_clusters: number of values in each matrix, at least 2. In our measurements 16 cost no accuracy, and 8 cost
            some tenths of a point.
        kernels: a regular expression, as in `MagnitudePruning`; by default all kernels and the word embeddings.

    Raises:
        InputError: `num_clusters` is below 2, or `kernels` matches no weight.
    """
    if num_clusters < 2:
        raise InputError(f"num_clusters: expected an integer >= 2, got {num_clusters}.")
    for variable in prunable_weights(model, kernels).values():
        values = variable.numpy().astype(np.float32)
        is_kept = values != 0
        if len(np.unique(values[is_kept])) > num_clusters:
            values[is_kept] = nearest(values[is_kept], centroids_of(values[is_kept], num_clusters))
            variable.assign(values)


def centroids_of(weights: np.ndarray, num_clusters: int) -> np.ndarray:
    """Return the k-means of `(weights,)`, ascending, float32; fewer if some centroids are nearest to no weight."""
    ordered = np.sort(weights.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.linspace(ordered[0], ordered[-1], num_clusters)
    for _ in range(ROUNDS):
        borders = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        borders = np.concatenate([[0], borders, [len(ordered)]])
        counts = np.diff(borders)
        is_used = counts > 0
        before, centroids = centroids, np.diff(sums[borders])[is_used] / counts[is_used]
        if len(before) == len(centroids) and np.array_equal(before, centroids):
            break
    return centroids.astype(np.float32)


def nearest(weights: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the nearest of the ascending centroids for each weight."""
    return centroids[np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)]
