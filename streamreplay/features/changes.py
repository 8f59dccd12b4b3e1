"""Notice which columns of a table are new, vanish, come back, or turn out to be categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import CheckpointError
from streamreplay.state import GROWN, Fields, State

if TYPE_CHECKING:
    from streamreplay.features.column_list import ColumnList
    from streamreplay.features.kinds import Column

__all__ = ["SILENT", "Change", "ColumnChanges", "describe_change", "describe_counts"]

Change: TypeAlias = Literal["new", "vanished", "back", "widened"]

SILENT = 1000
"""Rows in a row without a value after which a column has vanished, where rows have no header."""

_LONGER = 10  # a gap that is this many times the longest before is no gap of a sparse column
_MOST = 50  # changes of one sort that have a record
_AT_ONCE = 4096  # rows to look at: bounds the memory
_MOST_AHEAD = 256  # rows that wait to be looked at, which is faster; fewer than `SILENT`
_LONGEST_NAME = 80  # characters of a column's name in a message
_NOT_YET = -1  # a column that has had no value

Lacking: TypeAlias = Mapping[str, NDArray[np.bool_]]
_NOTHING: Lacking = {}


@final
class ColumnChanges:
    """Collects the changes of a table's columns, row by row, as records of the log.

    A column has vanished in the first row behind a header that lacks it. Where rows have no header,
    as in JSON, and where the header has it, it has vanished once it had no value in 1,000 rows in a
    row, and in ten times as many as ever before: a sparse column has not. It is back in the first
    row with a value. Rows in which no column has a value, such as labels that come late, do not
    count. How rows are cut into batches makes no difference.

    Attributes
    ----------
    counts : dict of str to int
        Changes so far, by sort. The first 50 of a sort have a record. ``refused_values`` are those
        of columns beyond the most that there may be.

    Examples
    --------
    >>> from streamreplay.features.column_list import ColumnList
    >>> changes, columns = ColumnChanges(), ColumnList()
    >>> _ = columns.put("a", "number"), columns.put("b", "number")
    >>> rows = np.zeros(5, columns.packed_type(0))
    >>> changes.look(columns, rows)
    >>> rows["number"][0, 1] = np.nan
    >>> changes.look(columns, rows[:1], {"b": np.array([True])})
    >>> changes.look(columns, rows[1:])
    >>> [describe_change(record) for record in changes.take()]
    ["column 'b' is missing from row 6 on", "column 'b' is back at row 7"]
    """

    STATE: ClassVar = Fields(
        counts=dict, rows=int, _filled=int, _last=GROWN, _row=GROWN, _longest=GROWN, _gone=GROWN
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.counts: dict[str, int] = {}
        self.rows = 0
        self._filled = 0  # rows with any value
        self._last = np.zeros(0, np.int64)  # of each column: the last of those in which it had one
        self._row = np.zeros(0, np.int64)  # and the number of that row, from 1
        self._longest = np.zeros(0, np.int64)  # gap between two values, in such rows
        self._gone = np.zeros(0, np.bool_)
        self._found: list[dict[str, Any]] = []
        self._ahead: list[NDArray[Any]] = []  # rows that were only counted
        self._forget_plan()

    def _forget_plan(self) -> None:
        self._ahead, self._rows_ahead = [], 0
        self._due = 0  # rows with any value up to which no column can vanish
        self._gone_names: set[str] = set()

    def restart(self, learned: NDArray[np.bool_]) -> None:
        """Begin with another stream, which may lack columns from its start.

        ``learned`` says which columns are learned from, bool[columns].
        """
        self.reset()
        self.all_there(learned, 0)

    def take(self) -> list[dict[str, Any]]:
        """Return the records of changes since the last call, in order of position."""
        found, self._found = self._found, []
        return sorted(found, key=lambda record: record["position"])

    def add(self, change: Change, column: Column, since: int, position: int) -> None:
        """Count a change, and make a record of it unless there are too many.

        Parameters
        ----------
        change : Change
        column : Column
            As it is now.
        since : int
            The first row of the change, from 1.
        position : int
            Rows up to that which has shown it.
        """
        count = self.counts[change] = self.counts.get(change, 0) + 1
        if count <= _MOST:
            record = {"kind": "column", "position": position, "change": change}
            record |= {"column": column.name, "learned_as": column.kind, "since": since}
            self._found.append({**record, "count": count})

    def refuse(self, values: int) -> None:
        """Count values of columns beyond the most that there may be, whose names are not kept."""
        self.counts["refused_values"] = self.counts.get("refused_values", 0) + values

    def all_there(self, learned: NDArray[np.bool_], n: int) -> None:
        """Count n rows in which all columns that are learned from have a value, as ever before.

        ``learned`` says which those are, bool[columns].
        """
        self._grow(len(learned))
        self.rows += n
        self._filled += n
        self._last[learned] = self._filled
        self._row[learned] = self.rows
        self._due = 0

    def look(self, columns: ColumnList, x: NDArray[Any], lacking: Lacking = _NOTHING) -> None:
        """Find the changes in the next packed rows; `take` returns them then.

        Parameters
        ----------
        columns : ColumnList
        x : packed rows [n]
        lacking : mapping of str to bool[n]
            Columns that a header lacks, each with the rows that are behind that header.
        """
        gone = self._gone_names
        lacking = {k: lacks for k, lacks in lacking.items() if k not in gone or not lacks.all()}
        if lacking:
            self.catch_up(columns)
        self._ahead.append(x)
        self.rows += len(x)
        self._rows_ahead += len(x)
        if lacking or self._filled + self._rows_ahead >= self._due or self._may_be_back(columns, x):
            self.catch_up(columns, lacking)

    def _may_be_back(self, columns: ColumnList, x: NDArray[Any]) -> bool:
        return bool(self._gone_names) and bool(columns.present(x)[:, self._gone].any())

    def catch_up(self, columns: ColumnList, lacking: Lacking = _NOTHING) -> None:
        """Find when columns had their last values in rows that were only counted so far.

        Call it before a column is added or changes its kind, and before the state is saved.
        """
        if not self._ahead:
            return
        x = self._ahead[0] if len(self._ahead) == 1 else np.concatenate(self._ahead)
        present = columns.present(x)
        first = self.rows - len(present)
        self._ahead, self._rows_ahead = [], 0
        self._grow(present.shape[1])
        for start in range(0, len(present), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            some = {name: lacks[rows] for name, lacks in lacking.items() if lacks[rows].any()}
            self._look(columns, present[rows], some, first + start)
        self._gone_names = {c.name for c, gone in zip(columns, self._gone, strict=True) if gone}
        there = ~self._gone & (self._last >= 0)
        due = (self._last + self._patience())[there]
        self._due = int(due.min(initial=self._filled + _MOST_AHEAD))

    def _patience(self) -> NDArray[np.int64]:
        """Return the rows without a value after which each column has vanished."""
        return np.maximum(SILENT, _LONGER * self._longest)

    def load(self, state: State, columns: int) -> None:
        """Load a state of a table with so many columns.

        Raises
        ------
        CheckpointError
            It is of something else.
        """
        self.STATE.load(self, state)
        shapes = {each.shape for each in (self._last, self._row, self._longest, self._gone)}
        if len(shapes) > 1 or not (0,) <= max(shapes) <= (columns,):
            raise CheckpointError(f"last: saved {max(shapes)} columns, this pipeline has {columns}")
        self._found = []
        self._forget_plan()

    def _grow(self, columns: int) -> None:
        more = columns - len(self._last)
        if more > 0:
            self._last = np.append(self._last, np.full(more, _NOT_YET))
            self._row = np.append(self._row, np.zeros(more, np.int64))
            self._longest = np.append(self._longest, np.zeros(more, np.int64))
            self._gone = np.append(self._gone, np.zeros(more, np.bool_))

    def _look(
        self, columns: ColumnList, present: NDArray[np.bool_], lacking: Lacking, first: int
    ) -> None:
        """Find the changes in rows of which the first has ``first`` rows before it."""
        filled = np.asarray(present.any(axis=1))
        numbers = np.flatnonzero(filled) + first + 1  # of rows with any value
        self._filled += len(numbers)
        if not len(numbers):
            return
        present, order = present[filled], np.arange(len(numbers)) + self._filled - len(numbers) + 1
        # the last row up to each one in which a column has a value, [1 + n, columns]
        last = np.vstack([self._last, np.where(present, order[:, None], _NOT_YET)])
        last = np.maximum.accumulate(last, axis=0)
        before = last[:-1]
        gaps = np.where(present & (before >= 0), order[:, None] - before - 1, 0).max(axis=0)
        any_value, known = present.any(axis=0), last[-1] >= 0
        headless: Any = np.False_
        if lacking:
            headless = np.array([column.name in lacking for column in columns])
        silent = self._filled - last[-1] >= self._patience()
        odd = (any_value & (self._gone | (gaps >= SILENT))) | (~self._gone & (silent | headless))
        odd &= known
        names = list(columns) if odd.any() else []
        for i in np.flatnonzero(odd).tolist():
            column = names[i]
            lacks = lacking.get(column.name, np.zeros(len(filled), np.bool_))[filled]
            self._follow(i, column, present[:, i], lacks, numbers)
        usual = ~odd
        self._longest[usual] = np.maximum(self._longest, gaps)[usual]
        at = usual & any_value
        self._last[at] = last[-1][at]
        self._row[at] = numbers[last[-1][at] - order[0]]

    def _follow(
        self,
        i: int,
        column: Column,
        present: NDArray[np.bool_],
        lacks: NDArray[np.bool_],
        numbers: NDArray[np.int64],
    ) -> None:
        """Find the changes of one column, row by row."""
        first = self._filled - len(numbers) + 1
        last, row, longest, gone = (
            each[i].item() for each in (self._last, self._row, self._longest, self._gone)
        )
        for place, number in enumerate(numbers.tolist()):
            order = first + place
            if present[place]:
                if gone:
                    self.add("back", column, number, number)
                last, row, longest, gone = order, number, max(longest, _gap(last, order)), False
            elif gone or last < 0:
                continue
            elif lacks[place] or order - last >= max(SILENT, _LONGER * longest):
                self.add("vanished", column, number if lacks[place] else row + 1, number)
                gone = True
        self._last[i], self._row[i], self._longest[i], self._gone[i] = last, row, longest, gone


def _gap(last: int, order: int) -> int:
    """Return the rows without a value since the last one with a value, if there was one."""
    return order - last - 1 if last >= 0 else 0


def describe_counts(counts: Mapping[str, int]) -> str:
    """Return how many changes of columns there were, for people; "" if there was none.

    Examples
    --------
    >>> describe_counts({"new": 1200, "back": 1})
    'columns: 1,200 new, 1 back'
    """
    words = {"refused_values": "values of further ones refused"}
    listing = ", ".join(f"{n:,} {words.get(what, what)}" for what, n in counts.items())
    return f"columns: {listing}" if counts else ""


def describe_change(record: Mapping[str, Any]) -> str:
    """Write a record of kind ``column`` for people.

    Examples
    --------
    >>> record = {"change": "new", "column": "gate", "learned_as": "category", "since": 3001}
    >>> describe_change(record | {"count": 1})
    "column 'gate' is new at row 3,001, learned as a category"
    >>> describe_change(record | {"change": "vanished", "count": 50}).partition("; ")[2]
    'further columns that vanish are counted, not named'
    """
    name, row, kind = record["column"], f"{record['since']:,}", record["learned_as"]
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
    learned = "not learned" if kind == "ignored" else f"learned as a {kind}"
    what, further = {
        "new": (f"is new at row {row}, {learned}", "are new"),
        "vanished": (f"is missing from row {row} on", "vanish"),
        "back": (f"is back at row {row}", "come back"),
        "widened": (f"is learned as a category from row {row} on", "become categories"),
    }[record["change"]]
    more = f"; further columns that {further} are counted, not named"
    return f"column {name!r} {what}{more if record['count'] == _MOST else ''}"
