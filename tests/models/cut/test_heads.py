"""Narrow heads: what they keep of scores and outputs, against the best that any of that rank can."""

from __future__ import annotations

import numpy as np

from tinybert_tf.models.cut.heads import most_important_heads, narrow_head

GENERATOR = np.random.default_rng(1)
WIDE, NARROW, TOKENS = 6, 3, 40


def rows(rank: int = WIDE) -> np.ndarray:
    return GENERATOR.normal(size=(TOKENS, rank)) @ GENERATOR.normal(size=(rank, WIDE))


def test_scores_of_a_head_that_fits_are_kept_with_their_scale() -> None:
    queries, keys = rows(NARROW), rows(WIDE)
    head = narrow_head(0, queries, keys, rows(), GENERATOR.normal(size=(WIDE, 5)), NARROW)
    narrow = (queries @ head.queries) @ (keys @ head.keys).T / np.sqrt(NARROW)
    np.testing.assert_allclose(narrow, queries @ keys.T / np.sqrt(WIDE), atol=1e-4)


def test_no_product_of_that_rank_is_nearer_to_the_scores() -> None:
    queries, keys = rows(), rows()
    head = narrow_head(0, queries, keys, rows(), GENERATOR.normal(size=(WIDE, 5)), NARROW)
    scores = queries @ keys.T
    error = np.linalg.norm((queries @ head.queries) @ (keys @ head.keys).T * np.sqrt(WIDE / NARROW) - scores)
    best = np.linalg.norm(np.linalg.svd(scores, compute_uv=False)[NARROW:])
    np.testing.assert_allclose(error, best, rtol=1e-6)


def test_no_output_of_that_rank_is_nearer() -> None:
    context, output_kernel = rows(), GENERATOR.normal(size=(WIDE, 5))
    head = narrow_head(0, rows(), rows(), context, output_kernel, NARROW)
    output = context @ output_kernel
    error = np.linalg.norm(context @ head.values @ head.output @ output_kernel - output)
    np.testing.assert_allclose(error, np.linalg.norm(np.linalg.svd(output, compute_uv=False)[NARROW:]), rtol=1e-6)


def test_a_head_of_the_same_size_is_left_alone() -> None:
    head = narrow_head(2, rows(), rows(), rows(), GENERATOR.normal(size=(WIDE, 5)), WIDE)
    for matrix in (head.queries, head.keys, head.values, head.output):
        np.testing.assert_array_equal(matrix, np.eye(WIDE))


def test_the_heads_whose_outputs_vary_are_kept_in_order() -> None:
    context = GENERATOR.normal(size=(TOKENS, 4, WIDE)) * np.array([5.0, 1.0, 3.0, 0.1])[:, None]
    context[:, 1] += 100.0  # large, but the same for every token
    kernels = np.stack([np.eye(WIDE)] * 4)
    assert most_important_heads(context, kernels, 2) == [0, 2]


def test_a_wider_head_gives_the_same_scores_and_output_and_can_learn_more() -> None:
    queries, keys, context, output_kernel = rows(), rows(), rows(), GENERATOR.normal(size=(WIDE, 5))
    head = narrow_head(0, queries, keys, context, output_kernel, WIDE + 3)
    scores = (queries @ head.queries) @ (keys @ head.keys).T / np.sqrt(WIDE + 3)
    np.testing.assert_allclose(scores, queries @ keys.T / np.sqrt(WIDE), atol=1e-12)
    np.testing.assert_allclose(context @ head.values @ head.output @ output_kernel, context @ output_kernel, atol=1e-12)
    # Where one factor of a product is zero its gradient is the other one, which must not be.
    assert not head.queries[:, WIDE:].any()
    assert not head.output[WIDE:].any()
    assert head.keys[:, WIDE:].std() > 0.1
    assert head.values[:, WIDE:].std() > 0.1
