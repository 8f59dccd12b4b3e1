"""Intervals for means of dependent data: the stationary bootstrap and its block length.

Whether a model is right at one row tells something about whether it is right at the next. A test
that takes rows for independent finds differences where there are none; resampling whole blocks of
the stream does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "Units", "block_length", "choose_blocks", "resampled_means"]

_MOST_UNITS = 20_000  # longer series are put together to at most so many
_AT_ONCE = 1 << 20  # steps resampled at once
_FEWEST = 16  # units that are left when dependence is looked for over longer and longer stretches


@dataclass(frozen=True)
class Blocks:
    """How a series is resampled.

    Attributes
    ----------
    length : float
        Mean length of a block, in the series' own steps.
    number : float
        How many blocks of that length the series has: about as many independent pieces.
    far : bool
        Whether dependence reaches so far that no end of it could be seen.
    """

    length: float
    number: float
    far: bool = False


@dataclass(frozen=True)
class Units:
    """A series of sums, and of how many rows each is the sum.

    Attributes
    ----------
    sums : ndarray of float64[n]
    rows : ndarray of float64[n]
        Not all of them are 0.
    """

    sums: NDArray[np.float64]
    rows: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def mean(self) -> float:
        """The sum of all, a row."""
        return float(self.sums.sum() / self.rows.sum())

    def joined(self, size: int) -> Units:
        """Put each `size` neighbours together; the last ones may be fewer.

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
        """Return by how much each unit's rows lie above the mean; the sum of all is 0."""
        influence: NDArray[np.float64] = (self.sums - self.mean * self.rows) / self.rows.mean()
        return influence


def choose_blocks(units: Units) -> Blocks:
    """Choose blocks for a series: by `block_length`, at ever coarser steps where it sees no end.

    The rule looks for the end of dependence within about sqrt(n) steps. Where it finds none, as
    after a drift, neighbours are put together, which multiplies how far it sees, until it does or
    until too little is left to see anything.

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
    """Return how many units are resampled as one."""
    return math.ceil(len(units) / _MOST_UNITS)


def block_length(series: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the best mean block length of the stationary bootstrap, and whether it is too short.

    Politis and White (2004), section 3.2, with the correction of Patton, Politis and White (2009).
    The length makes the mean squared error of the variance of the mean least. It is too short if
    autocorrelations were still there at the longest lag looked at.

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
    # m: the lag behind which k_n autocorrelations in a row are negligible (footnote c)
    runs = np.convolve(small, np.ones(k_n), "valid") == k_n
    far = not runs.any()
    m = longest if far else int(runs.argmax())
    lags = np.arange(1, min(2 * max(m, 1), longest) + 1)
    window = np.minimum(1.0, 2 * (1 - lags / len(lags)))  # the flat-top lag window (section 3.1)
    g = 2 * float(np.sum(window * lags * r[lags]))
    spectrum = r[0] + 2 * float(np.sum(window * r[lags]))  # at frequency 0
    most = math.ceil(min(3 * math.sqrt(n), n / 3))
    if spectrum <= 0:  # neighbours make up for one another: any length is long enough
        return 1.0, far
    # (2 G^2 / D)^(1/3) n^(1/3), D being 2 g(0)^2 since the correction
    length = (g / spectrum) ** 2 * n
    return float(min(max(length ** (1 / 3), 1.0), most)), far


def _autocovariances(series: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return those of lags 0 to `longest`, by the Wiener-Khinchin theorem."""
    centred = series - series.mean()
    size = 1 << (len(series) + longest).bit_length()  # zeros keep the ends apart
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    found: NDArray[np.float64] = np.fft.irfft(power, size)[: longest + 1] / len(series)
    return found


def resampled_means(
    units: Units, length: float, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the mean of a series anew, by the stationary bootstrap of Politis and Romano (1994).

    A resample has as many steps as the series. It is made of blocks that begin anywhere and have a
    geometric length; behind the last step comes the first. Series of more than 20,000 steps are put
    together first: blocks are then not shorter than these pieces.

    Parameters
    ----------
    units : Units
    length : float
        Mean length of a block, in steps, at least 1.
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
    """Return sums of the first 0, 1, ... 2n of the values, which begin again after n."""
    return np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])


def _draws(
    n: int, p: float, resamples: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield starts and lengths of blocks, and where each resample's first one is.

    All resamples of a lot are one long walk: a geometric length has no memory, so that a block
    which is cut at a resample's end is one more that begins there.
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
    """Return the steps at which a block begins: the borders, and others with probability `p`."""
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
