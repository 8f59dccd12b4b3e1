"""`Schema`: the columns of a table, and rows packed by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import RecordError
from streamreplay.features.categories import Categories
from streamreplay.features.kinds import KINDS, Column, ColumnKind, infer
from streamreplay.features.packed import NO_TIME, as_table, packed_type, widened_block
from streamreplay.features.table_rows import TableRows
from streamreplay.features.text import hash_texts
from streamreplay.features.values import (
    MISSING,
    Values,
    as_numbers,
    as_texts,
    as_times,
    is_missing,
)
from streamreplay.state import State, expect

__all__ = ["BLOCKS", "OnChange", "Schema"]

OnChange: TypeAlias = Literal["evolve", "freeze"]
Block: TypeAlias = Literal["number", "time", "category", "text"]

BLOCKS: dict[ColumnKind, Block] = {
    "number": "number",
    "boolean": "number",
    "time": "time",
    "category": "category",
    "text": "text",
}
"""The field of a packed row that a column of each kind is in."""

_MOST_COLUMNS = 10_000
_NO_VALUE = "no value yet"


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
    only : sequence of str, optional
        The columns to learn from; all others are left out.
    missing : collection of str
        Texts that count as missing.
    text_width : int
        Bytes of a text column in a packed row.
    most_categories : int
        Categories of a column with a code of their own.
    on_change : {"evolve", "freeze"}
        Take in columns that come later, or refuse them.

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
    [('size', 'number'), ('colour', 'category')]
    >>> x = schema.pack(schema.read({"size": ["3", "x"], "colour": ["green", ""]}, 2))
    >>> x["number"].tolist(), x["category"].tolist(), schema.misfits
    ([[3.0], [nan]], [[0], [-1]], {'size': 1})
    >>> schema.rows(x)
    [{'size': 3.0, 'colour': 'green'}, {}]
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, ColumnKind] | None = None,
        exclude: Sequence[str] = (),
        only: Sequence[str] | None = None,
        missing: Collection[str] = MISSING,
        text_width: int = 256,
        most_categories: int = 10_000,
        on_change: OnChange = "evolve",
    ) -> None:
        self._declared = dict(kinds or {})
        for name, kind in self._declared.items():
            if kind not in KINDS:
                raise ValueError(
                    f"kind of {name!r} must be one of {', '.join(KINDS)}, got {kind!r}"
                )
        self._exclude = list(exclude)
        self._only = None if only is None else list(only)
        self._missing = frozenset(missing)
        self.text_width = text_width
        self._most_categories = most_categories
        self.on_change: OnChange = on_change
        self.columns: list[Column] = []
        self.categories: list[Categories] = []
        self.inferred_from = 0
        self.packed = False
        self.misfits: dict[str, int] = {}
        self._by_name: dict[str, Column] = {}

    @property
    def names(self) -> list[str]:
        """The columns that are learned from, in order."""
        return [column.name for column in self.columns if column.place >= 0]

    @property
    def numeric_names(self) -> list[str]:
        """The columns of numbers, truth values and times."""
        return [c.name for c in self.columns if BLOCKS.get(c.kind) in ("number", "time")]

    @property
    def expected_inputs(self) -> int:
        """How many inputs the categories known so far, and gaps, are likely to need."""
        return sum(min(len(each), 256) for each in self.categories) + len(self.names)

    @property
    def left_out(self) -> dict[str, str]:
        """The columns that are not learned from, each with the reason."""
        return {column.name: column.reason for column in self.columns if column.place < 0}

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The type of packed rows."""
        count = self._count
        return packed_type(
            count("number"), count("time"), count("category"), count("text"), self.text_width
        )

    def column(self, name: str) -> Column | None:
        """Return a column by its name; None if there is none."""
        return self._by_name.get(name)

    def begin(self, columns: Mapping[str, Values]) -> None:
        """Infer the kinds of all columns from the first rows."""
        for name, values in columns.items():
            if name not in self._by_name:
                column = self._add(name, values)
                if column.kind == "category":
                    self.categories[column.place].codes(as_texts(values, self._missing))
        self.packed = not self._are_numbers(columns)
        self.inferred_from = max((len(values) for values in columns.values()), default=0)

    def _are_numbers(self, columns: Mapping[str, Values]) -> bool:
        """Return whether all that is learned of some rows is numbers near 0, without gaps."""
        for column in self.columns:
            if column.place < 0:
                continue
            if BLOCKS[column.kind] != "number" or column.anchor:
                return False
            values = columns.get(column.name)
            if values is None or np.isnan(as_numbers(values, self._missing)).any():
                return False
        return bool(self.names)

    def read(self, columns: Mapping[str, Values], n: int) -> TableRows:
        """Convert the values of n rows; a column that is absent is missing in all of them."""
        count = self._count
        rows = TableRows(
            n,
            np.full((n, count("number")), np.nan, np.float32),
            np.full((n, count("time")), NO_TIME, np.int64),
            [[None] * n for _ in range(count("category"))],
            np.zeros((n, count("text"), self.text_width), np.int8),
        )
        for name, values in columns.items():
            column = self._by_name.get(name)
            if column is None or column.reason == _NO_VALUE:
                if any(not is_missing(value, self._missing) for value in values):
                    rows.unknown[name] = list(values)
            elif column.place >= 0:
                self._read_column(rows, column, values)
        return rows

    def pack(self, rows: TableRows) -> NDArray[Any]:
        """Give categories their codes, take in new columns, and return packed rows.

        Raises
        ------
        RecordError
            There is a new column, and the schema is frozen.
        """
        for name, values in rows.unknown.items():
            self._take_in(rows, name, values)
        rows.unknown = {}
        if not self.packed and not np.isnan(rows.number).any():
            return rows.number
        self.packed = True
        for name, wrong in rows.misfits.items():
            self.misfits[name] = self.misfits.get(name, 0) + int(wrong.sum())
        x = np.zeros(rows.n, self.dtype)
        x["number"] = np.nan
        x["time"] = NO_TIME
        x["category"] = -1
        x["number"][:, : rows.number.shape[1]] = rows.number
        x["time"][:, : rows.time.shape[1]] = rows.time
        x["text"][:, : rows.text.shape[1]] = rows.text
        for place, texts in enumerate(rows.category):
            x["category"][:, place] = self.categories[place].codes(texts)
        return x

    def values(self, x: NDArray[Any], name: str) -> NDArray[Any]:
        """Return a column of packed rows by its name: [n].

        Numbers as float64, NaN where missing; times as datetime64; categories as objects, str or
        None.

        Raises
        ------
        KeyError
            There is no such column, or it is text: only its hashes are kept.
        """
        column = self._by_name[name]
        if column.place < 0 or column.kind == "text":
            raise KeyError(name)
        block = as_table(x)[BLOCKS[column.kind]]
        if column.place >= block.shape[1]:  # packed before the column came
            return np.full(len(x), None if column.kind == "category" else np.nan)
        found: NDArray[Any] = block[:, column.place]
        if column.kind == "time":
            return found.view("datetime64[us]")
        if column.kind == "category":
            name_of = self.categories[column.place].name
            return np.array([name_of(code) for code in found.tolist()], np.object_)
        return found.astype(np.float64) + column.anchor

    def rows(self, x: NDArray[Any]) -> list[dict[str, Any]]:
        """Return packed rows as dicts: numbers, strings, times; what is missing is absent."""
        found: list[dict[str, Any]] = [{} for _ in range(len(x))]
        for column in self.columns:
            if column.place < 0 or column.kind == "text":
                continue
            for row, value in zip(found, self.values(x, column.name).tolist(), strict=True):
                if value is not None and value == value:  # noqa: PLR0124 - NaN does not equal itself
                    row[column.name] = (
                        value.replace(tzinfo=UTC) if type(value) is datetime else value
                    )
        return found

    def state_dict(self) -> State:
        """Return the columns and their categories."""
        return {
            "settings": self._settings(),
            "columns": [asdict(column) for column in self.columns],
            "categories": [
                {"names": list(each.names), "hashed": each.hashed} for each in self.categories
            ],
            "inferred_from": self.inferred_from,
            "packed": self.packed,
            "misfits": dict(self.misfits),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of a schema with the same settings."""
        for name, value in self._settings().items():
            expect(name, state["settings"].get(name), value)
        self.columns = [Column(**saved) for saved in state["columns"]]
        self._by_name = {column.name: column for column in self.columns}
        self.categories = []
        for saved in state["categories"]:
            self.categories.append(Categories(self._most_categories))
            self.categories[-1].STATE.load(self.categories[-1], saved)
        self.inferred_from = int(state["inferred_from"])
        self.packed = bool(state["packed"])
        self.misfits = dict(state["misfits"])

    def _settings(self) -> State:
        return {
            "kinds": dict(self._declared),
            "exclude": list(self._exclude),
            "features": self._only,
            "missing": sorted(self._missing),
            "text_width": self.text_width,
            "max_categories": self._most_categories,
        }

    def _count(self, block: Block) -> int:
        return sum(1 for c in self.columns if c.place >= 0 and BLOCKS[c.kind] == block)

    def _add(self, name: str, values: Values) -> Column:
        found = infer(name, values, self._missing)
        kind = self._declared.get(name, found.kind)
        reason = found.reason if kind == "ignored" else ""
        if any(fnmatchcase(name, each) for each in self._exclude):
            kind, reason = "ignored", "excluded"
        elif self._only is not None and name not in self._only:
            kind, reason = "ignored", "not among the features"
        elif len(self.columns) >= _MOST_COLUMNS:
            kind, reason = "ignored", f"more than {_MOST_COLUMNS:,} columns"
        place = -1 if kind == "ignored" else self._count(BLOCKS[kind])
        anchor = found.anchor if kind == "number" else 0.0
        column = Column(name, kind, place, anchor, reason or ("declared" if place < 0 else ""))
        if name in self._by_name:
            self.columns = [column if each.name == name else each for each in self.columns]
        else:
            self.columns.append(column)
        self._by_name[name] = column
        if kind == "category":
            self.categories.append(Categories(self._most_categories))
        return column

    def _take_in(self, rows: TableRows, name: str, values: list[Any]) -> None:
        column = self._by_name.get(name)
        if column is None or column.reason == _NO_VALUE:
            if column is None and self.on_change == "freeze":
                raise RecordError(
                    f'there is a new column, {name!r}, and features.on_change = "freeze"'
                )
            column = self._add(name, values)
        if column.place < 0:
            return
        self.packed = True
        count, n = self._count, rows.n
        rows.number = widened_block(rows.number, (count("number"),), np.nan)
        rows.time = widened_block(rows.time, (count("time"),), NO_TIME)
        rows.text = widened_block(rows.text, (count("text"), self.text_width), 0)
        rows.category += [[None] * n for _ in range(count("category") - len(rows.category))]
        self._read_column(rows, column, values)

    def _read_column(self, rows: TableRows, column: Column, values: Values) -> None:
        place, missing = column.place, self._missing
        wrong: NDArray[np.bool_] | None = None
        if BLOCKS[column.kind] == "number":
            numbers = as_numbers(values, missing)
            wrong = _misfits(np.isnan(numbers), values, missing)
            with np.errstate(over="ignore"):
                rows.number[:, place] = numbers - column.anchor if column.anchor else numbers
            far = np.isinf(rows.number[:, place])
            if far.any():
                rows.number[far, place] = np.nan
                wrong = far if wrong is None else wrong | far
        elif column.kind == "time":
            rows.time[:, place] = as_times(values, missing)
            wrong = _misfits(rows.time[:, place] == NO_TIME, values, missing)
        elif column.kind == "category":
            rows.category[place] = as_texts(values, missing)
        else:
            rows.text[:, place] = hash_texts(as_texts(values, missing), self.text_width)
        if wrong is not None:
            rows.misfits[column.name] = wrong


def _misfits(
    absent: NDArray[np.bool_], values: Values, missing: Collection[str]
) -> NDArray[np.bool_] | None:
    """Return which values became missing though they are not; None if none did."""
    if not absent.any():
        return None
    wrong = np.zeros(len(absent), np.bool_)
    for row in np.flatnonzero(absent).tolist():
        wrong[row] = not is_missing(values[row], missing)
    return wrong if wrong.any() else None
