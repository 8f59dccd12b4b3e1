"""Preallocated columns: where stored rows live."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers.storage.columns import (
    Extra,
    GroupIndexes,
    allocate,
    check_columns,
    check_extra,
    check_fits,
    fits,
    kind_of,
    pad,
    rows_within,
)
from streamreplay.columns import Ints, describe_array
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.features.packed import TableSchema, can_join, is_table, widened
from streamreplay.groups import GroupIndex
from streamreplay.labels import Labels, common_labels
from streamreplay.state import LABELS, State

_Columns: TypeAlias = dict[str, NDArray[Any]]

_BLOCK = 512  # rows copied at a time: what is gathered in between stays in cache
_FEW = 24  # up to here, copying rows one by one is faster than fancy indexing
_REPLAYED: Extra = {"replayed": (np.uint32, ())}
_ABSENT = {"id": "", "time": np.nan, "weight": 1}  # in rows without one
_NOTHING: dict[str, NDArray[Any]] = {}
_NOTE = "note."  # how the names of columns for `Batch.notes` begin


class ColumnStore:
    """Rows of one shape in slots 0 to `size` - 1, allocated once, when the first row is seen.

    Parameters
    ----------
    max_size : int
        Slots; with ``max_bytes`` they are worked out at the first row.
    max_bytes : int, optional
        Instead of ``max_size``: bytes for all columns.
    folder : pathlib.Path, optional
        Columns are memory-mapped from files in it; by default they are in RAM.
    extra : Extra
        Columns that the owner stores with the rows.
    """

    def __init__(
        self,
        max_size: int,
        *,
        max_bytes: int | None = None,
        folder: Path | None = None,
        extra: Extra | None = None,
    ) -> None:
        self.max_size = max_size
        """Slots. Columns have as many from the next call of `fit`, `keep` or `load_state_dict`."""
        self.max_bytes = max_bytes
        self.size = 0
        self.extra: dict[str, NDArray[Any]] = {}
        """Extra columns by name: [max_size, ...]; none before the first row."""
        self._arriving: Mapping[str, NDArray[Any]] = _NOTHING
        self._extra: Extra = {**_REPLAYED, **(extra or {})}
        self._folder = folder
        self._columns: dict[str, NDArray[Any]] = {}  # name -> [max_size, ...]
        self._view: Batch | None = None
        self._schema: TableSchema | None = None  # of packed rows, as the last batch had it
        self._labels: Labels | None = None  # of the rows, as the last batch had them
        self._indexes = GroupIndexes()

    @property
    def nbytes(self) -> int:
        """Bytes allocated, extra columns included."""
        return sum(column.nbytes for column in (*self._columns.values(), *self.extra.values()))

    def keeps(self, name: str) -> bool:
        """Return whether there is an extra column of this name."""
        return name in self._extra

    @property
    def over_budget(self) -> bool:
        """Return whether more is allocated than ``max_bytes``: rows have become larger."""
        return self.max_bytes is not None and self.nbytes > self.max_bytes

    @property
    def affordable(self) -> int:
        """Rows that fit into ``max_bytes`` as rows are now."""
        return self._rows_within(self.max_bytes or 0, self._columns)

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
            self._view = Batch(
                **columns, notes=self._noted(), labels=self._labels, schema=self._schema
            )
        return self._view

    def _noted(self) -> dict[str, NDArray[np.float32]] | None:
        names = [name for name in self.extra if name.startswith(_NOTE)]
        return {n.removeprefix(_NOTE): self.extra[n][: self.size] for n in names} or None

    def groups(self, by: GroupBy) -> GroupIndex:
        """Return which slots belong to which group; rebuilt only when a slot changed its group."""
        return self._indexes.of(self._columns, self.size, by)

    def memory(self, like: Batch) -> Batch:
        """Return all stored rows, or no rows shaped like a batch if none was ever seen."""
        if not self._columns:
            return like.take(slice(0, 0))
        self._share_labels(like)
        return self.batch

    def _share_labels(self, batch: Batch) -> None:
        """Refer to the names that a batch has for its labels; those of stored rows must agree."""
        if batch.labels is not self._labels:
            self._labels, self._view = common_labels(self._labels, batch.labels), None
        if batch.schema is not self._schema:
            self._schema, self._view = batch.schema, None

    def fit(self, batch: Batch, extra: Mapping[str, NDArray[Any]] = _NOTHING) -> None:
        """Allocate at the first call; later ones check that a batch's rows still fit.

        ``extra`` has the values of extra columns for these rows, [n, ...] by name; how often a row
        was replayed is 0 if it is not named.
        """
        if batch.labels is not self._labels or batch.schema is not self._schema:
            self._share_labels(batch)
        if not (self._columns and fits(self._columns, batch)):
            self._fit(batch)
        self._arriving = self._fit_notes(batch, extra) if self._notes_with(batch) else extra

    def _notes_with(self, batch: Batch) -> bool:
        return bool(batch.notes) or len(self.extra) > len(self._extra)

    def _fit_notes(self, batch: Batch, extra: Mapping[str, NDArray[Any]]) -> _Columns:
        """Make or widen the columns for notes; return the values of all extra columns.

        Raises
        ------
        ConfigError
            A note has another number of dimensions than before.
        """
        arriving = dict(extra)
        for name, values in (batch.notes or {}).items():
            self._fit_note(_NOTE + name, values)
            arriving[_NOTE + name] = values
        for name in self.extra.keys() - self._extra.keys():
            live = self.extra[name]
            given = arriving.get(name)
            if given is None or given.shape[1:] != live.shape[1:]:
                arriving[name] = pad(given, (len(batch), *live.shape[1:]))
        return arriving

    def _fit_note(self, name: str, values: NDArray[Any]) -> None:
        mine = self.extra.get(name)
        if mine is None:
            self.extra[name] = self._new((np.dtype(np.float32), values.shape[1:]))
            self.extra[name][: self.size] = np.nan
        elif mine.ndim != values.ndim:
            raise ConfigError(
                f"note {name.removeprefix(_NOTE)!r}: stored ones are {describe_array(mine[0:0])}, "
                f"got {describe_array(values[0:0])}"
            )
        elif any(new > old for new, old in zip(values.shape[1:], mine.shape[1:], strict=True)):
            shape = tuple(map(max, values.shape[1:], mine.shape[1:]))
            wider = pad(mine[: self.size], (self.size, *shape))
            self.extra[name] = self._new((mine.dtype, shape), wider)
        else:
            return
        self._view = None

    def _fit(self, batch: Batch) -> None:
        """Check the rows of a batch.

        Raises
        ------
        ValueError
            The rows have another shape or type, or only they or only the stored ones have targets.
        ConfigError
            One row needs more than ``max_bytes``.
        """
        mine, columns = self._columns, batch.columns()
        if not mine:
            if self.max_bytes is not None:
                self.max_size = self._rows_within(self.max_bytes, columns)
            self._columns = {name: self._new(kind_of(column)) for name, column in columns.items()}
            self.extra = {name: self._new(kind) for name, kind in self._extra.items()}
            return
        if can_join(batch.x, mine["x"]) and is_table(batch.x) and batch.x.dtype != mine["x"].dtype:
            if batch.x.itemsize < mine["x"].itemsize and is_table(mine["x"]):
                raise ValueError("x: stored rows have columns of a table that these rows lack")
            mine["x"] = self._new(kind_of(batch.x), widened(mine["x"][: self.size], batch.x.dtype))
            self._view = None
        check_fits(mine, batch)
        if columns.keys() != mine.keys():
            self._add_missing(columns)
        if batch.id is not None:
            self._widen_ids(batch.id)

    def write(self, slots: Ints, batch: Batch, rows: Ints) -> None:
        """Copy rows of a batch into slots; slots at or past `size` must follow it without a gap.

        Where a slot is named twice, the later row stays.
        """
        if not len(slots):
            return
        self._grow(int(slots.max()) + 1)
        self._indexes.overwrite(self._columns, slots, batch, rows)
        for column, values in self._sources(batch):
            for start in range(0, len(slots), _BLOCK):
                part = slice(start, start + _BLOCK)
                column[slots[part]] = values.take(rows[part], axis=0)

    def append(self, batch: Batch) -> None:
        """Write all rows of a batch after the stored ones."""
        start = self.size
        self._grow(start + len(batch))
        self._copy(start, batch, 0, len(batch))

    def write_run(self, slot: int, batch: Batch, row: int, n: int) -> None:
        """Copy n consecutive rows into consecutive slots."""
        if self._indexes.asked:
            slots, rows = np.arange(slot, slot + n), np.arange(row, row + n)
            self._indexes.overwrite(self._columns, slots, batch, rows)
        self._copy(slot, batch, row, n)

    def _copy(self, slot: int, batch: Batch, row: int, n: int) -> None:
        for column, values in self._sources(batch):
            column[slot : slot + n] = values[row : row + n]

    def write_each(self, slots: list[int], batch: Batch, rows: list[int]) -> None:
        """Copy rows into slots as `write` does; faster for few rows."""
        if len(slots) > _FEW:
            self.write(np.array(slots), batch, np.array(rows))
            return
        if not slots:
            return
        self._grow(max(slots) + 1)
        if self._indexes.asked:
            self._indexes.overwrite(self._columns, np.array(slots), batch, np.array(rows))
        for column, values in self._sources(batch):
            for slot, row in zip(slots, rows):  # noqa: B905 - strict= costs a third here
                column[slot] = values[row]

    def keep(self, slots: Ints) -> None:
        """Keep only the rows in ``slots``, moved to the front in that order; reallocate columns."""
        self.size, self._view = len(slots), None
        for columns in (self._columns, self.extra):
            for name, column in columns.items():
                fresh = self._new(kind_of(column))
                for start in range(0, len(slots), _BLOCK):
                    part = slots[start : start + _BLOCK]
                    fresh[start : start + len(part)] = column[part]
                columns[name] = fresh
        self._indexes.clear()

    def remove(self, slots: Ints) -> None:
        """Delete the rows in ``slots``, each named once; the last rows move into their places.

        What is left of the deleted rows is overwritten with zeros.
        """
        size = self.size - len(slots)
        tail = np.setdiff1d(np.arange(size, self.size), slots, assume_unique=True)
        holes = slots[slots < size]
        for columns in (self._columns, self.extra):
            for column in columns.values():
                column[holes] = column[tail]
                column[size : self.size] = np.zeros((), column.dtype)
        self.size, self._view = size, None
        self._indexes.expire()

    def count_replays(self, slots: Ints) -> None:
        """Count rows as rehearsed, each as often as it is named."""
        if not slots.size:
            return
        slots, counts = slots.ravel(), self.extra["replayed"]
        if len(set(slots.tolist())) == len(slots):
            counts[slots] += np.uint32(1)
        else:
            np.add.at(counts, slots, 1)  # several times slower

    def state_dict(self) -> State:
        """Return the stored rows with their extra columns; free slots are not saved."""
        return {
            "columns": {name: column[: self.size] for name, column in self._columns.items()},
            "beside": {name: column[: self.size] for name, column in self.extra.items()},
            "max_size": self.max_size,
            "labels": LABELS.save(self._labels),
        }

    def load_state_dict(self, state: State) -> None:
        """Load stored rows, if they fit what this store has seen and can hold."""
        columns, extra = state["columns"], state["beside"]
        sizes = {name: len(column) for name, column in {**columns, **extra}.items()}
        if len(set(sizes.values())) > 1:
            raise CheckpointError(f"rows: columns differ in length: {sizes}")
        size = max(sizes.values(), default=0)
        max_size = self.max_size if self.max_bytes is None else int(state["max_size"])
        if size > max_size:
            raise CheckpointError(f"rows: saved {size}, this pipeline holds {max_size}")
        check_columns(self._columns, columns)
        if columns:
            own = {name: c for name, c in extra.items() if not name.startswith(_NOTE)}
            check_extra(self._extra, own, self.max_size)
        self.max_size = max_size
        self._columns = {name: self._new(kind_of(c), c) for name, c in columns.items()}
        self.extra = {name: self._new(kind_of(c), c) for name, c in extra.items()}
        self._labels = LABELS.load("labels", self._labels, state["labels"])
        self.size, self._view = size, None
        self._indexes.clear()

    def _new(
        self, kind: tuple[DTypeLike, tuple[int, ...]], values: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Allocate a column, and write values into its first slots."""
        dtype, shape = kind
        column = allocate(self._folder, (self.max_size, *shape), dtype)
        if values is not None:
            column[: len(values)] = values
        return column

    def _rows_within(self, max_bytes: int, columns: Mapping[str, NDArray[Any]]) -> int:
        notes = [column for name, column in self.extra.items() if name.startswith(_NOTE)]
        return rows_within(max_bytes, [*columns.values(), *notes], self._extra)

    def _sources(self, batch: Batch) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return the columns that rows of a batch are written to, each with the batch's values."""
        sources = []
        for name, column in self._columns.items():
            values = getattr(batch, name)
            if values is None:
                values = np.full(len(batch), _ABSENT[name], column.dtype)
            sources.append((column, values))
        if "replayed" not in self._arriving:
            sources.append((self.extra["replayed"], np.zeros(len(batch), np.uint32)))
        for name, values in self._arriving.items():
            sources.append((self.extra[name], values))
        return sources

    def _grow(self, size: int) -> None:
        if size > self.size:
            self.size, self._view = size, None
            self._indexes.expire()

    def _add_missing(self, columns: dict[str, NDArray[Any]]) -> None:
        for name in [name for name in columns if name not in self._columns]:
            self._columns[name] = column = self._new(kind_of(columns[name]))
            column[: self.size] = _ABSENT[name]
            self._view = None

    def _widen_ids(self, incoming: NDArray[np.str_]) -> None:
        """Make the column of ids as wide as the longest one, stored or incoming."""
        mine = self._columns["id"]
        wanted = np.promote_types(mine.dtype, incoming.dtype)
        if wanted != mine.dtype:
            self._columns["id"] = self._new((wanted, ()), mine[: self.size])
            self._view = None
