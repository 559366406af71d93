"""`cluster_weights`: centroids by hand, TFMOT's own choice of the nearest, zeros that stay zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinybert_tf import InputError, cluster_weights
from tinybert_tf.compression.clustering import centroids_of, nearest
from tinybert_tf.compression.pruning import prunable_weights
from tinybert_tf.compression.tfmot import tfmot_module
from tinybert_tf.evaluation.cost import gzipped_size


def test_centroids_by_hand() -> None:
    # From -1, 1, 3: of the first are -1 and -0.6, of the second 0.5 and 1.1, of the third 3. Nothing moves then.
    weights = np.array([3.0, -1.0, 0.5, -0.6, 1.1], np.float32)
    np.testing.assert_allclose(centroids_of(weights, 3), [-0.8, 0.8, 3.0], rtol=1e-6)
    np.testing.assert_allclose(nearest(weights, centroids_of(weights, 3)), [3.0, -0.8, 0.8, -0.8, 0.8], rtol=1e-6)


def test_centroids_that_are_nobodys_nearest_go() -> None:
    assert centroids_of(np.array([0.0, 0.1, 10.0], np.float32), 4) == pytest.approx([0.05, 10.0])


def test_the_nearest_is_tfmots() -> None:
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=500).astype(np.float32)
    centroids = centroids_of(weights, 7)
    algorithm = tfmot_module("clustering.keras.clustering_algorithm").ClusteringAlgorithm(tf.Variable(centroids))
    theirs = centroids[np.asarray(algorithm.get_pulling_indices(tf.constant(weights)))]
    np.testing.assert_array_equal(nearest(weights, centroids), theirs)


def test_every_matrix_has_few_values_and_its_zeros(make_model: Callable[..., Any]) -> None:
    model = make_model()
    matrices = prunable_weights(model, r".*(kernel|word_embeddings/embeddings)")
    kernel = matrices["layer_1/intermediate/kernel"]
    kernel.assign(np.where(np.arange(24) % 2, kernel.numpy(), 0))
    untouched = model.variables_by_name()["embeddings/position_embeddings/embeddings"].numpy()
    before, size = kernel.numpy(), gzipped_size(model.encoder.encoder_layers[0])
    cluster_weights(model, 8)
    for variable in matrices.values():
        values = variable.numpy()
        assert len(np.unique(values[values != 0])) <= 8
    np.testing.assert_array_equal(kernel.numpy() == 0, before == 0)
    # Eight values of a normal distribution, as k-means has them, miss 3.5 % of its variance (Max 1960, table I).
    assert np.mean((kernel.numpy() - before) ** 2) < 0.05 * np.mean(before**2)
    np.testing.assert_array_equal(
        model.variables_by_name()["embeddings/position_embeddings/embeddings"].numpy(), untouched
    )
    assert gzipped_size(model.encoder.encoder_layers[0]) < size / 3


def test_refused(make_model: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="num_clusters: expected an integer >= 2, got 1"):
        cluster_weights(make_model(), 1)
    with pytest.raises(InputError, match="kernels='nothing' matches no weight"):
        cluster_weights(make_model(), 8, kernels="nothing")
