"""Ratios, and means over all rows, over the last ones and with weights that fade."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.state import ARRAY, Fields, State, expect


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


class Fading:
    """Compute the weights of S_t = c_t + a S_{t-1}, unrolled over a block of rows.

    Parameters
    ----------
    factor : float
        The a, in (0, 1].
    block : int
        Most rows in a block.

    Examples
    --------
    >>> fading = Fading(0.5, 4)
    >>> fading.weights(3).tolist(), fading.decay(3)
    ([0.25, 0.5, 1.0], 0.125)
    """

    def __init__(self, factor: float, block: int) -> None:
        # a**block, ..., a, 1 by multiplication: pow() may differ between processors
        factors = np.full(block + 1, factor)
        factors[0] = 1.0
        self._powers: NDArray[np.float64] = np.multiply.accumulate(factors)[::-1].copy()

    def weights(self, n: int) -> NDArray[np.float64]:
        """Return the weights of n rows at the last of them: a**(n-1), ..., 1."""
        return self._powers[len(self._powers) - n :]

    def decay(self, n: int) -> float:
        """Return a**n: the factor of a sum after n more rows."""
        return float(self._powers[-n - 1])


class RecentRows:
    """Keep columns of the last rows; a new row replaces the oldest.

    Parameters
    ----------
    size : int
        Rows it holds.
    **columns : array
        Rows, for the type and shape of one in each column.

    Examples
    --------
    >>> ring = RecentRows(3, error=np.empty(0))
    >>> ring.extend(error=np.array([1.0, 2.0, 3.0, 4.0]))
    >>> sorted(ring["error"].tolist())
    [2.0, 3.0, 4.0]
    """

    def __init__(self, size: int, **columns: NDArray[Any]) -> None:
        self._columns = {
            name: np.zeros((size, *column.shape[1:]), column.dtype)
            for name, column in columns.items()
        }
        self._size = size
        self._rows = 0  # ever written; the next one goes to this modulo size

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column in the order of storage, which depends on row counts alone."""
        return self._columns[name][: min(self._rows, self._size)]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    def in_order(self, name: str) -> NDArray[Any]:
        """Return a column from the oldest row to the newest."""
        column, oldest = self[name], self._rows % self._size
        if self._rows < self._size or not oldest:
            return column
        return np.concatenate([column[oldest:], column[:oldest]])

    def extend(self, **columns: NDArray[Any]) -> None:
        """Append rows, [n, ...] in each column."""
        n = len(next(iter(columns.values())))
        kept = min(n, self._size)
        first = (self._rows + n - kept) % self._size
        split = min(kept, self._size - first)  # rows that fit before the end of the columns
        for name, values in columns.items():
            mine, new = self._columns[name], values[n - kept :]
            mine[first : first + split] = new[:split]
            mine[: kept - split] = new[split:]
        self._rows += n

    def state_dict(self) -> State:
        """Return the columns in the order of storage."""
        columns = {name: self[name].copy() for name in self._columns}
        return {"columns": columns, "rows": self._rows}

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same size and columns."""
        expect("columns", list(state["columns"]), list(self._columns))
        self._rows = int(state["rows"])
        for name, saved in state["columns"].items():
            ARRAY.load(f"columns.{name}", self[name], saved)
