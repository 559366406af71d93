"""Linear maps fitted to activations, one batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A variance below this fraction of the second moment is a rounding error.
VARIANCE_FLOOR = 1e-9


@dataclass(frozen=True)
class Affine:
    """The map `x @ kernel + bias`: `kernel` `(inputs, outputs)`, `bias` `(outputs,)`, float64."""

    kernel: np.ndarray
    bias: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Map `(..., inputs)` to `(..., outputs)`."""
        return rows @ self.kernel + self.bias


class Moments:
    """Mean and covariance of rows that come in batches, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: np.ndarray | float = 0.0
        self._products: np.ndarray | float = 0.0

    def add(self, rows: np.ndarray) -> None:
        """Take in rows, `(rows, width)`."""
        rows = rows.astype(np.float64)
        self.count += len(rows)
        self._sum = self._sum + rows.sum(axis=0)
        self._products = self._products + rows.T @ rows

    def merge(self, other: Moments) -> None:
        """Take in the rows of another `Moments`."""
        self.count += other.count
        self._sum = self._sum + other._sum
        self._products = self._products + other._products

    @property
    def mean(self) -> np.ndarray:
        """Mean of the rows, `(width,)`."""
        return np.asarray(self._sum) / self.count

    @property
    def second_moment(self) -> np.ndarray:
        """Mean of the outer products, not centred, `(width, width)`."""
        return np.asarray(self._products) / self.count

    @property
    def covariance(self) -> np.ndarray:
        """`(width, width)`, divided by the number of rows."""
        return self.second_moment - np.outer(self.mean, self.mean)

    @classmethod
    def of(cls, *batches: np.ndarray) -> Moments:
        """The moments of all rows of `batches`."""
        moments = cls()
        for rows in batches:
            moments.add(rows)
        return moments


class LeastSquares:
    """The affine map that gives `targets` from `rows` with the least squared error, drawn towards a `prior`.

    Minimises `mean |x W + b - y|^2 + ridge * s * |W - W_prior|^2` over all added rows, where `s` is the mean variance
    of a column of `x`: ridge regression (Hoerl and Kennard 1970) around the prior, with a free bias. The prior decides
    in directions in which the rows hardly vary.
    """

    def __init__(self, prior: np.ndarray, ridge: float) -> None:
        self._prior = prior
        self._ridge = ridge
        self._inputs = Moments()
        self._cross: np.ndarray | float = 0.0
        self._target_sum: np.ndarray | float = 0.0

    def add(self, rows: np.ndarray, targets: np.ndarray) -> None:
        """Take in `(rows, inputs)` and `(rows, outputs)`."""
        self._inputs.add(rows)
        self._cross = self._cross + rows.astype(np.float64).T @ targets.astype(np.float64)
        self._target_sum = self._target_sum + targets.sum(axis=0, dtype=np.float64)

    def solve(self) -> Affine:
        """Return the fitted map."""
        covariance = self._inputs.covariance
        mean, target_mean = self._inputs.mean, np.asarray(self._target_sum) / self._inputs.count
        cross = np.asarray(self._cross) / self._inputs.count - np.outer(mean, target_mean)
        # A single row has no variance, only rounding errors: the prior decides.
        variance = max(np.trace(covariance), VARIANCE_FLOOR * np.trace(self._inputs.second_moment))
        penalty = self._ridge * max(variance / len(covariance), np.finfo(np.float64).tiny)
        correction = np.linalg.solve(covariance + penalty * np.eye(len(covariance)), cross - covariance @ self._prior)
        kernel = self._prior + correction
        return Affine(kernel, target_mean - mean @ kernel)
