"""`Schema`: the columns of a table, and rows packed by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError
from streamreplay.features.categories import Categories
from streamreplay.features.changes import ColumnChanges
from streamreplay.features.column_list import ColumnList
from streamreplay.features.kinds import (
    BLOCKS,
    FITTING,
    Column,
    ColumnKind,
    OnChange,
    check_kinds,
    infer,
)
from streamreplay.features.reading import column_values, dicts_of
from streamreplay.features.table_rows import TableRows, are_numbers, read_numbers
from streamreplay.features.values import MISSING, NO_TIME, Values, as_texts, is_missing
from streamreplay.state import Fields, State, expect, within

__all__ = ["NO_VALUE", "Schema"]

_MOST_COLUMNS = 10_000
_CHANCE = 4  # values that may not fit by a mistake, however few there are
NO_VALUE = "no value yet"
"""Why a column is left out that has only been missing so far."""


@final
class Schema:
    """The columns of a table, in the order in which the stream showed them.

    Rows packed by it are a structured array with a field for each kind of column: ``number``
    (float32, NaN where missing), ``time`` (int64, microseconds since 1970), ``category`` (int32
    codes, -1 where missing) and ``text`` (int8, hashed n-grams). Columns are only ever added, each
    at the end of its block; rows packed before lack the last places of a block.

    Parameters
    ----------
    kinds : mapping of str to ColumnKind, optional
        Declared kinds; all others are inferred.
    exclude : sequence of str
        Columns that are left out: names, or patterns such as ``d*``.
    missing : collection of str
        Texts that count as missing.
    text_width : int
        Bytes of a text column in a packed row.
    max_categories : int
        Categories of a column with a code of their own.
    on_change : {"evolve", "freeze", "ignore"}
        Take in columns that come later, refuse them, or leave them out as if they had not come.
    infer_rows : int
        Rows that a source waits for to infer kinds from.

    Attributes
    ----------
    inferred_from : int
        Rows that the kinds were inferred from; 0 before.
    packed : bool
        Rows are packed. Until one has something else than numbers, or a gap, they are arrays of
        numbers, float32[n, columns], as they cost nothing to encode.
    misfits : dict of str to int
        Values so far, by column, that did not fit their column's kind and count as missing.

    Examples
    --------
    >>> schema = Schema()
    >>> schema.begin({"size": ["1.5", "NA", "2"], "colour": ["red", "blue", "red"]})
    >>> [(column.name, column.kind) for column in schema.columns]
    [('colour', 'category'), ('size', 'number')]
    >>> x = schema.pack(schema.read({"size": ["3", "x"], "colour": ["green", ""]}, 2))
    >>> x["number"].tolist(), x["category"].tolist(), schema.misfits
    ([[3.0], [nan]], [[2], [-1]], {'size': 1})
    >>> schema.rows(x)
    [{'colour': 'green', 'size': 3.0}, {}]
    """

    _STATE: ClassVar = Fields(inferred_from=int, rows_packed=int, packed=bool, misfits=dict)

    def __init__(
        self,
        *,
        kinds: Mapping[str, ColumnKind] | None = None,
        exclude: Sequence[str] = (),
        missing: Collection[str] = MISSING,
        text_width: int = 256,
        max_categories: int = 10_000,
        on_change: OnChange = "evolve",
        infer_rows: int = 1000,
    ) -> None:
        self._declared = dict(kinds or {})
        check_kinds(self._declared)
        self._exclude = list(exclude)
        self.missing = frozenset(missing)
        """Texts that count as missing."""
        self.text_width = text_width
        self._max_categories = max_categories
        self.on_change: OnChange = on_change
        self.infer_rows = infer_rows
        self.decimal = "."
        """The decimal mark of numbers that are text."""
        self.columns = ColumnList()
        self.categories: list[Categories] = []
        self.misfits: dict[str, int] = {}
        self.changes = ColumnChanges()
        """The columns that have come, vanished or changed their kind."""
        self.reset()

    def reset(self) -> None:
        """Forget all columns."""
        self.changes.reset()
        self.columns.clear()
        self.categories, self.misfits = [], {}
        self.inferred_from, self.rows_packed, self.packed = 0, 0, False

    @property
    def names_by_kind(self) -> dict[str, list[str]]:
        """The columns that are learned from, by kind."""
        return self.columns.names_by_kind

    @property
    def names(self) -> list[str]:
        """The columns that are learned from, in order; the same object until one is added."""
        return self.columns.names

    @property
    def numeric_names(self) -> list[str]:
        """The columns of numbers, truth values and times."""
        return [c.name for c in self.columns if BLOCKS.get(c.kind) in ("number", "time")]

    @property
    def settled(self) -> bool:
        """Whether kinds were inferred from many rows, or many have come since."""
        return max(self.inferred_from, self.rows_packed) >= self.infer_rows

    @property
    def expected_inputs(self) -> int:
        """How many more inputs categories and gaps are likely to need."""
        return sum(min(len(each), 256) for each in self.categories) + len(self.names)

    @property
    def left_out(self) -> dict[str, str]:
        """The columns that are not learned from, each with the reason."""
        return self.columns.left_out

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The type of packed rows."""
        return self.columns.packed_type(self.text_width)

    def kind(self, name: str) -> ColumnKind:
        """Return the kind of a column."""
        return self.columns[name].kind

    def place(self, name: str) -> int:
        """Return the place of a column in the block of its kind; -1 if it is not learned from."""
        return self.columns[name].place

    def excludes(self, name: str) -> bool:
        """Return whether a column is left out because it was asked for."""
        return any(fnmatchcase(name, each) for each in self._exclude)

    def absent(self, names: Collection[str]) -> dict[str, list[str]]:
        """Return what is to be excluded, or has a declared kind, and is none of some columns."""
        excluded = [each for each in self._exclude if not any(fnmatchcase(n, each) for n in names)]
        return {"exclude": excluded, "kinds": [n for n in self._declared if n not in names]}

    def begin(self, columns: Mapping[str, Values]) -> None:
        """Infer the kinds of all columns from the first rows.

        Unless all are numbers without a gap, columns are placed in the order of their names: some
        formats leave out what is missing, so that the order in which columns are first seen differs
        between files with the same rows.
        """
        for name, values in columns.items():
            self._add(name, values)
        learned = [column for column in self.columns if column.place >= 0]
        self.packed = not are_numbers(learned, columns, self.missing, self.decimal)
        if self.packed:
            self.reset()
            for name in sorted(columns):
                self._add(name, columns[name])
            self.packed = True
        for column in self.columns:
            if column.kind == "category":
                self.categories[column.place].codes(as_texts(columns[column.name], self.missing))
        self.inferred_from = max((len(values) for values in columns.values()), default=0)

    def read(self, columns: Mapping[str, Values], n: int, *, sparse: bool = False) -> TableRows:
        """Convert the values of n rows; a column that is absent is missing in all of them.

        Unless the rows are ``sparse``, and each has columns of its own, it has vanished then.
        """
        if n and self.settled and not self.packed and all(map(self._is_settled, columns)):
            numbers = read_numbers(self.names, columns, n, self.decimal)
            if numbers is not None:
                return TableRows.of_numbers(numbers, self.text_width)
        rows = TableRows.missing(n, self.dtype)
        for name, values in columns.items():
            self._read_column(rows, name, values)
        for name in () if sparse else self.columns.absent(columns.keys()):
            rows.lacking[name] = np.ones(n, np.bool_)
        return rows

    def _read_column(self, rows: TableRows, name: str, values: Values) -> None:
        column, ignores = self.columns.get(name), self.on_change == "ignore"
        if column is None or column.reason == NO_VALUE:
            if not (ignores or self.excludes(name) or self._all_missing(values)):
                rows.unknown[name] = list(values)
        elif column.place >= 0:
            if self._may_widen(column):
                rows.raw[name] = (column, list(values))
            rows.read(BLOCKS[column.kind], column, values, self.missing, self.decimal)

    def _is_settled(self, name: str) -> bool:
        column = self.columns.get(name)
        return self.on_change == "ignore" or (column is not None and column.reason != NO_VALUE)

    def check_frozen(self, rows: TableRows) -> None:
        """Raise `ConfigError` if rows have a new column, and the schema is frozen."""
        if self.on_change != "freeze":
            return
        for name, values in sorted(rows.unknown.items()):
            if name not in self.columns and not self._all_missing(values):
                raise ConfigError(
                    f'there is a new column, {name!r}, and features.on_change = "freeze"'
                )

    def pack(self, rows: TableRows) -> NDArray[Any]:
        """Give categories their codes, take in new columns, and return packed rows.

        Raises
        ------
        ConfigError
            There is a new column, and the schema is frozen. Nothing has changed then.
        """
        self.check_frozen(rows)
        for name, values in sorted(rows.unknown.items()):
            # rows read together with these may have had a value, and leave later
            if not self._all_missing(values):
                self._take_in(rows, name, values)
        for column, values in rows.raw.values():
            self._reconsider(rows, column, values)
        rows.unknown, rows.raw = {}, {}
        self.rows_packed += rows.n
        if not self.packed and not np.isnan(rows.number).any():
            self.changes.all_there(self.columns.learned, rows.n)
            return rows.number
        self.packed = True
        for name, wrong in rows.misfits.items():
            self.misfits[name] = self.misfits.get(name, 0) + int(wrong.sum())
        x = rows.packed(self.dtype, [each.codes for each in self.categories])
        self.changes.look(self.columns, x, rows.lacking)
        return x

    def pack_known(self, rows: TableRows) -> NDArray[Any]:
        """Return packed rows that are only to be predicted, and leave no trace in the schema.

        New columns are left out, and new categories have no code of their own. Rows with gaps are
        packed in any case.
        """
        if not self.packed and not np.isnan(rows.number).any():
            return rows.number
        return rows.packed(self.dtype, [each.known_codes for each in self.categories])

    def _may_widen(self, column: Column) -> bool:
        """Return whether more rows may show another kind of a column."""
        if self.settled or self.on_change != "evolve" or column.name in self._declared:
            return False
        return column.kind in ("number", "boolean", "time")

    def _reconsider(self, rows: TableRows, column: Column, values: list[Any]) -> None:
        """Make categories of a column that has shown too many values of another kind.

        The place of its numbers or times stays, and is missing from then on.
        """
        name, block = column.name, BLOCKS[column.kind]
        if self.columns[name] is column and self._may_widen(column):
            wrong = self.misfits.get(name, 0) + int(rows.misfits.get(name, np.zeros(0)).sum())
            if wrong > max(_CHANCE, (1 - FITTING) * (self.rows_packed + rows.n)):
                begin = self.changes.rows
                self.changes.add("widened", self._set(name, "category"), begin + 1, begin + rows.n)
        now = self.columns[name]
        if now is not column:
            rows.make_room(self.dtype)
            rows.misfits.pop(name, None)
            block_of_rows = rows.number if block == "number" else rows.time
            block_of_rows[:, column.place] = np.nan if block == "number" else NO_TIME
            rows.fill("category", now, values, self.missing, self.decimal)
            self.packed = True

    def values(self, x: NDArray[Any], name: str) -> NDArray[Any]:
        """Return a column of packed rows by its name: [n].

        Numbers as float64, NaN where missing; times as datetime64; categories as objects, str or
        None.

        Raises
        ------
        KeyError
            There is no such column, or it is text: only its hashes are kept.
        """
        column = self.columns[name]
        if column.place < 0 or column.kind == "text":
            raise KeyError(name)
        return column_values(x, column, self.categories)

    def rows(self, x: NDArray[Any]) -> list[dict[str, Any]]:
        """Return packed rows as dicts: numbers, strings, times; what is missing is absent."""
        return dicts_of(x, self.columns, self.categories)

    def state_dict(self) -> State:
        """Return the columns and their categories."""
        self.changes.catch_up(self.columns)
        return {
            "settings": self._settings(),
            **self.columns.state_dict(),
            "categories": [each.STATE.save(each) for each in self.categories],
            **self._STATE.save(self),
            "changes": self.changes.STATE.save(self.changes),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of a schema with the same settings."""
        for name, value in self._settings().items():
            expect(name, state["settings"].get(name), value)
        self.columns.load_state_dict(state)
        self.categories = [Categories(self._max_categories) for _ in state["categories"]]
        for each, saved in zip(self.categories, state["categories"], strict=True):
            each.STATE.load(each, saved)
        self._STATE.load(self, state)
        with within("changes"):
            self.changes.load(state["changes"], len(self.columns))

    def close(self) -> None:
        """Leave out new columns and kinds from now on: the rows to come are only predicted."""
        self.on_change = "ignore"
        self.changes.restart(self.columns.learned)

    def _settings(self) -> State:
        return {
            "kinds": dict(self._declared),
            "exclude": list(self._exclude),
            "missing": sorted(self.missing),
            "text_width": self.text_width,
            "max_categories": self._max_categories,
        }

    def _add(self, name: str, values: Values) -> Column:
        found = infer(name, values, self.missing, self.decimal)
        kind = self._declared.get(name, found.kind)
        reason = found.reason if kind == "ignored" else ""
        if self.excludes(name):
            kind, reason = "ignored", "excluded"
        elif len(self.columns) >= _MOST_COLUMNS:
            kind, reason = "ignored", f"more than {_MOST_COLUMNS:,} columns"
        anchor = found.anchor if kind == "number" else 0.0
        return self._set(name, kind, anchor, reason)

    def _set(self, name: str, kind: ColumnKind, anchor: float = 0.0, reason: str = "") -> Column:
        """Give a column the next place in the block of its kind."""
        self.changes.catch_up(self.columns)
        column = self.columns.put(name, kind, anchor, reason)
        if kind == "category":
            self.categories.append(Categories(self._max_categories))
        return column

    def _all_missing(self, values: Values) -> bool:
        return all(is_missing(value, self.missing) for value in values)

    def _take_in(self, rows: TableRows, name: str, values: list[Any]) -> None:
        column = self.columns.get(name)
        if column is None or column.reason == NO_VALUE:
            if column is None and len(self.columns) > _MOST_COLUMNS:
                self.changes.refuse(sum(not self._all_missing([value]) for value in values))
                return  # not even its name is kept
            column = self._add(name, values)
            there = [not self._all_missing([value]) for value in values]
            row = self.changes.rows + there.index(True) + 1
            self.changes.add("new", column, row, row)
        if column.place < 0:
            return
        self.packed = True
        rows.make_room(self.dtype)
        rows.fill(BLOCKS[column.kind], column, values, self.missing, self.decimal)
