"""Rows of a table that were read, and wait to be packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.packed import NO_TIME, widened_block

__all__ = ["TableRows", "join_tables"]


@dataclass(slots=True)
class TableRows:
    """Some rows of a table: converted, but with categories as text.

    Converting changes no schema, so that rows may be read ahead; `Schema.pack` gives categories
    their codes, and takes in new columns, when the rows leave.
    """

    n: int
    number: NDArray[np.float32]  # [n, numbers]
    time: NDArray[np.int64]  # [n, times], microseconds since 1970
    category: list[list[str | None]]  # one list of n for each column
    text: NDArray[np.int8]  # [n, texts, width]
    misfits: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # by column, [n]
    unknown: dict[str, list[Any]] = field(default_factory=dict)  # values of columns not known yet

    def take(self, rows: slice) -> TableRows:
        """Return some of the rows."""
        return TableRows(
            len(range(*rows.indices(self.n))),
            self.number[rows],
            self.time[rows],
            [column[rows] for column in self.category],
            self.text[rows],
            {name: wrong[rows] for name, wrong in self.misfits.items()},
            {name: values[rows] for name, values in self.unknown.items()},
        )


def join_tables(parts: Sequence[TableRows]) -> TableRows:
    """Join rows that were read by one schema; a part read earlier may lack its last columns."""
    if len(parts) == 1:
        return parts[0]
    widest = parts[-1]
    shape = widest.text.shape[1:]
    names = {name for part in parts for name in part.misfits}
    unknown = list(dict.fromkeys(name for part in parts for name in part.unknown))
    return TableRows(
        sum(part.n for part in parts),
        np.concatenate([widened_block(p.number, widest.number.shape[1:], np.nan) for p in parts]),
        np.concatenate([widened_block(p.time, widest.time.shape[1:], NO_TIME) for p in parts]),
        [
            [v for p in parts for v in (p.category[i] if i < len(p.category) else [None] * p.n)]
            for i in range(len(widest.category))
        ],
        np.concatenate([widened_block(p.text, shape, 0) for p in parts]),
        {
            name: np.concatenate([p.misfits.get(name, np.zeros(p.n, np.bool_)) for p in parts])
            for name in names
        },
        {name: [v for p in parts for v in p.unknown.get(name, [None] * p.n)] for name in unknown},
    )
