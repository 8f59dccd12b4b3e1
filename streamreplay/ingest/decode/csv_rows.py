"""Convert the cells of a CSV stream to columns: all rows at once, or one row by itself."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.schema import Schema
from streamreplay.features.values import Values, json_numbers
from streamreplay.ingest.decode.cells import (
    CellColumns,
    FlatCells,
    goal_cell,
    integer_cell,
    is_blank,
    split,
    time_cell,
)
from streamreplay.ingest.decode.delimiters import named_delimiter
from streamreplay.ingest.decode.header import Layout
from streamreplay.ingest.decode.rows import Columns, Row
from streamreplay.ingest.decode.targets import TargetFields, row_weight, row_weights
from streamreplay.ingest.decode.values import (
    BadRecord,
    integer,
    integers,
    label_cell,
    row_id,
    row_ids,
)
from streamreplay.labels import Name

_CACHED = 1 << 16


class RowReader:
    """Reads the rows of a CSV stream.

    Parameters
    ----------
    goal : TargetFields or None
        What is to be predicted in place of a label.
    decimal : str
        The decimal mark.
    schema : Schema
        Of the features.
    """

    def __init__(self, goal: TargetFields | None, decimal: str, schema: Schema) -> None:
        self._goal = goal
        self.schema = schema
        self._goal_cell = partial(goal_cell, decimal=decimal)
        self._labels: dict[str, Name | None] = {}  # what label cells stand for: they repeat

    def columns(
        self, cells: CellColumns, line: Sequence[int], layout: Layout, features: list[int]
    ) -> Columns:
        """Return the rows in columns of cells, each at its line.

        Raises
        ------
        BadRecord
            At least one row needs a closer look; so does ``ValueError``.
        """
        others = {key: cells[i] for key, i in layout.others.items()}
        label = None if layout.label is None else self._label_names(cells[layout.label])
        return Columns(
            line,
            self.schema.read(self._values(cells, layout, features), len(line)),
            label,
            _integers("task", others),
            _integers("experience", others),
            row_ids([cell.strip() for cell in others.get("id", ())]),
            _times(others.get("time")),
            self._targets([cells[i] for i in layout.goal]),
            self._weights(others.get("weight")),
        )

    def _values(
        self, cells: CellColumns, layout: Layout, features: list[int]
    ) -> Mapping[str, Values]:
        """Return the values of features: numbers at once, where all cells are JSON's."""
        schema = self.schema
        plain = schema.settled and not schema.packed and schema.decimal == "."
        if plain and isinstance(cells, FlatCells):
            with suppress(ValueError):
                numbers = json_numbers(cells.only(features)).reshape(-1, len(features))
                names = [layout.names[i] for i in sorted(features)]
                return dict(zip(names, numbers.T, strict=True))
        return {layout.names[i]: cells[i] for i in features}

    def _targets(self, columns: list[list[str]]) -> NDArray[np.float64] | None:
        goal = self._goal
        if goal is None or not columns:
            return None
        return goal.rows(
            list(zip(*(map(self._goal_cell, column) for column in columns), strict=True))
        )

    def _weights(self, cells: list[str] | None) -> NDArray[np.float32] | None:
        return None if cells is None else row_weights(list(map(self._goal_cell, cells)))

    def _label_names(self, cells: list[str]) -> list[Name | None]:
        known = self._labels
        try:
            return list(map(known.__getitem__, cells))
        except KeyError:
            if len(known) > _CACHED:
                known.clear()
            known.update((cell, label_cell(cell)) for cell in cells if cell not in known)
            return list(map(known.__getitem__, cells))

    def row(self, cells: list[str], layout: Layout, features: list[int]) -> Row:
        """Return the row in some cells, as many as there are columns."""
        goal = self._goal
        others = {key: cells[i] for key, i in layout.others.items()}
        return Row(
            {layout.names[i]: cells[i] for i in features},
            None if layout.label is None else label_cell(cells[layout.label]),
            integer("task", integer_cell(others.get("task", ""))),
            integer("experience", integer_cell(others.get("experience", ""))),
            row_id(others.get("id", "").strip()),
            time_cell(others.get("time", "")),
            None if goal is None else goal.row([self._goal_cell(cells[i]) for i in layout.goal]),
            row_weight(self._goal_cell(others["weight"])) if "weight" in others else None,
        )


def cells_of(lines: Sequence[bytes], layout: Layout, mark: str, most: int) -> list[list[str]]:
    """Return the cells of the first rows in some lines, in the order of a layout.

    Blank lines, headers and lines that cannot be read are left out.
    """
    rows: list[list[str]] = []
    now = layout
    for line in lines:
        if len(rows) == most:
            break
        if is_blank(line, mark) or named_delimiter(line) == mark:
            continue
        try:
            cells = now.fitted(split(line.removeprefix(BOM_UTF8), mark))
            header = now.reordered(cells)
            now.check_no_other_header(cells)
        except BadRecord:
            continue
        if header is None:
            rows.append(layout.in_order_of(now, cells))
        else:
            now = header
    return rows


def _integers(key: str, cells: dict[str, list[str]]) -> NDArray[np.int64] | None:
    return integers(key, list(map(integer_cell, cells.get(key, ()))))


def _times(cells: list[str] | None) -> NDArray[np.float64] | None:
    return None if cells is None else np.array(list(map(time_cell, cells)), np.float64)
