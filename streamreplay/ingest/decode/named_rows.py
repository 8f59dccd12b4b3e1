"""Decode rows of plain Arrow columns: all at once, or one row by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import TableRows
from streamreplay.ingest.dead_letters import Fault
from streamreplay.ingest.decode.arrow_columns import numbers_of, role_values, values
from streamreplay.ingest.decode.json_values import check_shape, flatten
from streamreplay.ingest.decode.options import FieldNames
from streamreplay.ingest.decode.roles import Choice
from streamreplay.ingest.decode.rows import Columns, Row
from streamreplay.ingest.decode.targets import row_weight, row_weights
from streamreplay.ingest.decode.values import (
    BadRecord,
    integer,
    integers,
    json_label,
    json_labels,
    pack,
    row_id,
    row_ids,
    seconds,
    times,
)

_FALL_BACK = (BadRecord, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class ArrowRows:
    """Decodes record batches of plain columns.

    Attributes
    ----------
    fields : FieldNames
    choice : Choice
    shape : tuple of int
        Of a row's features, if they are one array.
    schema : Schema
        Of the features, if they are columns of a table.
    asked : sequence of str or None
        The features, if they are given.
    """

    fields: FieldNames
    choice: Choice
    shape: tuple[int, ...]
    schema: Schema
    asked: Sequence[str] | None

    def decode(self, rows: Any, first: int) -> tuple[Columns | None, list[Fault]]:
        """Decode rows, the first of which has the number ``first``."""
        given = self._by_role(rows)
        try:
            return self._columns(rows, given, first), []
        except _FALL_BACK:
            return self._one_by_one(rows, given, first)

    def features(self, rows: Any) -> dict[str, list[Any]]:
        """Return the values of each column that may be learned from."""
        reserved = {*self.fields.names(), *self.choice.roles.values()}
        names = rows.schema.names
        if self.asked is not None:
            names = [name for name in self.asked if name in names]
        return {name: values(rows.column(name)) for name in names if name not in reserved}

    def _by_role(self, rows: Any) -> dict[str, list[Any]]:
        """Return the values of the columns that are no features."""
        present = {role: name for role, name in self._roles() if name in rows.schema.names}
        return {role: role_values(role, rows.column(name)) for role, name in present.items()}

    def _roles(self) -> Iterator[tuple[str, Any]]:
        yield from self.choice.roles.items()
        if self.fields.label:
            yield "label", self.fields.label
        for name in () if self.fields.goal is None else self.fields.goal.fields:
            yield f"goal {name}", name

    def _goals(self, given: Mapping[str, list[Any]], n: int) -> list[tuple[Any, ...]]:
        """Return for each row the values of the fields that hold its target."""
        fields = () if self.fields.goal is None else self.fields.goal.fields
        columns = [given.get(f"goal {name}", [None] * n) for name in fields]
        return list(zip(*columns, strict=True))

    def _columns(self, rows: Any, given: Mapping[str, list[Any]], first: int) -> Columns:
        n, goal, choice = rows.num_rows, self.fields.goal, self.choice
        x: NDArray[np.float32] | TableRows | None
        if choice.array:
            x = numbers_of(rows.column(choice.features[0]))
            if x is None or x.shape[1:] != self.shape:
                raise BadRecord("an array has another shape")
        else:
            x = self.schema.read(self.features(rows), n)
        return Columns(
            range(first, first + n),
            x,
            json_labels(given["label"]) if "label" in given else None,
            integers("task", given.get("task", ())),
            integers("experience", given.get("experience", ())),
            row_ids(given.get("id", ())),
            times(given.get("time", ())),
            None if goal is None else goal.rows(self._goals(given, n)),
            row_weights(given["weight"]) if "weight" in given else None,
        )

    def _one_by_one(
        self, rows: Any, given: Mapping[str, list[Any]], first: int
    ) -> tuple[Columns | None, list[Fault]]:
        n = rows.num_rows
        goals, arrays = self._goals(given, n), self._arrays(rows)
        found: list[Row] = []
        places: list[int] = []
        faults: list[Fault] = []
        for i in range(n):
            try:
                x = [] if arrays is None else self._array(arrays[i])
                one = {role: column[i] for role, column in given.items()}
                found.append(self._row(x, one, goals[i] if goals else ()))
                places.append(i)
            except BadRecord as error:
                faults.append(Fault(first + i, str(error)))
        if not found:
            return None, faults
        return Row.columns(
            found, [first + i for i in places], self._join(rows, found, places)
        ), faults

    def _arrays(self, rows: Any) -> list[Any] | None:
        if not self.choice.array:
            return None
        name = self.choice.features[0]
        if name not in rows.schema.names:
            return [None] * int(rows.num_rows)
        return rows.column(name).to_pylist()  # type: ignore[no-any-return]

    def _array(self, value: Any) -> list[float]:
        name = self.choice.features[0]
        numbers, shape = flatten(name, value)
        check_shape(name, shape, self.shape)
        return numbers

    def _row(self, x: list[float], given: Mapping[str, Any], goals: Sequence[Any]) -> Row:
        goal = self.fields.goal
        return Row(
            x,
            json_label(given.get("label")),
            integer("task", given.get("task")),
            integer("experience", given.get("experience")),
            row_id(given.get("id")),
            seconds(given.get("time")),
            None if goal is None else goal.row(goals),
            row_weight(given["weight"]) if "weight" in given else None,
        )

    def _join(
        self, rows: Any, found: list[Row], places: list[int]
    ) -> NDArray[np.float32] | TableRows:
        if self.choice.array:
            flat = [number for row in found for number in row.x]
            return pack(flat, self.shape)
        columns = self.features(rows)
        kept = {name: [column[i] for i in places] for name, column in columns.items()}
        return self.schema.read(kept, len(places))


def first_shape(first: Sequence[Any], name: str) -> tuple[int, ...]:
    """Return the shape of the first array of numbers in a column of some record batches.

    It is (0,), which no array has, if there is none.
    """
    for rows in first:
        for value in rows.column(name).to_pylist():
            with suppress(BadRecord):
                return flatten(name, value)[1]
    return (0,)


def letter_text(rows: Any) -> bytes:
    """Return the first of some rows as JSON, for people."""
    (row,) = rows.slice(0, 1).to_pylist()
    return orjson.dumps(row, default=str)
