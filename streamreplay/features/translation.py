"""Rows as a schema packs them: those of another schema, arrays with gaps; and rows as dicts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError
from streamreplay.features.packed import TableSchema, as_table

__all__ = ["has_gaps", "table_of", "translated"]


def translated(x: NDArray[Any], old: TableSchema, new: TableSchema) -> NDArray[Any]:
    """Return rows that one schema has packed, as another packs them, by the names of columns.

    Parameters
    ----------
    x : packed rows [n], or float32[n, columns]
    old, new : TableSchema
        The new one gets the categories of these rows; a column that they lack is missing.

    Raises
    ------
    ConfigError
        No column has the same name in both.
    """
    shared = [name for name in new.names if name in old.names]
    if not shared:
        raise ConfigError(
            f"no column has its name in both: {', '.join(old.names)}; {', '.join(new.names)}"
        )
    texts = [name for name in shared if old.kind(name) == new.kind(name) == "text"]
    columns = {name: old.values(x, name) for name in shared if old.kind(name) != "text"}
    packed = new.pack(new.read(columns, len(x)))
    for name in texts:
        _copy_text(as_table(x)["text"], old.place(name), packed["text"], new.place(name))
    return packed


def _copy_text(
    block: NDArray[np.int8], place: int, new_block: NDArray[np.int8], new_place: int
) -> None:
    """Copy the hashes of a text column, unless the rows lack it or have another width of text."""
    if place < block.shape[1] and block.shape[2] == new_block.shape[2]:
        new_block[:, new_place] = block[:, place]


def has_gaps(x: NDArray[Any]) -> bool:
    """Return whether rows are numbers, [n, d], of which some are missing."""
    return x.dtype == np.float32 and x.ndim == 2 and bool(np.isnan(x).any())


def table_of(x: NDArray[np.float32], schema: TableSchema) -> NDArray[Any]:
    """Return rows of numbers, [n, d], packed by a new schema, with missing ones."""
    columns = {str(i): x[:, i] for i in range(x.shape[1])}
    schema.begin(columns)
    packed: NDArray[Any] = schema.pack(schema.read(columns, len(x)))
    schema.changes.take()  # the rows of an array come in any order
    return packed
