"""Moments and ridge regression against NumPy's own answers."""

from __future__ import annotations

import numpy as np

from tinybert_tf.models.cut.least_squares import LeastSquares, Moments

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(50, 4)) @ GENERATOR.normal(size=(4, 4)) + 3.0


def test_moments_of_batches_are_those_of_all_rows() -> None:
    moments = Moments.of(ROWS[:7], ROWS[7:])
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, ROWS.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(ROWS.T, bias=True), rtol=1e-9)
    np.testing.assert_allclose(moments.second_moment, ROWS.T @ ROWS / 50, rtol=1e-12)


def test_merged_moments_are_those_of_both() -> None:
    merged = Moments.of(ROWS[:7])
    merged.merge(Moments.of(ROWS[7:]))
    np.testing.assert_allclose(merged.covariance, Moments.of(ROWS).covariance, rtol=1e-12)


def test_an_affine_relation_is_found() -> None:
    kernel, bias = GENERATOR.normal(size=(4, 3)), GENERATOR.normal(size=3)
    fitted = LeastSquares(np.zeros((4, 3)), ridge=1e-12)
    for batch in (ROWS[:20], ROWS[20:]):
        fitted.add(batch, batch @ kernel + bias)
    found = fitted.solve()
    np.testing.assert_allclose(found.kernel, kernel, atol=1e-8)
    np.testing.assert_allclose(found(ROWS), ROWS @ kernel + bias, atol=1e-8)


def test_the_ridge_is_towards_the_prior() -> None:
    """Against the closed form, written out for one output and centred rows."""
    prior, ridge = GENERATOR.normal(size=(4, 1)), 0.3
    targets = GENERATOR.normal(size=(50, 1))
    fitted = LeastSquares(prior, ridge)
    fitted.add(ROWS, targets)
    centred, wanted = ROWS - ROWS.mean(axis=0), targets - targets.mean(axis=0)
    penalty = ridge * 50 * centred.var(axis=0).mean()
    expected = np.linalg.solve(centred.T @ centred + penalty * np.eye(4), centred.T @ wanted + penalty * prior)
    np.testing.assert_allclose(fitted.solve().kernel, expected, rtol=1e-9)


def test_where_the_rows_say_nothing_the_prior_holds() -> None:
    rows = np.concatenate([ROWS[:, :2], np.full((50, 2), 7.0)], axis=1)
    prior = np.arange(4.0)[:, None]
    fitted = LeastSquares(prior, ridge=1e-3)
    fitted.add(rows, rows[:, :1])
    np.testing.assert_allclose(fitted.solve().kernel[2:], prior[2:], rtol=1e-12)


def test_of_a_single_row_the_prior_holds() -> None:
    prior = np.arange(8.0).reshape(4, 2)
    fitted = LeastSquares(prior, ridge=1e-3)
    fitted.add(ROWS[:1], np.array([[1.0, 2.0]]))
    found = fitted.solve()
    np.testing.assert_allclose(found.kernel, prior, atol=1e-3)
    np.testing.assert_allclose(found(ROWS[:1]), [[1.0, 2.0]], atol=1e-9)
