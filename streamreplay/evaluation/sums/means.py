"""Ratios and means; None where there is nothing to divide by, as a log has no NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.state import Fields


def ratio(hits: float, rows: float) -> float | None:
    """Return hits / rows; None where there are no rows.

    Examples
    --------
    >>> ratio(3, 4), ratio(0, 0)
    (0.75, None)
    """
    return hits / rows if rows else None


def mean_of(values: list[Any]) -> float | None:
    """Return the mean of the values that are not None; None if all are.

    Examples
    --------
    >>> mean_of([1.0, None, 2.0]), mean_of([])
    (1.5, None)
    """
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def total_of(weight: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.float64]:
    """Sum rows [n, d] with weights [n]; not by BLAS, whose digits depend on threads."""
    total: NDArray[np.float64] = (weight[:, None] * values).sum(axis=0)
    return total


class RunningMean:
    """Sum and number of all finite values so far.

    Examples
    --------
    >>> losses = RunningMean()
    >>> losses.add(np.array([1.0, np.inf, 2.0]))
    >>> losses.mean
    1.5
    """

    STATE = Fields(_sum=float, _rows=int)

    def __init__(self) -> None:
        self._sum, self._rows = 0.0, 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values; NaN and infinite ones are left out."""
        known = _finite(values)
        self._sum += float(known.sum())
        self._rows += len(known)

    @property
    def mean(self) -> float | None:
        """The mean; None without values."""
        return ratio(self._sum, self._rows)


def mean_of_finite(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the finite values; None if there are none."""
    known = _finite(values)
    return ratio(float(known.sum()), len(known))


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that are neither NaN nor infinite, in their order."""
    known = np.isfinite(values)
    return values if known.all() else values[known]
