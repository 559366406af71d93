"""The bootstrap against numbers worked out by hand and the formulas of simple cases."""

from __future__ import annotations

import numpy as np
import pytest

from tinybert_tf.labels import Labels
from tinybert_tf.metrics import TASK_METRICS, Measured, bootstrap, compare, is_beyond_noise, standard_error
from tinybert_tf.metrics.bootstrap import draw, resample


def measured(right: np.ndarray) -> Measured:
    """A model of two classes that is right on these rows; every second label is 1."""
    labels = np.arange(len(right)) % 2
    logits = np.eye(2)[np.where(right, labels, 1 - labels)]
    return TASK_METRICS["sequence_classification"].measure_fully(logits, labels, Labels(("no", "yes")))


def test_every_resample_draws_as_many_rows_as_there_are() -> None:
    drawn = np.concatenate(list(draw(50, 400)), axis=1)
    assert drawn.shape == (50, 400)
    assert set(drawn.sum(axis=0)) == {50.0}
    # A row is drawn once on average, with a variance of 1 - 1/50; (1 - 1/50)^50 = 36.4 % of resamples are without it.
    assert drawn.mean() == 1.0
    assert drawn.var() == pytest.approx(1 - 1 / 50, rel=0.05)
    assert (drawn == 0).mean() == pytest.approx(0.364, abs=0.01)


def test_equally_many_rows_are_drawn_in_the_same_way() -> None:
    """So runs that were measured apart are compared on the same resamples."""
    for one, other in zip(draw(50), draw(50), strict=True):
        np.testing.assert_array_equal(one, other)


def test_large_data_sets_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draw(20, 50)), axis=1)
    monkeypatch.setattr(bootstrap, "COUNTS_AT_A_TIME", 20 * 7)
    parts = list(draw(20, 50))
    assert [part.shape[1] for part in parts] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize(("rows", "right"), [(400, 320), (1000, 990), (40, 30)])
def test_the_standard_error_of_an_accuracy(rows: int, right: int) -> None:
    """sqrt(p (1 - p) / n), within the 2.2 % that 1,000 resamples leave open, three times."""
    found = measured(np.arange(rows) < right).standard_errors["accuracy"]
    assert found == pytest.approx(np.sqrt(right / rows * (1 - right / rows) / rows), rel=0.07)


def test_the_standard_error_of_a_correlation() -> None:
    """(1 - r^2) / sqrt(n) for values from a normal distribution."""
    rng = np.random.default_rng(0)
    labels = rng.normal(size=2000)
    answers = (labels + rng.normal(size=2000) * 0.75)[:, None]
    found = TASK_METRICS["regression"].measure_fully(answers, labels)
    expected = (1 - found.metrics["pearson"] ** 2) / np.sqrt(2000)
    assert found.standard_errors["pearson"] == pytest.approx(expected, rel=0.12)


def test_two_rows_by_hand() -> None:
    """One right row and one wrong one: accuracies of 0, 1/2 and 1 in 1/4, 1/2, 1/4 of all resamples, variance 1/8."""
    resamples = resample(lambda counts: {"accuracy": counts[0] / 2}, rows=2, resamples=20_000)["accuracy"]
    assert [np.mean(resamples == value) for value in (0.0, 0.5, 1.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    assert standard_error(resamples) == pytest.approx(np.sqrt(1 / 8), rel=0.02)


def test_a_difference_of_equal_models_is_0_without_an_error() -> None:
    one, other = measured(np.arange(40) < 30), measured(np.arange(40) < 30)
    nothing = {"difference": 0.0, "standard_error": 0.0, "interval": [0.0, 0.0]}
    assert one.less(other) == dict.fromkeys(("accuracy", "f1", "f1_macro", "matthews_correlation"), nothing)
    assert not is_beyond_noise(one.less(other)["accuracy"])


def test_a_difference_is_paired() -> None:
    """The first model alone is right on 40 of 400 rows, the second one alone on 10: difference 30/400 = 0.075.

    A row's difference is 1, -1 or 0; its variance 50/400 - 0.075^2. Unpaired, the error would be twice as large.
    """
    rows = np.arange(400)
    one, other = measured(rows < 320), measured((rows >= 40) & (rows < 330))
    found = one.less(other)["accuracy"]
    assert found["difference"] == pytest.approx(0.075)
    paired = np.sqrt((50 / 400 - 0.075**2) / 400)
    assert found["standard_error"] == pytest.approx(paired, rel=0.07)
    assert found["interval"] == pytest.approx([0.075 - 1.96 * paired, 0.075 + 1.96 * paired], abs=0.005)
    unpaired = np.hypot(one.standard_errors["accuracy"], other.standard_errors["accuracy"])
    assert found["standard_error"] < 0.7 * unpaired


def test_the_interval_holds_the_true_difference_in_95_percent_of_all_data_sets() -> None:
    """300 data sets of 200 rows, in which both models are right with the same probability."""
    rng = np.random.default_rng(3)
    beyond = 0
    for _ in range(300):
        one, other = rng.random((2, 200)) < 0.8
        counts = [each.astype("float64") for each in (one, other)]
        differences = resample(lambda drawn: {"d": (counts[0] - counts[1]) @ drawn / 200}, 200, 200)["d"]  # noqa: B023
        beyond += is_beyond_noise(compare(one.mean() - other.mean(), differences))
    assert 3 <= beyond <= 30  # 15 of 300 on average, with a standard deviation of 3.8


@pytest.mark.parametrize(
    ("interval", "beyond"), [([0.01, 0.03], True), ([-0.03, -0.01], True), ([0.0, 0.03], False), ([-0.01, 0.03], False)]
)
def test_beyond_noise(interval: list[float], beyond: bool) -> None:
    comparison: bootstrap.Comparison = {"difference": sum(interval) / 2, "standard_error": 0.01, "interval": interval}
    assert is_beyond_noise(comparison) is beyond
