"""Means with 95 % intervals: of independent runs, and of the dependent rows of a stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamreplay.reading.bootstrap import Units, choose_blocks, resampled_means

LEVEL = 0.95
"""Probability that an interval contains the true value."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error.

    Attributes
    ----------
    value : float
    error : float
    freedom : float
        Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return t_quantile((1 + LEVEL) / 2, self.freedom) * self.error

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval.

        Examples
        --------
        >>> low, high = Estimate(1.0, 0.5, 10).interval
        >>> round(low, 3), round(high, 3)
        (-0.114, 2.114)
        """
        return self.value - self.half, self.value + self.half


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes
    ----------
    value : float
    half : float or None
        Half the width of its 95 % interval; None for a single seed.
    """

    value: float
    half: float | None


def mean_of_seeds(values: Sequence[float]) -> SeedMean:
    """Return the mean of at least one value, with its 95 % interval by Student's t.

    Examples
    --------
    >>> found = mean_of_seeds([1.0, 2.0, 3.0])
    >>> found.value, round(found.half, 4), mean_of_seeds([1.0]).half
    (2.0, 2.4841, None)
    """
    if len(values) < 2:
        return SeedMean(values[0], None)
    estimate = mean_of_runs(values)
    return SeedMean(estimate.value, estimate.half)


def difference_of_seeds(values: Sequence[float], base: Sequence[float]) -> SeedMean:
    """Return how far the mean of some values is above that of others, by Welch's t.

    Examples
    --------
    >>> difference_of_seeds([3.0], [1.0])
    SeedMean(value=2.0, half=None)
    """
    if min(len(values), len(base)) < 2:
        return SeedMean(mean_of_seeds(values).value - mean_of_seeds(base).value, None)
    estimate = difference(mean_of_runs(values), mean_of_runs(base))
    return SeedMean(estimate.value, estimate.half)


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
    """Estimate a mean of dependent rows by the stationary bootstrap.

    The error is the standard deviation of the resampled means. Its degrees of freedom are one less
    than the number of blocks, so that the interval is wider with few blocks, as it is with few
    independent values.

    Returns
    -------
    estimate : Estimate
    length : float
        Mean length of the blocks, in units.
    far : bool
        Whether rows depend on each other over longer distances than could be measured: the interval
        is too narrow then.
    """
    blocks = choose_blocks(units)
    means = resampled_means(units, blocks.length, resamples, rng)
    freedom = max(blocks.number - 1, 1.0)
    error = float(means.std()) * math.sqrt((freedom + 1) / freedom)
    return Estimate(units.mean, error, freedom), blocks.length, blocks.far


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Estimate the mean of several independent estimates.

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
    """Estimate the difference of two independent estimates by Welch's method.

    Examples
    --------
    >>> difference(Estimate(0.75, 0.1, 4), Estimate(0.25, 0.1, 4))
    Estimate(value=0.5, error=0.14142135623730953, freedom=8.0)
    """
    error = math.sqrt(one.error**2 + other.error**2)
    return Estimate(one.value - other.value, error, _freedom([one, other]))


def _freedom(estimates: Sequence[Estimate]) -> float:
    """Return the degrees of freedom of a sum (Welch 1947, eq. 28); they need not be an integer."""
    variances = [each.error**2 for each in estimates]
    spread = sum(v**2 / each.freedom for v, each in zip(variances, estimates, strict=True))
    return sum(variances) ** 2 / spread if spread else sum(each.freedom for each in estimates)


def t_quantile(share: float, freedom: float) -> float:
    """Return a quantile of Student's t distribution, for a probability of at least 1/2.

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
