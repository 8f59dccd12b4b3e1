"""Means with Student's intervals: of independent runs, and of dependent rows by resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamreplay.reading.bootstrap import Units, choose_blocks, resampled_means

__all__ = [
    "LEVEL",
    "Estimate",
    "average",
    "difference",
    "mean_of_runs",
    "mean_of_stream",
    "t_quantile",
]

LEVEL = 0.95
"""How often such an interval holds what it is about."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Estimate:
    """A mean, and how sure it is.

    Attributes
    ----------
    value : float
    error : float
        Its standard error.
    freedom : float
        Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the 95 % interval.

        Examples
        --------
        >>> low, high = Estimate(1.0, 0.5, 10).interval
        >>> round(low, 3), round(high, 3)
        (-0.114, 2.114)
        """
        reach = t_quantile((1 + LEVEL) / 2, self.freedom) * self.error
        return self.value - reach, self.value + reach


def mean_of_runs(values: Sequence[float]) -> Estimate:
    """Estimate a mean from independent values, such as scores of runs that differ in their seed.

    Raises
    ------
    ValueError
        There are fewer than two.

    Examples
    --------
    >>> mean_of_runs([0.5, 1.0])
    Estimate(value=0.75, error=0.25, freedom=1)
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"values must be at least 2, got {n}")
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Estimate(mean, math.sqrt(variance / n), n - 1)


def mean_of_stream(
    units: Units, resamples: int, rng: np.random.Generator
) -> tuple[Estimate, float, bool]:
    """Estimate a mean of dependent rows, by the stationary bootstrap.

    The error is the deviation of the resampled means, and its degrees of freedom are one less than
    there are blocks: with few of them the interval widens as it does with few independent values.

    Returns
    -------
    estimate : Estimate
    length : float
        Mean length of the blocks, in units.
    far : bool
        Whether dependence reaches further than could be seen: the interval is too short then.
    """
    blocks = choose_blocks(units)
    means = resampled_means(units, blocks.length, resamples, rng)
    freedom = max(blocks.number - 1, 1.0)
    error = float(means.std()) * math.sqrt((freedom + 1) / freedom)
    return Estimate(units.mean, error, freedom), blocks.length, blocks.far


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Estimate the mean of what several independent estimates are about.

    Examples
    --------
    >>> average([Estimate(0.75, 0.1, 4), Estimate(0.25, 0.1, 4)])
    Estimate(value=0.5, error=0.07071067811865477, freedom=8.0)
    """
    n = len(estimates)
    value = math.fsum(each.value for each in estimates) / n
    variance = math.fsum(each.error**2 for each in estimates)
    return Estimate(value, math.sqrt(variance) / n, _freedom(estimates))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Estimate by how much one is above another that is independent of it, as Welch does.

    Examples
    --------
    >>> difference(Estimate(0.75, 0.1, 4), Estimate(0.25, 0.1, 4))
    Estimate(value=0.5, error=0.14142135623730953, freedom=8.0)
    """
    error = math.sqrt(one.error**2 + other.error**2)
    return Estimate(one.value - other.value, error, _freedom([one, other]))


def _freedom(estimates: Sequence[Estimate]) -> float:
    """Return the degrees of freedom of a sum: Welch (1947), eq. 28; they need not be whole."""
    variances = [each.error**2 for each in estimates]
    spread = sum(v**2 / each.freedom for v, each in zip(variances, estimates, strict=True))
    return sum(variances) ** 2 / spread if spread else sum(each.freedom for each in estimates)


def t_quantile(share: float, freedom: float) -> float:
    """Return what a variable of Student's distribution is below with a probability above 1/2.

    Parameters
    ----------
    share : float
        From 0.5 to below 1.
    freedom : float
        At least 1.

    Examples
    --------
    >>> round(t_quantile(0.975, 1), 3), round(t_quantile(0.975, 30), 3)
    (12.706, 2.042)
    """
    # with x = sqrt(freedom) tan(angle) the density is cos(angle)^(freedom - 1) times a constant
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        at = angle / 2 * (_NODES + 1)
        area = angle / 2 * float(_WEIGHTS @ np.cos(at) ** (freedom - 1))
        low, high = (angle, high) if 0.5 + scale * area < share else (low, angle)
    return math.sqrt(freedom) * math.tan(low)
