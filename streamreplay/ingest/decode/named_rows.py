"""Decode rows that are columns with names: all at once, or one row by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError
from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import TableRows
from streamreplay.ingest.dead_letters import Fault
from streamreplay.ingest.decode.json_values import check_shape, flatten
from streamreplay.ingest.decode.options import ROLES, FieldNames
from streamreplay.ingest.decode.roles import Choice, choose
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
from streamreplay.plain_text import listed

_FALL_BACK = (BadRecord, ValueError, TypeError)


class NamedRows(Protocol):
    """Some rows, as columns with names."""

    @property
    def sparse(self) -> bool:
        """Whether each row has columns of its own, as a dict has."""

    @property
    def names(self) -> Sequence[str]:
        """The columns, in order."""

    def __len__(self) -> int: ...

    def values(self, name: str) -> list[Any]:
        """Return the values of a feature: numbers, strings, booleans, dates, datetimes, None.

        A number that is missing may be NaN.
        """

    def role_values(self, role: str, name: str) -> list[Any]:
        """Return the values of a column that is no feature, as JSON would have them."""

    def holds_arrays(self, name: str) -> bool:
        """Return whether a column may have a list of numbers in each row."""

    def arrays(self, name: str) -> list[Any]:
        """Return the values of a column of lists of numbers."""

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """Return what `arrays` does as one array, float32[n, *shape].

        Return None if not all are finite numbers in arrays of one shape.
        """


@dataclass(frozen=True, slots=True)
class RowDecoder:
    """Decodes rows that are columns with names.

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

    def decode(self, rows: NamedRows, first: int) -> tuple[Columns | None, list[Fault]]:
        """Decode rows, the first of which has the number ``first``."""
        given = self._by_role(rows)
        try:
            return self._columns(rows, given, first), []
        except _FALL_BACK:
            return self._one_by_one(rows, given, first)

    def features(self, rows: NamedRows) -> dict[str, list[Any]]:
        """Return the values of each column that may be learned from."""
        reserved = {*self.fields.names(), *self.choice.roles.values()}
        names = rows.names
        if self.asked is not None:
            names = [name for name in self.asked if name in names]
        blank = [None] * len(rows)
        return {
            name: blank if self.schema.excludes(name) else rows.values(name)
            for name in names
            if name not in reserved
        }

    def begin(self, first: Sequence[NamedRows], source: str) -> None:
        """Infer the kinds of columns from the first rows.

        Raises
        ------
        ConfigError
            There is nothing to learn from. The message begins with what the stream is called.
        """
        parts, schema = [(self.features(rows), len(rows)) for rows in first], self.schema
        schema.reset()
        schema.begin(
            {
                name: list(chain.from_iterable(part.get(name, [None] * n) for part, n in parts))
                for name in dict.fromkeys(name for part, _ in parts for name in part)
            }
        )
        if not schema.names:
            unused = {**self.choice.left_out, **schema.left_out}
            why = listed([f"{name} ({reason})" for name, reason in unused.items()])
            schema.reset()
            raise ConfigError(
                f"{source}: there is nothing to learn from: {why or 'no other column'}"
            )

    def _by_role(self, rows: NamedRows) -> dict[str, list[Any]]:
        """Return the values of the columns that are no features."""
        present = {role: name for role, name in self._roles() if name in rows.names}
        return {role: rows.role_values(role, name) for role, name in present.items()}

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

    def _columns(self, rows: NamedRows, given: Mapping[str, list[Any]], first: int) -> Columns:
        n, goal, choice = len(rows), self.fields.goal, self.choice
        x: NDArray[np.float32] | TableRows | None
        if choice.array:
            name = choice.features[0]
            x = rows.numbers(name) if name in rows.names else None
            if x is None or x.shape[1:] != self.shape:
                raise BadRecord(f"an array has another shape than {list(self.shape)}")
        else:
            x = self.schema.read(self.features(rows), n, sparse=rows.sparse)
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
        self, rows: NamedRows, given: Mapping[str, list[Any]], first: int
    ) -> tuple[Columns | None, list[Fault]]:
        n = len(rows)
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

    def _arrays(self, rows: NamedRows) -> list[Any] | None:
        if not self.choice.array:
            return None
        name = self.choice.features[0]
        return rows.arrays(name) if name in rows.names else [None] * len(rows)

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
        self, rows: NamedRows, found: list[Row], places: list[int]
    ) -> NDArray[np.float32] | TableRows:
        if self.choice.array:
            flat = [number for row in found for number in row.x]
            return pack(flat, self.shape)
        columns = self.features(rows)
        kept = {name: [column[i] for i in places] for name, column in columns.items()}
        return self.schema.read(kept, len(places), sparse=rows.sparse)


def decide(
    first: Sequence[NamedRows],
    columns: Sequence[str],
    fields: FieldNames,
    asked: list[str] | None,
    *,
    array: bool,
) -> Choice:
    """Choose features and roles by the first rows; see `roles.choose`."""
    names = [name for name in ROLES if array or name in ("id", "time")]
    head, *ahead = chain.from_iterable(_records(rows, names) for rows in first)
    return choose(dict.fromkeys(columns) | head, ahead, fields, asked, array=array)


def _records(rows: NamedRows, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the values of some columns, as far as they are there, row by row."""
    columns = {name: rows.role_values("", name) for name in names if name in rows.names}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(rows))]


def first_shape(first: Sequence[NamedRows], name: str) -> tuple[int, ...]:
    """Return the shape of the first array of numbers in a column of some rows.

    It is (0,), which no array has, if there is none.
    """
    for rows in first:
        for value in rows.arrays(name):
            with suppress(BadRecord):
                return flatten(name, value)[1]
    return (0,)
