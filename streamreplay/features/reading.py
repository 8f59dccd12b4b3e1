"""Read packed rows: a column by itself, or rows as dicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.kinds import BLOCKS, Column
from streamreplay.features.packed import as_table, block_column, put_values

__all__ = ["column_values", "dicts_of"]


class Named(Protocol):
    """The categories of a column."""

    def names_of(self, codes: NDArray[np.int32]) -> NDArray[np.object_]:
        """Return the category of each code, [n]; None for those missing."""


def column_values(x: NDArray[Any], column: Column, categories: Sequence[Named]) -> NDArray[Any]:
    """Return a column of packed rows, [n], which is learned from and no text.

    Numbers as float64, NaN where missing; times as datetime64; categories as objects, str or None.
    """
    found = block_column(as_table(x), BLOCKS[column.kind], column.place)
    if column.kind == "time":
        return found.view("datetime64[us]")
    if column.kind == "category":
        return categories[column.place].names_of(found)
    return found.astype(np.float64) + column.anchor


def dicts_of(
    x: NDArray[Any], columns: Iterable[Column], categories: Sequence[Named]
) -> list[dict[str, Any]]:
    """Return packed rows as dicts: numbers, strings, times; what is missing is absent."""
    found: list[dict[str, Any]] = [{} for _ in range(len(x))]
    for column in columns:
        if column.place < 0 or column.kind == "text":
            continue
        values = column_values(x, column, categories)
        if column.kind == "number" and not column.anchor:  # the shortest decimals, as in text
            values = values.astype(np.float32).astype(np.str_).astype(np.float64)
        put_values(found, column.name, values.tolist())
    return found
