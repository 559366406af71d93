import numpy as np
import pytest

from tinybert_tf.data.batches.permutation import RandomPermutation


def order(size: int, seed: int = 1) -> np.ndarray:
    return RandomPermutation(size, np.random.default_rng(seed))(np.arange(size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097, 70_000])
def test_every_number_comes_once(size):
    assert sorted(order(size).tolist()) == list(range(size))


def test_it_is_a_function_of_the_generator():
    assert order(1000).tolist() == order(1000).tolist()
    assert order(1000, seed=2).tolist() != order(1000).tolist()
    permutation = RandomPermutation(1000, np.random.default_rng(1))
    assert permutation(np.array([7, 3, 7])).tolist() == order(1000)[[7, 3, 7]].tolist()


def test_it_does_not_change_between_releases():
    """Golden: a resumed run must meet the order it was interrupted in."""
    assert order(10).tolist() == [8, 7, 3, 5, 4, 9, 6, 0, 2, 1]


@pytest.mark.parametrize("size", [6, 100])
def test_every_place_is_equally_likely(size):
    runs = 3000
    orders = np.array([order(size, seed) for seed in range(runs)])
    for place in (0, size // 2, size - 1):
        counts = np.bincount(orders[:, place], minlength=size)
        # Chi-squared with size - 1 degrees of freedom, five standard deviations from its mean.
        assert ((counts - runs / size) ** 2 / (runs / size)).sum() < size - 1 + 5 * np.sqrt(2 * (size - 1))


def test_neighbours_are_torn_apart():
    ordered = order(10_000)
    assert abs(np.corrcoef(ordered[:-1], ordered[1:])[0, 1]) < 0.05
    assert abs(np.corrcoef(ordered, np.arange(10_000))[0, 1]) < 0.05
    assert np.mean(np.abs(np.diff(ordered))) == pytest.approx(10_000 / 3, rel=0.05)  # of independent draws


def test_numbers_beyond_32_bits():
    permutation = RandomPermutation(10**13, np.random.default_rng(1))
    sent = permutation(np.arange(10**13 - 1000, 10**13))
    assert len(set(sent.tolist())) == 1000
    assert sent.min() >= 0
    assert sent.max() < 10**13
