"""`Moments`: the running mean and deviation of columns."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.state import GROWN, Fields

__all__ = ["Moments"]

_LIMIT = 10.0  # standard deviations; the first rows of a stream can be very far off


@final
class Moments:
    """Mean and squared deviation of each column, over the values that are there.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983:
    the update for a batch of rows.
    """

    STATE: ClassVar = Fields(_count=GROWN, _mean=GROWN, _squares=GROWN)

    def __init__(self) -> None:
        self._count = np.empty(0)  # [columns], values so far
        self._mean = np.empty(0)  # [columns]
        self._squares = np.empty(0)  # [columns], sum of squared distances from the mean

    def begin(self, count: int, mean: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
        """Begin with columns that have so many values, and none missing."""
        self._count = np.full(len(mean), float(count))
        self._mean, self._squares = mean.copy(), squares.copy()

    def update(self, rows: NDArray[np.float64]) -> None:
        """Take in rows, float64[n, columns], NaN where a value is missing."""
        more = rows.shape[1] - len(self._count)
        if more > 0:
            self._count, self._mean, self._squares = (
                np.append(each, np.zeros(more)) for each in (self._count, self._mean, self._squares)
            )
        there = ~np.isnan(rows)
        n = there.sum(0)
        mean = np.where(there, rows, 0).sum(0) / np.maximum(n, 1)
        away = np.where(there, rows - mean, 0)
        squares = np.einsum("nc,nc->c", away, away)
        k = rows.shape[1]
        before, total = self._count[:k], self._count[:k] + n
        delta = np.where(n > 0, mean - self._mean[:k], 0)
        share = n / np.maximum(total, 1)
        self._squares[:k] += squares + delta * delta * (before * share)
        self._mean[:k] += delta * share
        self._count[:k] = total

    def scaled(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows [n, columns] in deviations from the mean, cut at 10; NaN stays."""
        k = rows.shape[1]
        if len(self._count) < k:
            self.update(rows[:0])
        deviation = np.sqrt(self._squares[:k] / np.maximum(self._count[:k], 1))
        # a column that was constant so far keeps its own scale
        deviation[deviation < 1e-12] = 1.0
        found: NDArray[np.float64] = np.clip((rows - self._mean[:k]) / deviation, -_LIMIT, _LIMIT)
        return found
