"""Decoded rows that wait to become a batch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import TableRows, join_tables
from streamreplay.ingest.dead_letters import Fault
from streamreplay.ingest.decode.targets import TargetFields
from streamreplay.labels import Labels, Name

SPARSE = 1 << 20
"""Bytes of lines without a row, behind a row, after which its batch goes out as it is.

Each such line counts as 64 bytes more than it has. This bounds the lines that wait in memory.
"""
_LINE = 64


@dataclass(slots=True)
class Columns:
    """The rows found in some lines; None for a column that no row has."""

    line: Sequence[int]  # of each row, counted from 0, ascending
    x: NDArray[np.float32] | TableRows  # [n, *feature], or columns by name
    label: Sequence[Name | None] | None = None
    task: NDArray[np.int64] | None = None
    experience: NDArray[np.int64] | None = None
    id: Sequence[str | None] | None = None
    time: NDArray[np.float64] | None = None
    target: NDArray[np.float64] | None = None  # [n, d], NaN in rows without
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.line)

    def take(self, rows: slice) -> Columns:
        """Return some of the rows."""
        return Columns(
            self.line[rows],
            self.x.take(rows) if isinstance(self.x, TableRows) else self.x[rows],
            None if self.label is None else self.label[rows],
            None if self.task is None else self.task[rows],
            None if self.experience is None else self.experience[rows],
            None if self.id is None else self.id[rows],
            None if self.time is None else self.time[rows],
            None if self.target is None else self.target[rows],
            None if self.weight is None else self.weight[rows],
        )

    @staticmethod
    def concat(parts: Sequence[Columns]) -> Columns:
        """Join rows, in order."""
        if len(parts) == 1:
            return parts[0]
        return Columns(
            list(chain.from_iterable(part.line for part in parts)),
            _joined_features([part.x for part in parts]),
            _joined_list(parts, "label"),
            _joined(parts, "task", 0),
            _joined(parts, "experience", 0),
            _joined_list(parts, "id"),
            _joined(parts, "time", np.nan),
            _joined(parts, "target", np.nan),
            _joined(parts, "weight", 1),
        )

    def batch(
        self,
        start: int,
        labels: Labels,
        goal: TargetFields | None = None,
        feature_names: Sequence[str] | None = None,
        schema: Schema | None = None,
    ) -> Batch:
        """Make a batch of all rows, and add new names to the labels, new columns to the schema.

        Parameters
        ----------
        start : int
            Position in the stream of the first row.
        labels : Labels
        goal : TargetFields, optional
            What `target` holds; the labels name its columns then.
        feature_names : sequence of str, optional
        schema : Schema, optional
            Packs the rows of a table.

        Raises
        ------
        ConfigError
            There is a new column, and the schema is frozen; or there are too many classes. Labels
            and schema are as before then.
        """
        n, table = len(self), Schema() if schema is None else schema
        if isinstance(self.x, TableRows):
            table.check_frozen(self.x)
        target: NDArray[Any] | None = None
        if goal is not None and self.target is not None:
            y, target = goal.columns(self.target)
        else:
            y = np.full(n, -1, np.int64) if self.label is None else labels.indices(self.label)
        of_table = isinstance(self.x, TableRows)
        return Batch(
            table.pack(self.x) if isinstance(self.x, TableRows) else self.x,
            y,
            np.arange(start, start + n, dtype=np.int64),
            np.zeros(n, np.int64) if self.task is None else self.task,
            np.zeros(n, np.int64) if self.experience is None else self.experience,
            None if self.id is None else id_column(self.id),
            # judged here, as what was decoded together with these rows must not matter
            None if self.time is None or np.isnan(self.time).all() else self.time,
            target,
            self.weight,
            labels=labels,
            feature_names=table.names if of_table else feature_names,
            schema=table if of_table else None,
        )

    def one_experience(self) -> int:
        """Count the rows from the first on that are of its experience."""
        if self.experience is None or not len(self):
            return len(self)
        other = self.experience != self.experience[0]
        return int(other.argmax()) if other.any() else len(self)


def merged(one: Columns, other: Columns) -> Columns:
    """Return the rows of both, in the order of their lines."""
    parts: list[Columns] = []
    begin = 0
    for i, line in enumerate(other.line):
        end = bisect_left(one.line, line)
        if end > begin:
            parts.append(one.take(slice(begin, end)))
        parts.append(other.take(slice(i, i + 1)))
        begin = end
    if begin < len(one):
        parts.append(one.take(slice(begin, None)))
    return Columns.concat(parts)


@dataclass(slots=True)
class PendingRows:
    """Rows and faults of lines that were decoded, but are not yet part of the position.

    Decoding a line again gives the same, so that all of this may be dropped at any time.
    """

    parts: list[Columns] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lines: int = 0
    """Lines decoded, counted from the first that is not consumed."""
    empty: list[tuple[int, int]] = field(default_factory=list)
    """Number and weight of each line without a row behind the first row."""
    gone: int = 0
    """Rows of the first part that were removed."""

    def __len__(self) -> int:
        return sum(map(len, self.parts)) - self.gone

    @property
    def gap(self) -> int:
        """The number of lines without a row behind the first row."""
        return len(self.empty)

    def add(
        self, lines: Sequence[bytes], first: int, found: Columns | None, faults: list[Fault]
    ) -> None:
        """Append what was found in the next lines, the first of which has the number ``first``."""
        self.lines += len(lines)
        self.faults += faults
        n = 0 if found is None else len(found)
        if n < len(lines) and (self.parts or n):
            full = set() if found is None else set(found.line)
            begin = first if self.parts or found is None else found.line[0]
            self.empty += [
                (i, len(line) + _LINE)
                for i, line in enumerate(lines, first)
                if i >= begin and i not in full
            ]
        if found is not None and n:
            self.parts.append(found)

    def head(self, most: int) -> Columns | None:
        """Return the rows of the next batch, without removing them."""
        if not self.parts:
            return None
        found: list[Columns] = []
        left, begin = most, self.gone
        for part in self.parts:
            found.append(part.take(slice(begin, begin + left)))
            left, begin = left - len(found[-1]), 0
            if not left:
                break
        rows = Columns.concat(found)
        if left:  # all there is: join it once, however slowly more comes
            self.parts, self.gone = [rows], 0
        size = rows.one_experience()
        end = self._end_of_dense()
        if end is not None:
            size = min(size, bisect_left(rows.line, end))
        return rows if size == len(rows) else rows.take(slice(0, size))

    def is_whole(self, rows: Columns, most: int) -> bool:
        """Return whether no row can be added to the next batch: ``head(most)``."""
        return len(rows) == most or len(rows) < len(self) or self._end_of_dense() is not None

    def _end_of_dense(self) -> int | None:
        """Return the line at which a batch that begins with the first row has to end, if any."""
        total = 0
        for line, weight in self.empty:
            total += weight
            if total > SPARSE:
                return line
        return None

    def drop(self, rows: int, lines: int, end: int) -> list[Fault]:
        """Remove rows, and the lines before line ``end``; return the faults among them."""
        self.lines -= lines
        self.gone += rows
        while self.parts and self.gone >= len(self.parts[0]):
            self.gone -= len(self.parts.pop(0))
        gone = [fault for fault in self.faults if fault.line < end]
        self.faults = self.faults[len(gone) :]
        begin = self.parts[0].line[self.gone] if self.parts else end
        self.empty = [] if not self.parts else [each for each in self.empty if each[0] > begin]
        return gone


def id_column(ids: Sequence[str | None]) -> NDArray[np.str_] | None:
    """Return ids as a column, "" where a row has none; None if no row has one.

    Examples
    --------
    >>> id_column(["3", "b", None]).tolist(), id_column([None])
    (['3', 'b', ''], None)
    """
    if not any(ids):
        return None
    return np.array([each or "" for each in ids], np.str_)


def _joined_features(
    parts: Sequence[NDArray[np.float32] | TableRows],
) -> NDArray[np.float32] | TableRows:
    tables = [part for part in parts if isinstance(part, TableRows)]
    if tables:
        return join_tables(tables)
    return np.concatenate([part for part in parts if not isinstance(part, TableRows)])


def _joined(parts: Sequence[Columns], name: str, absent: float) -> NDArray[Any] | None:
    """Join an array of each part; rows of a part without it get a value for absent ones."""
    found: list[NDArray[Any] | None] = [getattr(part, name) for part in parts]
    present = next((array for array in found if array is not None), None)
    if present is None:
        return None
    shape, dtype = present.shape[1:], present.dtype
    return np.concatenate(
        [
            np.full((len(part), *shape), absent, dtype) if array is None else array
            for part, array in zip(parts, found, strict=True)
        ]
    )


def _joined_list(parts: Sequence[Columns], name: str) -> list[Any] | None:
    found: list[Sequence[Any] | None] = [getattr(part, name) for part in parts]
    if all(values is None for values in found):
        return None
    pairs = zip(parts, found, strict=True)
    return list(
        chain.from_iterable(
            [None] * len(part) if values is None else values for part, values in pairs
        )
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One row, decoded by itself: slower than by column, but with a reason for each error."""

    x: Any  # a list of numbers, or a dict of values by column
    label: Name | None
    task: int
    experience: int
    id: str | None
    time: float
    target: list[float] | None = None
    weight: float | None = None

    @staticmethod
    def columns(
        rows: Sequence[Row], line: Sequence[int], x: NDArray[np.float32] | TableRows
    ) -> Columns:
        """Join rows to columns, with features that were joined before."""
        return Columns(
            line,
            x,
            [row.label for row in rows],
            np.array([row.task for row in rows], np.int64),
            np.array([row.experience for row in rows], np.int64),
            [row.id for row in rows],
            np.array([row.time for row in rows], np.float64),
            _optional([row.target for row in rows], np.float64),
            _optional([row.weight for row in rows], np.float32),
        )


def _optional(values: list[Any], dtype: type) -> NDArray[Any] | None:
    """Return a column that all rows have, or none."""
    return None if values[0] is None else np.array(values, dtype)
