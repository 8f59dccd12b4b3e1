"""The stationary bootstrap for means of dependent data, and the choice of its block length.

A model that is right at one row is more likely to be right at the next. A test that treats rows as
independent therefore finds differences that do not exist. Resampling whole blocks of the stream
keeps the dependence between rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_UNITS = 20_000  # units of longer series are merged until there are at most so many
_AT_ONCE = 1 << 20  # steps resampled at once
_FEWEST = 16  # least number of merged units in which dependence is measured


@dataclass(frozen=True)
class Blocks:
    """The blocks in which a series is resampled.

    Attributes
    ----------
    length : float
        Mean length of a block, in units.
    number : float
        Number of such blocks in the series, which is about the number of independent parts.
    far : bool
        Whether units depend on each other over longer distances than could be measured.
    """

    length: float
    number: float
    far: bool = False


@dataclass(frozen=True)
class Units:
    """A series of sums, each over a number of rows.

    Attributes
    ----------
    sums : ndarray of float64[n]
    rows : ndarray of float64[n]
        At least one is not 0.
    """

    sums: NDArray[np.float64]
    rows: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def mean(self) -> float:
        """The mean over all rows."""
        return float(self.sums.sum() / self.rows.sum())

    def joined(self, size: int) -> Units:
        """Merge each `size` neighbours; the last group may be smaller.

        Examples
        --------
        >>> Units(np.array([1.0, 0, 1]), np.ones(3)).joined(2)
        Units(sums=array([1., 1.]), rows=array([2., 1.]))
        """
        if size == 1:
            return self
        starts = np.arange(0, len(self), size)
        return Units(np.add.reduceat(self.sums, starts), np.add.reduceat(self.rows, starts))

    def influence(self) -> NDArray[np.float64]:
        """Return how far the rows of each unit are above the mean; the values add up to 0."""
        influence: NDArray[np.float64] = (self.sums - self.mean * self.rows) / self.rows.mean()
        return influence


def choose_blocks(units: Units) -> Blocks:
    """Choose the blocks for a series by `block_length`.

    The rule measures dependence over about sqrt(n) units. If dependence reaches further, as after a
    drift, neighbours are merged, so that the rule covers longer distances. This is repeated until
    the rule finds an end of the dependence, or too few units are left.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=5000)
    >>> choose_blocks(Units(noise, np.ones(5000))).length < 3
    True
    >>> choose_blocks(Units(noise + np.repeat([0, 1, 0, 1], 1250), np.ones(5000))).number < 20
    True
    """
    size = 1
    length, far = block_length(units.influence())
    while far and len(units) >= 2 * size * _FEWEST:
        size *= 2
        length, far = block_length(units.joined(size).influence())
    length = min(max(length * size, _step(units)), len(units))
    return Blocks(length, len(units) / length, far)


def _step(units: Units) -> int:
    """Return the number of units that are merged before resampling."""
    return math.ceil(len(units) / _MOST_UNITS)


def block_length(series: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the best mean block length of the stationary bootstrap, and whether it is too short.

    Politis and White (2004), section 3.2, with the correction of Patton, Politis and White (2009).
    The length minimizes the mean squared error of the variance of the mean. It is too short if
    autocorrelations are not negligible at the longest lag.

    Parameters
    ----------
    series : ndarray of float64[n]

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=2000)
    >>> length, too_short = block_length(np.convolve(noise, np.ones(20), "valid"))
    >>> 15 < length < 60, too_short
    (True, False)
    """
    n = len(series)
    if n < 4 or not series.any() or np.ptp(series) == 0:
        return 1.0, False
    k_n = max(5, math.ceil(math.log10(n)))
    longest = min(math.ceil(math.sqrt(n)) + k_n, n - 1)
    r = _autocovariances(series, longest)
    small = np.abs(r[1:]) < 2 * math.sqrt(math.log10(n) / n) * r[0]
    # m: the lag after which k_n consecutive autocorrelations are negligible (footnote c)
    runs = np.convolve(small, np.ones(k_n), "valid") == k_n
    far = not runs.any()
    m = longest if far else int(runs.argmax())
    lags = np.arange(1, min(2 * max(m, 1), longest) + 1)
    window = np.minimum(1.0, 2 * (1 - lags / len(lags)))  # the flat-top lag window (section 3.1)
    g = 2 * float(np.sum(window * lags * r[lags]))
    spectrum = r[0] + 2 * float(np.sum(window * r[lags]))  # at frequency 0
    most = math.ceil(min(3 * math.sqrt(n), n / 3))
    if spectrum <= 0:  # neighbours cancel out: any length is long enough
        return 1.0, far
    # (2 G^2 / D)^(1/3) n^(1/3), D being 2 g(0)^2 since the correction
    length = (g / spectrum) ** 2 * n
    return float(min(max(length ** (1 / 3), 1.0), most)), far


def _autocovariances(series: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return the autocovariances of lags 0 to `longest`, by the Wiener-Khinchin theorem."""
    centred = series - series.mean()
    size = 1 << (len(series) + longest).bit_length()  # padding: the ends do not overlap
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    found: NDArray[np.float64] = np.fft.irfft(power, size)[: longest + 1] / len(series)
    return found


def resampled_means(
    units: Units, length: float, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Resample the mean of a series by the stationary bootstrap of Politis and Romano (1994).

    A resample has as many units as the series. It consists of blocks with a random start and a
    geometric length; the first unit follows the last. In series of more than 20,000 units,
    neighbours are merged first, and no block is shorter than a merged unit.

    Parameters
    ----------
    units : Units
    length : float
        Mean length of a block, in units, at least 1.
    resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64[resamples]

    Examples
    --------
    >>> flips = Units(np.tile([0.0, 1.0], 50), np.ones(100))
    >>> means = resampled_means(flips, 1.0, 1000, np.random.default_rng(0))
    >>> round(float(means.mean()), 2), round(float(means.std()), 2)
    (0.5, 0.05)
    """
    size = _step(units)
    units, p = units.joined(size), min(1.0, size / length)
    sums, rows = _circular(units.sums), _circular(units.rows)
    even = bool((units.rows == units.rows[0]).all())
    total = float(units.rows.sum())
    means = []
    for starts, lengths, firsts in _draws(len(units), p, resamples, rng):
        summed = np.add.reduceat(sums[starts + lengths] - sums[starts], firsts)
        if even:
            means.append(summed / total)
        else:
            counted = np.add.reduceat(rows[starts + lengths] - rows[starts], firsts)
            means.append(summed / counted)
    return np.concatenate(means)


def _circular(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the first 0, 1, ... 2n values; after n values the series repeats."""
    return np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])


def _draws(
    n: int, p: float, resamples: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the starts and lengths of blocks, and the index of each resample's first block.

    Several resamples are drawn as one long series of blocks. A geometric length has no memory, so a
    block that crosses the end of a resample can be cut there and starts a new block.
    """
    at_once = max(1, _AT_ONCE // n)
    for done in range(0, resamples, at_once):
        steps = n * min(at_once, resamples - done)
        borders = np.arange(0, steps, n)
        begins = _walk(steps, borders, p, rng)
        lengths = np.diff(begins, append=steps)
        yield rng.integers(n, size=len(begins)), lengths, np.searchsorted(begins, borders)


def _walk(
    steps: int, borders: NDArray[np.int64], p: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the units at which a block begins: the borders, and others with probability `p`."""
    if p >= 1:
        return np.arange(steps)
    begins = np.zeros(steps, np.bool_)
    begins[borders] = True
    at = -1
    while at < steps:
        drawn = at + np.cumsum(rng.geometric(p, int((steps - at) * p * 1.05) + 16))
        begins[drawn[drawn < steps]] = True
        at = int(drawn[-1])
    return np.flatnonzero(begins)
