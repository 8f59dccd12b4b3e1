"""Rows of a table that were read, and wait to be packed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.kinds import BLOCKS, Column
from streamreplay.features.packed import missing_rows, widened_block
from streamreplay.features.text import hash_texts
from streamreplay.features.values import (
    NO_TIME,
    Values,
    as_numbers,
    as_texts,
    as_times,
    is_missing,
    json_numbers,
)

__all__ = ["TableRows", "are_numbers", "join_tables", "read_numbers"]

_Key = TypeVar("_Key")


@dataclass(slots=True)
class TableRows:
    """Some rows of a table: converted, but with categories as text.

    Converting changes no schema, so that rows may be read ahead; `Schema.pack` gives categories
    their codes, and takes in new columns, when the rows leave. ``raw`` has the values of columns,
    each with what it was read as, that may yet turn out to be of another kind. ``lacking`` says in
    which rows a column is not even in the header.
    """

    n: int
    number: NDArray[np.float32]  # [n, numbers]
    time: NDArray[np.int64]  # [n, times], microseconds since 1970
    category: list[list[str | None]]  # one list of n for each column
    text: NDArray[np.int8]  # [n, texts, width]
    misfits: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # by column, [n]
    raw: dict[str, tuple[Column, list[Any]]] = field(default_factory=dict)
    unknown: dict[str, list[Any]] = field(default_factory=dict)  # values of columns not known yet
    lacking: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # by column, [n]

    @staticmethod
    def missing(n: int, dtype: np.dtype[np.void]) -> TableRows:
        """Return n rows of a packed type in which everything is missing."""
        blank = missing_rows(n, dtype)
        columns = dtype["category"].shape[0]
        texts: list[list[str | None]] = [[None] * n for _ in range(columns)]
        number, time, text = (np.ascontiguousarray(blank[k]) for k in ("number", "time", "text"))
        return TableRows(n, number, time, texts, text)

    @staticmethod
    def of_numbers(x: NDArray[np.float32], text_width: int) -> TableRows:
        """Return rows that have numbers only."""
        n = len(x)
        return TableRows(
            n, x, np.empty((n, 0), np.int64), [], np.empty((n, 0, text_width), np.int8)
        )

    def read(
        self,
        block: str,
        column: Column,
        values: Values,
        missing: Collection[str],
        decimal: str,
    ) -> None:
        """Convert the values of a column, n of them, into its place in a block."""
        place, wrong = column.place, None
        if block == "number":
            numbers = as_numbers(values, missing, decimal)
            with np.errstate(over="ignore"):
                found = (numbers - column.anchor).astype(np.float32)
            found[np.isinf(found)] = np.nan
            self.number[:, place] = found
            wrong = _misfits(np.isnan(found), values, missing)
        elif block == "time":
            self.time[:, place] = as_times(values, missing)
            wrong = _misfits(self.time[:, place] == NO_TIME, values, missing)
        elif block == "category":
            self.category[place] = as_texts(values, missing)
        else:
            self.text[:, place] = hash_texts(as_texts(values, missing), self.text.shape[2])
        if wrong is not None:
            self.misfits[column.name] = wrong

    def fill(
        self,
        block: str,
        column: Column,
        values: Values,
        missing: Collection[str],
        decimal: str,
    ) -> None:
        """Convert those values of a column that are not missing, as `read` does.

        Rows whose value is missing here keep theirs: they may have been read later, when the column
        was known.
        """
        place, known = column.place, self.misfits.get(column.name)
        gone = [row for row, value in enumerate(values) if is_missing(value, missing)]
        if block == "category":
            texts = list(self.category[place])
            self.read(block, column, values, missing, decimal)
            for row in gone:
                self.category[place][row] = texts[row]
        else:
            array: NDArray[Any] = getattr(self, block)
            kept = array[gone, place].copy()
            self.read(block, column, values, missing, decimal)
            array[gone, place] = kept
        if known is not None:
            found = self.misfits[column.name]
            self.misfits[column.name] = known if found is known else known | found

    def make_room(self, dtype: np.dtype[np.void]) -> None:
        """Add the columns of a packed type that the rows lack; all is missing in them."""
        self.number = widened_block(self.number, dtype["number"].shape, np.nan)
        self.time = widened_block(self.time, dtype["time"].shape, NO_TIME)
        self.text = widened_block(self.text, dtype["text"].shape, 0)
        more = dtype["category"].shape[0] - len(self.category)
        self.category += [[None] * self.n for _ in range(more)]

    def packed(
        self, dtype: np.dtype[np.void], codes: Sequence[Callable[[list[str | None]], NDArray[Any]]]
    ) -> NDArray[Any]:
        """Return packed rows; ``codes`` returns those of each column's categories."""
        self.make_room(dtype)
        x = np.zeros(self.n, dtype)
        x["number"], x["time"], x["text"] = self.number, self.time, self.text
        for place, (texts, codes_of) in enumerate(zip(self.category, codes, strict=True)):
            x["category"][:, place] = codes_of(texts)
        return x

    def take(self, rows: slice) -> TableRows:
        """Return some of the rows."""
        return TableRows(
            len(range(*rows.indices(self.n))),
            self.number[rows],
            self.time[rows],
            [column[rows] for column in self.category],
            self.text[rows],
            {name: wrong[rows] for name, wrong in self.misfits.items()},
            {name: (column, values[rows]) for name, (column, values) in self.raw.items()},
            {name: values[rows] for name, values in self.unknown.items()},
            {name: lacks[rows] for name, lacks in self.lacking.items()},
        )


def join_tables(parts: Sequence[TableRows]) -> TableRows:
    """Join rows that were read by one schema; a part read earlier may lack its last columns."""
    if len(parts) == 1:
        return parts[0]
    return TableRows(
        sum(part.n for part in parts),
        _joined_blocks([part.number for part in parts], np.nan),
        _joined_blocks([part.time for part in parts], NO_TIME),
        list(_joined_values([(p.n, dict(enumerate(p.category))) for p in parts]).values()),
        _joined_blocks([part.text for part in parts], 0),
        _joined_flags([(p.n, p.misfits) for p in parts]),
        _joined_raw(parts),
        _joined_values([(p.n, p.unknown) for p in parts]),
        _joined_flags([(p.n, p.lacking) for p in parts]),
    )


def _joined_blocks(blocks: Sequence[NDArray[Any]], missing: float) -> NDArray[Any]:
    """Join blocks of one kind, of which the last is the widest."""
    shape = blocks[-1].shape[1:]
    return np.concatenate([widened_block(block, shape, missing) for block in blocks])


def _joined_values(
    parts: Sequence[tuple[int, Mapping[_Key, list[Any]]]],
) -> dict[_Key, list[Any]]:
    """Join the values of columns, of parts with so many rows each; None where a part lacks one."""
    keys = dict.fromkeys(key for _, columns in parts for key in columns)
    return {
        key: [value for n, columns in parts for value in columns.get(key, [None] * n)]
        for key in keys
    }


def _joined_raw(parts: Sequence[TableRows]) -> dict[str, tuple[Column, list[Any]]]:
    """Join the values of columns that may widen; a column is as the first part has it."""
    columns = {name: column for part in reversed(parts) for name, (column, _) in part.raw.items()}
    values = _joined_values(
        [(part.n, {name: found for name, (_, found) in part.raw.items()}) for part in parts]
    )
    return {name: (column, values[name]) for name, column in columns.items()}


def _joined_flags(
    parts: Sequence[tuple[int, Mapping[str, NDArray[np.bool_]]]],
) -> dict[str, NDArray[np.bool_]]:
    """Join what is true of rows, by column, of parts with so many rows each."""
    names = dict.fromkeys(name for _, flags in parts for name in flags)
    return {
        name: np.concatenate([flags.get(name, np.zeros(n, np.bool_)) for n, flags in parts])
        for name in names
    }


def are_numbers(
    learned: Sequence[Column],
    columns: Mapping[str, Values],
    missing: Collection[str],
    decimal: str,
) -> bool:
    """Return whether all that is learned of some rows is numbers near 0, without gaps."""
    for column in learned:
        values = columns.get(column.name)
        if BLOCKS[column.kind] != "number" or column.anchor or values is None:
            return False
        if np.isnan(as_numbers(values, missing, decimal)).any():
            return False
    return bool(learned)


def read_numbers(
    names: Sequence[str], columns: Mapping[str, Values], n: int, decimal: str
) -> NDArray[np.float32] | None:
    """Return columns of numbers, float32[n, columns], if they have nothing but numbers as JSON's.

    Reading all at once is several times as fast as one by one.
    """
    if any(name not in columns for name in names):
        return None
    values = [columns[name] for name in names]
    arrays = [each for each in values if _is_float64(each)]
    x = np.empty((n, len(names)), np.float32)
    with np.errstate(over="ignore"):
        if len(arrays) == len(values):
            for i, array in enumerate(arrays):
                x[:, i] = array
        else:
            found = _json_columns(values, decimal)
            if found is None:
                return None
            x[...] = found.reshape(-1, n).T
    x += np.float32(0)  # -0.0, which JSON's -0 is not, is 0.0
    return x if np.isfinite(x).all() else None


def _is_float64(values: Values) -> TypeGuard[NDArray[np.float64]]:
    return isinstance(values, np.ndarray) and values.dtype == np.float64


def _json_columns(columns: Sequence[Values], decimal: str) -> NDArray[np.float64] | None:
    """Return the numbers of columns, one after the other; None if some are none of JSON's."""
    flat = list(chain.from_iterable(columns))
    kinds = set(map(type, flat))
    try:
        if kinds == {str} and decimal == ".":
            return json_numbers(flat)
        return np.array(flat, np.float64) if kinds.issubset((int, float)) else None
    except (ValueError, OverflowError):
        return None


def _misfits(
    absent: NDArray[np.bool_], values: Values, missing: Collection[str]
) -> NDArray[np.bool_] | None:
    """Return which values became missing though they are not; None if none did."""
    if not absent.any():
        return None
    if _is_float64(values):
        wrong = absent & ~np.isnan(values)
        return wrong if wrong.any() else None
    wrong = np.zeros(len(absent), np.bool_)
    for row in np.flatnonzero(absent).tolist():
        wrong[row] = not is_missing(values[row], missing)
    return wrong if wrong.any() else None
