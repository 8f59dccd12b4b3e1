"""Ratios and means, None where there is nothing to divide by: a log has no NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["finite", "mean_of", "ratio", "total_of"]


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


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that are neither NaN nor infinite, in their order."""
    known = np.isfinite(values)
    return values if known.all() else values[known]
