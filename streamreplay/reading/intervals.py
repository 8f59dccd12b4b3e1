"""Means over a few runs, and how far they may be off."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

__all__ = ["Interval", "difference", "mean_interval", "t_quantile"]

# 97.5 % quantiles of Student's t with 1, 2, ... 30 degrees of freedom
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


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


def t_quantile(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t.

    From the table up to 30 degrees of freedom, its logarithm between them along 1 / freedom, which
    is at most 3 % off; beyond, by the expansion of Cornish and Fisher around the normal quantile
    (Abramowitz and Stegun 26.7.5).

    Examples
    --------
    >>> round(t_quantile(4), 4), round(t_quantile(100), 4)
    (2.7764, 1.984)
    """
    if freedom < 1:
        raise ValueError(f"freedom must be at least 1, got {freedom}")
    if freedom <= len(_T):
        low = int(freedom)
        if freedom == low:
            return _T[low - 1]
        share = (1 / low - 1 / freedom) / (1 / low - 1 / (low + 1))
        return float(_T[low - 1] ** (1 - share) * _T[low] ** share)
    z = statistics.NormalDist().inv_cdf(0.975)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of independent values with its 95 % interval by Student's t.

    Examples
    --------
    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.mean, round(found.half, 4), found.n
    (2.0, 2.4842, 3)
    """
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Interval(mean, None, n)
    return Interval(mean, t_quantile(n - 1) * statistics.stdev(values) / sqrt(n), n)


def difference(values: Sequence[float], base: Sequence[float]) -> Interval:
    """Return by how much the mean of some values is above that of others, by Welch's t.

    Examples
    --------
    >>> difference([3.0], [1.0])
    Interval(mean=2.0, half=None, n=1)
    """
    mean, n = statistics.fmean(values) - statistics.fmean(base), min(len(values), len(base))
    if n < 2:
        return Interval(mean, None, n)
    parts = [statistics.variance(each) / len(each) for each in (values, base)]
    total = sum(parts)
    if total == 0:
        return Interval(mean, 0.0, n)
    freedom = total**2 / sum(
        part**2 / (len(each) - 1) for part, each in zip(parts, (values, base), strict=True)
    )
    return Interval(mean, t_quantile(freedom) * sqrt(total), n)
