"""How much a watched number has changed: its mean before and after the likeliest row of change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 1000
"""The numbers among which a change is looked for."""

_FEWEST = 10  # numbers on either side of a change


class Change(NamedTuple):
    """A change of the mean.

    Attributes
    ----------
    before, after : float or None
        Means of the numbers before and after the change; None if there are too few numbers.
    rows : int or None
        How many numbers `after` is the mean of.
    """

    before: float | None = None
    after: float | None = None
    rows: int | None = None


def find_change(values: NDArray[np.float64]) -> Change:
    """Return where the mean of numbers, float64[n], is likeliest to have changed.

    That is where two means leave the least sum of squared distances. At least 10 numbers stand on
    either side.

    References
    ----------
    D. M. Hawkins, "Testing a sequence of observations for a shift in location", 1977.

    Examples
    --------
    >>> find_change(np.array([0.0] * 30 + [1.0] * 12))
    Change(before=0.0, after=1.0, rows=12)
    """
    n = len(values)
    if n < 2 * _FEWEST:
        return Change()
    sums = np.cumsum(values)
    left = np.arange(_FEWEST, n - _FEWEST + 1)
    before = sums[left - 1] / left
    after = (sums[-1] - sums[left - 1]) / (n - left)
    at = int(np.argmax((after - before) ** 2 * left * (n - left)))
    return Change(float(before[at]), float(after[at]), n - int(left[at]))
