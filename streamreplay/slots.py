"""Rows held by key, in columns that grow with what is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.columns import describe_array
from streamreplay.errors import CheckpointError
from streamreplay.features.packed import can_join, is_table, missing_rows, widened
from streamreplay.state import State

__all__ = ["Slots"]

_FIRST = 64  # slots that are made at first; then their number doubles


@final
class Slots:
    """Rows of columns, each held under a key until it is taken.

    Parameters
    ----------
    absent : mapping of str to float, optional
        By column, the value of rows that lack it, and of places by which it became wider.

    Examples
    --------
    >>> slots = Slots()
    >>> slots.put([7, 9], {"x": np.array([0.5, 1.5])})
    >>> slots.take([9])["x"].tolist(), 9 in slots, len(slots)
    ([1.5], False, 1)
    """

    def __init__(self, absent: Mapping[str, float] | None = None) -> None:
        self._absent = dict(absent or {})
        self._slot: dict[int, int] = {}  # by key, in the order in which they were put
        self._free: list[int] = []
        self._columns: dict[str, NDArray[Any]] = {}  # [slots, ...] each

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, key: int) -> bool:
        return key in self._slot

    @property
    def rows(self) -> dict[str, NDArray[Any]]:
        """Copies of all rows held, in the order in which they were put."""
        return self._gather(list(self._slot.values()))

    def column(self, name: str) -> NDArray[Any]:
        """Return a copy of a column of all rows held, in the order in which they were put."""
        return self._columns[name][list(self._slot.values())]

    def put(self, keys: Sequence[int], columns: Mapping[str, NDArray[Any]]) -> None:
        """Hold rows under new keys; columns are [n, ...], and a row may lack some.

        Raises
        ------
        ValueError
            A column has another shape or type than before.
        """
        if not len(keys):
            return
        while len(self._free) < len(keys):
            self._grow()
        for name, values in columns.items():
            self._fit(name, values)
        slots = [self._free.pop() for _ in keys]
        self._slot.update(zip(keys, slots, strict=True))
        for name, column in self._columns.items():
            self._write(name, column, slots, columns.get(name))

    def take(self, keys: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return the rows of some keys, and hold them no longer."""
        slots = [self._slot.pop(key) for key in keys]
        rows = self._gather(slots)
        self._free += slots
        return rows

    def drop(self, keys: Sequence[int]) -> None:
        """Hold the rows of some keys no longer."""
        self._free += [self._slot.pop(key) for key in keys]

    def state_dict(self) -> State:
        """Return keys and rows, in the order in which they were put."""
        return {"keys": np.array(list(self._slot), np.int64), "rows": self.rows}

    def load_state_dict(self, state: State) -> None:
        """Load keys and rows."""
        keys, rows = state["keys"].tolist(), state["rows"]
        for name, column in rows.items():
            if len(column) != len(keys):
                raise CheckpointError(f"{name}: saved {len(column)} rows for {len(keys)} keys")
        self._slot, self._free, self._columns = {}, [], {}
        self.put(keys, rows)
        if not keys:  # for their types
            for name, column in rows.items():
                self._fit(name, column)

    def _gather(self, slots: list[int]) -> dict[str, NDArray[Any]]:
        return {name: column[slots] for name, column in self._columns.items()}

    def _grow(self) -> None:
        before = len(self._slot) + len(self._free)
        size = max(_FIRST, 2 * before)
        self._free += range(before, size)
        for name, column in self._columns.items():
            more = self._nothing(name, column, size - before)
            self._columns[name] = np.concatenate([column, more])

    def _write(
        self, name: str, column: NDArray[Any], slots: list[int], values: NDArray[Any] | None
    ) -> None:
        if values is None:
            column[slots] = self._nothing(name, column, len(slots))
        elif is_table(column):
            column[slots] = widened(values, column.dtype)
        elif values.shape[1:] == column.shape[1:]:
            column[slots] = values
        else:
            column[slots] = self._nothing(name, column, len(slots))
            column[slots, : values.shape[1]] = values

    def _nothing(self, name: str, like: NDArray[Any], n: int) -> NDArray[Any]:
        if is_table(like):
            return missing_rows(n, like.dtype)
        return np.full((n, *like.shape[1:]), self._absent.get(name, 0), like.dtype)

    def _fit(self, name: str, values: NDArray[Any]) -> None:
        """Make room for a column, or for wider values in it."""
        mine = self._columns.get(name)
        if mine is None:
            size = len(self._slot) + len(self._free)
            self._columns[name] = self._nothing(name, values, size)
        elif can_join(mine, values):
            if is_table(values) and (not is_table(mine) or values.itemsize > mine.itemsize):
                self._columns[name] = widened(mine, values.dtype)
        elif values.dtype != mine.dtype or values.ndim != mine.ndim or not self._fits(name, values):
            held, got = describe_array(mine[0]), describe_array(values[0])
            raise ValueError(f"{name}: rows held are {held}, got {got}")
        elif values.shape[1:] > mine.shape[1:]:
            wider = self._nothing(name, values, len(mine))
            wider[:, : mine.shape[1]] = mine
            self._columns[name] = wider

    def _fits(self, name: str, values: NDArray[Any]) -> bool:
        """Return whether values are as wide as the column, or it may become wider."""
        return name in self._absent or values.shape[1:] == self._columns[name].shape[1:]
