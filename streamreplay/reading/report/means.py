"""Means over a few runs that differ in their seed, and how far they may be off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from streamreplay.reading import estimates

__all__ = ["Interval", "difference", "mean_interval"]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes
    ----------
    mean : float
    half : float or None
        Half the interval's width; None for one value, which says nothing about its spread.
    n : int
        How many values.
    """

    mean: float
    half: float | None
    n: int


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent values with its 95 % interval by Student's t.

    Examples
    --------
    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.half, 4), found.n
    (2.0, 2.4841, 3)
    """
    if len(values) < 2:
        return Interval(math.fsum(values), None, len(values))
    return _around(estimates.mean_of_runs(values), len(values))


def difference(values: Sequence[float], base: Sequence[float]) -> Interval:
    """Return by how much the mean of some values is above that of others, by Welch's t.

    Examples
    --------
    >>> difference([3.0], [1.0])
    Interval(mean=2.0, half=None, n=1)
    """
    n = min(len(values), len(base))
    if n < 2:
        mean = math.fsum(values) / len(values) - math.fsum(base) / len(base)
        return Interval(mean, None, n)
    pair = estimates.mean_of_runs(values), estimates.mean_of_runs(base)
    return _around(estimates.difference(*pair), n)


def _around(estimate: estimates.Estimate, n: int) -> Interval:
    low, high = estimate.interval
    return Interval(estimate.value, (high - low) / 2, n)
