"""The student's basis and the way back to the teacher's hidden states."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf.models.cut.least_squares import Moments
from tinybert_tf.models.cut.residual_basis import expansion, residual_basis

GENERATOR = np.random.default_rng(2)
# Six channels that live in three dimensions, and one of them large.
HIDDEN = GENERATOR.normal(size=(200, 3)) @ GENERATOR.normal(size=(3, 6)) + 1.0


def test_components_hold_everything_where_they_can() -> None:
    moments = Moments.of(HIDDEN)
    basis = residual_basis([moments], 3, "components")
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(expansion(moments, basis)(HIDDEN @ basis), HIDDEN, atol=1e-4)


def test_dropped_channels_are_predicted_from_kept_ones() -> None:
    moments = Moments.of(HIDDEN)
    basis = residual_basis([moments], 3, "channels")
    kept = basis.argmax(axis=0)
    np.testing.assert_array_equal(basis, np.eye(6)[:, kept])
    assert sorted(kept) == sorted(np.argsort(-HIDDEN.var(axis=0))[:3])
    np.testing.assert_allclose(expansion(moments, basis)(HIDDEN @ basis), HIDDEN, atol=1e-3)


def test_every_hidden_state_counts_the_same() -> None:
    small = np.zeros((50, 4))
    small[:, 0] = GENERATOR.normal(size=50)
    large = np.zeros((50, 4))
    large[:, 1:3] = 100.0 * GENERATOR.normal(size=(50, 2))
    basis = residual_basis([Moments.of(small), Moments.of(large)], 1, "channels")
    assert basis[0, 0] == 1.0  # all of the small one's variance, at most about half of the large one's


@pytest.mark.parametrize("kind", ["components", "channels"])
def test_of_equal_widths_nothing_is_rotated(kind: str) -> None:
    np.testing.assert_array_equal(residual_basis([Moments.of(HIDDEN)], 6, kind), np.eye(6))


def test_of_rows_that_do_not_vary_the_prior_is_left() -> None:
    affine = expansion(Moments.of(np.ones((5, 6))), np.eye(6)[:, :2])
    np.testing.assert_array_equal(affine.kernel, np.eye(6)[:2])
    np.testing.assert_allclose(affine(np.ones((1, 2))), np.ones((1, 6)))
