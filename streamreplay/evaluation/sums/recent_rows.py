"""The last rows of a stream, as columns of any shape: a sliding window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.state import ARRAY, State, expect


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
