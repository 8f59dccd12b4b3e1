"""Rows packed by a schema: their type, and what a later state of the schema makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.values import NO_TIME

__all__ = [
    "TableSchema",
    "as_table",
    "block_column",
    "can_join",
    "has_values",
    "is_table",
    "joined_rows",
    "missing_rows",
    "packed_type",
    "put_values",
    "widened",
]


_ABSENT = {"number": np.nan, "time": NO_TIME, "category": -1, "text": 0}


class Changes(Protocol):
    """What has changed about the columns of a table."""

    def take(self) -> list[dict[str, Any]]:
        """Return the records of changes since the last call, in order of position."""


class TableSchema(Protocol):
    """What a `streamreplay.features.Schema` tells about rows that it packed."""

    @property
    def changes(self) -> Changes:
        """The columns that have come, vanished or changed their kind."""

    @property
    def names(self) -> list[str]:
        """The columns that are learned from, in order."""

    @property
    def numeric_names(self) -> list[str]:
        """The columns of numbers, truth values and times."""

    @property
    def expected_inputs(self) -> int:
        """How many inputs the categories known so far, and gaps, are likely to need."""

    def values(self, x: NDArray[Any], name: str) -> NDArray[Any]:
        """Return a column of packed rows by its name: [n]."""

    def kind(self, name: str) -> str:
        """Return the kind of a column."""

    def place(self, name: str) -> int:
        """Return the place of a column in the block of its kind."""

    def begin(self, columns: Mapping[str, Any]) -> None:
        """Infer the kinds of columns from their first values."""

    def read(self, columns: Mapping[str, Any], n: int) -> Any:
        """Convert the values of n rows."""

    def pack(self, rows: Any) -> NDArray[Any]:
        """Pack rows that were read."""

    def rows(self, x: NDArray[Any]) -> list[dict[str, Any]]:
        """Return packed rows as dicts; what is missing is absent."""


def packed_type(number: int, time: int, category: int, text: int, width: int) -> np.dtype[Any]:
    """Return the type of packed rows with so many columns of each kind."""
    return np.dtype(
        [
            ("number", np.float32, (number,)),
            ("time", np.int64, (time,)),
            ("category", np.int32, (category,)),
            ("text", np.int8, (text, width)),
        ]
    )


def is_table(x: NDArray[Any] | None) -> bool:
    """Return whether rows are packed by a schema."""
    return x is not None and x.dtype.names is not None


def can_join(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    """Return whether rows of a table can be joined with others: of the table, or of its numbers."""
    return all(map(is_row_of_table, (one, other))) and (is_table(one) or is_table(other))


def is_row_of_table(x: NDArray[Any] | None) -> bool:
    """Return whether rows are packed, or are arrays of numbers that could be packed."""
    return x is not None and (is_table(x) or (x.ndim == 2 and x.dtype == np.float32))


def block_column(x: NDArray[Any], block: str, place: int) -> NDArray[Any]:
    """Return a column of packed rows, [n]; missing in rows that were packed before it came."""
    columns = x[block]
    if place < columns.shape[1]:
        found: NDArray[Any] = columns[:, place]
        return found
    return np.full(len(x), _ABSENT[block], columns.dtype)


def put_values(rows: Sequence[dict[str, Any]], name: str, values: Sequence[Any]) -> None:
    """Put a column's values into dicts, one for each row; one that is missing is left out."""
    for row, value in zip(rows, values, strict=True):
        if value is not None and value == value:  # noqa: PLR0124 - NaN does not equal itself
            row[name] = value.replace(tzinfo=UTC) if type(value) is datetime else value


def as_table(x: NDArray[Any]) -> NDArray[Any]:
    """Return rows as packed: those of an array of numbers, float32[n, columns], are packed."""
    return x if is_table(x) else widened(x, packed_type(x.shape[1], 0, 0, 0, 1))


def joined_rows(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join rows; those packed before a column came are missing it."""
    tables = [part.dtype for part in parts if is_table(part)]
    if not tables:
        return np.concatenate(parts)
    widest = max(tables, key=lambda dtype: dtype.itemsize)
    return np.concatenate([widened(part, widest) for part in parts])


def widened(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return packed rows [n] as of a later state of their schema: new columns are missing.

    An array of numbers, float32[n, columns], is rows of the first columns of a table: a stream
    yields arrays as long as its rows have numbers only.
    """
    if x.dtype == dtype:
        return x
    wider = missing_rows(len(x), dtype)
    if not is_table(x):
        wider["number"][:, : x.shape[1]] = x
        return wider
    for name, absent in _ABSENT.items():
        wider[name] = widened_block(x[name], dtype[name].shape, absent)
    return wider


def has_values(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where packed rows have a value, bool[n, columns + 1]: block by block, then nothing."""
    blocks = (
        ~np.isnan(x["number"]),
        x["time"] != NO_TIME,
        x["category"] >= 0,
        x["text"].any(axis=2),
        np.zeros((len(x), 1), np.bool_),
    )
    return np.concatenate(blocks, axis=1)


def missing_rows(n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return n packed rows in which everything is missing."""
    rows = np.zeros(n, dtype)
    for name, absent in _ABSENT.items():
        rows[name] = absent
    return rows


def widened_block(block: NDArray[Any], shape: tuple[int, ...], absent: float) -> NDArray[Any]:
    """Return a block [n, columns, ...] with more columns, which are missing."""
    if block.shape[1:] == shape:
        return block
    wider = np.full((len(block), *shape), absent, block.dtype)
    wider[tuple(slice(size) for size in block.shape)] = block
    return wider
