"""Preallocated columns: where stored rows live."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy, describe_array, empty_memory
from streamreplay.errors import CheckpointError
from streamreplay.groups import GroupIndex
from streamreplay.stage import State

__all__ = ["ColumnStore"]

_BLOCK = 512  # rows copied at a time: what is gathered in between stays in cache
_FEW = 24  # up to here, copying rows one by one is faster than fancy indexing


class ColumnStore:
    """Rows of one shape in slots 0 to `size` - 1, allocated once at the first sight of a row.

    Parameters
    ----------
    max_size : int
        Slots.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.size = 0
        self._columns: dict[str, NDArray[Any]] = {}  # name -> [max_size, ...]
        self._view: Batch | None = None
        self._index: dict[GroupBy, GroupIndex | None] = {}  # None: asked for before, now stale

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(column.nbytes for column in self._columns.values())

    @property
    def batch(self) -> Batch:
        """All stored rows in slot order, without a copy.

        Raises
        ------
        ValueError
            No row was ever seen, so there is nothing to take the shape from.
        """
        if self._view is None:
            if not self._columns:
                raise ValueError("the buffer has not seen a row yet")
            columns: dict[str, Any] = {name: c[: self.size] for name, c in self._columns.items()}
            self._view = Batch(**columns)
        return self._view

    def group_by(self, by: GroupBy) -> GroupIndex:
        """Return which slots belong to which group; rebuilt only when a slot changed its group."""
        index = self._index.get(by)
        if index is None:
            if not self._columns:
                return GroupIndex.of(np.empty(0, np.int64))
            index = GroupIndex.of(self._columns[GROUP_COLUMNS[by]][: self.size])
            self._index[by] = index
        return index

    def memory(self, like: Batch) -> Batch:
        """Return all stored rows, or no rows shaped like a batch if none was ever seen."""
        return self.batch if self._columns else empty_memory(like)

    def fit(self, batch: Batch) -> None:
        """Allocate at the first call; later ones check that a batch's rows still fit.

        Raises
        ------
        ValueError
            Rows of another shape or type.
        """
        mine = self._columns
        if mine and self._fits(batch):
            return
        columns = batch.columns()
        if not mine:
            self._columns = {
                name: np.zeros((self.max_size, *column.shape[1:]), column.dtype)
                for name, column in columns.items()
            }
            return
        x = mine["x"]
        if batch.x.dtype != x.dtype or batch.x.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"x: stored rows are {describe_array(x[0:0])}, got {describe_array(batch.x[0:0])}"
            )
        if columns.keys() != mine.keys():
            self._add_missing(columns)
        if batch.id is not None and batch.id.dtype != mine["id"].dtype:
            self._fit_id(batch.id)

    def _fits(self, batch: Batch) -> bool:
        mine = self._columns
        return (
            batch.x.dtype == mine["x"].dtype
            and batch.x.shape[1:] == mine["x"].shape[1:]
            and (batch.time is None) == ("time" not in mine)
            and (batch.id is None) == ("id" not in mine)
            and (batch.id is None or batch.id.dtype == mine["id"].dtype)
        )

    def write(self, slots: NDArray[np.int64], batch: Batch, rows: NDArray[np.int64]) -> None:
        """Copy rows of a batch into slots; slots at or past `size` must follow it without a gap.

        Where a slot is named twice, the later row stays.
        """
        if not len(slots):
            return
        self._grow(int(slots.max()) + 1)
        self._outdate(slots, batch, rows)
        for name, column in self._columns.items():
            values = getattr(batch, name)
            if values is None:
                self._write_missing(name, slots)
                continue
            for start in range(0, len(slots), _BLOCK):
                part = slice(start, start + _BLOCK)
                column[slots[part]] = values.take(rows[part], axis=0)

    def append(self, batch: Batch) -> None:
        """Write all rows of a batch behind the stored ones."""
        start = self.size
        self._grow(start + len(batch))
        for name, column in self._columns.items():
            values = getattr(batch, name)
            if values is None:
                self._write_missing(name, np.arange(start, self.size))
            else:
                column[start : self.size] = values

    def write_each(self, slots: list[int], batch: Batch, rows: list[int]) -> None:
        """Do as `write` does, for few rows."""
        if len(slots) > _FEW:
            self.write(np.array(slots), batch, np.array(rows))
            return
        if not slots:
            return
        self._grow(max(slots) + 1)
        if self._index:
            self._outdate(np.array(slots), batch, np.array(rows))
        for name, column in self._columns.items():
            values = getattr(batch, name)
            if values is None:
                self._write_missing(name, np.array(slots))
            else:
                for slot, row in zip(slots, rows):  # noqa: B905 - strict= costs a third here
                    column[slot] = values[row]

    def keep(self, slots: NDArray[np.int64], max_size: int) -> None:
        """Keep only the rows in ``slots``, moved to the front in that order, and reallocate."""
        for name, column in self._columns.items():
            fresh = np.zeros((max_size, *column.shape[1:]), column.dtype)
            fresh[: len(slots)] = column[slots]
            self._columns[name] = fresh
        self.max_size, self.size, self._view = max_size, len(slots), None
        self._index.clear()

    def state_dict(self) -> State:
        """Return the stored rows; free slots are not saved."""
        return {name: column[: self.size] for name, column in self._columns.items()}

    def load_state_dict(self, state: State) -> None:
        """Take over stored rows, where they fit what this store has seen and can hold."""
        sizes = {name: len(column) for name, column in state.items()}
        if len(set(sizes.values())) > 1:
            raise CheckpointError(f"rows: columns differ in length: {sizes}")
        size = max(sizes.values(), default=0)
        if size > self.max_size:
            raise CheckpointError(f"rows: saved {size}, this pipeline holds {self.max_size}")
        for name, column in state.items():
            mine = self._columns.get(name)
            if mine is not None and name != "id" and _row_type(mine) != _row_type(column):
                raise CheckpointError(
                    f"{name}: saved {describe_array(column)}, "
                    f"this pipeline has {describe_array(mine)}"
                )
        self._columns = {}
        for name, column in state.items():
            self._columns[name] = np.zeros((self.max_size, *column.shape[1:]), column.dtype)
            self._columns[name][:size] = column
        self.size, self._view = size, None
        self._index.clear()

    def _grow(self, size: int) -> None:
        if size > self.size:
            self.size, self._view = size, None
            for by in self._index:
                self._index[by] = None

    def _outdate(self, slots: NDArray[np.int64], batch: Batch, rows: NDArray[np.int64]) -> None:
        for by, index in self._index.items():
            name = GROUP_COLUMNS[by]
            if index is not None and (
                not np.array_equal(self._columns[name][slots], getattr(batch, name)[rows])
            ):
                self._index[by] = None

    def _add_missing(self, columns: dict[str, NDArray[Any]]) -> None:
        for name in columns.keys() - self._columns.keys():
            column = columns[name]
            self._columns[name] = np.zeros(self.max_size, column.dtype)
            self._write_missing(name, np.arange(self.size))
            self._view = None

    def _write_missing(self, name: str, slots: NDArray[np.int64]) -> None:
        column = self._columns[name]
        column[slots] = np.nan if name == "time" else ("" if column.dtype.kind == "U" else -1)

    def _fit_id(self, incoming: NDArray[Any]) -> None:
        """Widen stored ids, or turn them into strings once the stream mixes both."""
        mine = self._columns["id"]
        if incoming.dtype.kind == mine.dtype.kind == "U":
            wanted = np.promote_types(incoming.dtype, mine.dtype)
        else:
            text = incoming.astype(str) if mine.dtype.kind == "U" else mine.astype(str)
            other = mine if mine.dtype.kind == "U" else incoming.astype(str)
            wanted = np.promote_types(text.dtype, other.dtype)
        if wanted != mine.dtype:
            self._columns["id"] = mine.astype(wanted)
            self._view = None


def _row_type(column: NDArray[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    return column.dtype, column.shape[1:]
