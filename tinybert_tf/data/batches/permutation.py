"""A random order of many things that takes no memory."""

from __future__ import annotations

import numpy as np

ROUNDS = 6


class RandomPermutation:
    """A permutation of `0..size - 1` that is computed when it is needed, and never stored.

    A Feistel network with `ROUNDS` rounds over the smallest even number of bits that holds `size`; numbers at or above
    `size` are sent through it again until they are below ("cycle walking": Black and Rogaway, "Ciphers with arbitrary
    finite domains", 2002). Its keys are drawn from `generator`, so it is a function of the generator's state.

    Example:
        >>> sorted(RandomPermutation(5, np.random.default_rng(1))(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
    """

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.size = size
        self._half_bits = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._half_mask = np.uint64((1 << int(self._half_bits)) - 1)
        self._keys = generator.integers(0, 1 << 64, ROUNDS, dtype=np.uint64)

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """The images of `indices`, which are in `[0, size)`; int64."""
        values = self._once(np.asarray(indices).astype(np.uint64))
        while (outside := values >= self.size).any():
            values[outside] = self._once(values[outside])
        return values.astype(np.int64)

    def _once(self, values: np.ndarray) -> np.ndarray:
        left, right = values >> self._half_bits, values & self._half_mask
        for key in self._keys:
            left, right = right, left ^ (_scrambled(right ^ key) & self._half_mask)
        return (left << self._half_bits) | right


def _scrambled(values: np.ndarray) -> np.ndarray:
    """A hash of 64 bits: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
