"""The noise of means over seeds, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf.metrics import compare
from tinybert_tf.pipeline.ablation.noise import estimate

WAVE = np.array([-1.0, 0.0, 1.0])  # a standard deviation of 1 (n - 1)


def test_one_seed_is_the_bootstrap_of_the_rows() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.01, 1000)
    found, expected = estimate([0.02], [values]), compare(0.02, values)
    assert (found.mean, found.standard_error, list(found.interval)) == tuple(expected.values())
    assert found.is_beyond_noise is (found.interval[0] > 0)


def test_two_seeds_by_hand() -> None:
    """Rows: the mean of both seeds' resamples has a deviation of 0.02. Seeds: variance 0.0008 / 2 = 0.0004.

    Error sqrt(0.0004 + 0.0004) = 0.0283; degrees of freedom 1 * (0.0008 / 0.0004)^2 = 4, t = 2.776.
    """
    found = estimate([0.08, 0.12], [0.01 * WAVE, 0.03 * WAVE])
    assert found.mean == pytest.approx(0.10)
    assert found.standard_error == pytest.approx(np.sqrt(0.0008))
    reach = 2.7764 * np.sqrt(0.0008)
    assert found.interval == pytest.approx((0.10 - reach, 0.10 + reach), abs=1e-5)
    assert found.is_beyond_noise


def test_seeds_that_agree_leave_the_noise_of_the_rows() -> None:
    found = estimate([0.1, 0.1, 0.1], [0.02 * WAVE] * 3)
    assert found.standard_error == pytest.approx(0.02)
    assert found.interval == pytest.approx((0.1 - 1.96 * 0.02, 0.1 + 1.96 * 0.02), abs=1e-5)


def test_rows_that_cancel_over_seeds_are_no_noise() -> None:
    """The resamples of one seed go up where the other's go down."""
    found = estimate([0.1, 0.1], [0.02 * WAVE, -0.02 * WAVE])
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_holds_the_truth_in_95_percent(seeds: int) -> None:
    """600 ablations whose true difference is 0, with as much noise of rows as of seeds."""
    rng = np.random.default_rng(seeds)
    beyond = 0
    for _ in range(600):
        of_rows, of_seeds = rng.normal(0, 0.01), rng.normal(0, 0.01 * np.sqrt(seeds), seeds)
        resamples = [rng.normal(0, 0.01, 400)] * seeds  # the same rows for all seeds
        beyond += estimate(list(of_rows + of_seeds), resamples).is_beyond_noise
    assert 0.02 * 600 <= beyond <= 0.08 * 600
