"""Labels of tokens, in a flat array like the tokens', padded for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Marks positions without a label: special tokens, all but a word's first piece, padding.
NO_LABEL = -100


@dataclass(frozen=True)
class TokenLabels:
    """A label for each token: `values`, `(tokens,)` int32, holds those of all rows one after the other.

    Row `i` is `offsets[i]:offsets[i + 1]`, as in `TokenizedTexts`.

    Example:
        >>> labels = TokenLabels(np.array([-100, 1, -100, -100, 2, 0, -100]), np.array([0, 3, 7]))
        >>> labels.padded(np.array([1, 0]), 4).tolist()
        [[-100, 2, 0, -100], [-100, 1, -100, -100]]
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def padded(self, rows: Sequence[int] | np.ndarray, length: int) -> np.ndarray:
        """The labels of `rows`, `(len(rows), length)` int32, -100 on padding; no row is longer."""
        starts = self.offsets[rows]
        lengths = self.offsets[np.asarray(rows) + 1] - starts
        columns = np.arange(length)
        is_token = columns < lengths[:, None]
        padded = np.full(is_token.shape, NO_LABEL, np.int32)
        padded[is_token] = self.values[(starts[:, None] + columns)[is_token]]
        return padded
