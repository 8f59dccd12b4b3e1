"""Read many records of JSON at once with msgspec, where it is installed.

The values are those that `json_record` returns. Records of which that is not certain are left to
who reads records one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, TypeAlias

import numpy as np

from streamreplay.features.schema import NO_VALUE, Schema
from streamreplay.ingest.decode.bulk import find_module, others_of

__all__ = ["StructReader", "StructValues"]

ENOUGH = 16
"""Records from which on it is worth it."""

_TRIES = 8  # blocks in a row of which most had to be left out, after which it is not worth it

_Field: TypeAlias = tuple[str, str]  # a name, and what its values are


@dataclass(frozen=True, slots=True)
class StructValues:
    """The values of some records by field.

    Attributes
    ----------
    features, others : dict of str to sequence
        Numbers as float64[n], NaN where missing; all else as lists, None where missing.
    records : sequence of int
        Which of the records, ascending.
    odd : list of int
        The others.
    """

    features: dict[str, Any]
    others: dict[str, Any]
    records: Sequence[int]
    odd: list[int]


class StructReader:
    """Reads records of a stream whose columns are known.

    Parameters
    ----------
    schema : Schema
        Of the features.
    asked : sequence of str, optional
        The features, if not all other fields are.
    """

    def __init__(self, schema: Schema, *, asked: Sequence[str] | None) -> None:
        self._schema = schema
        self._asked = asked
        self._fields: list[_Field] = []
        self._decoder: Any = None
        self._tries = _TRIES

    def read(self, lines: list[bytes], others: Sequence[str]) -> StructValues | None:
        """Return the values in lines; None if they have to be read without msgspec.

        That is so while a column may turn out to be of another kind, and for few lines. ``others``
        are the fields with a role.
        """
        if len(lines) < ENOUGH or not (self._schema.settled and self._tries):
            return None
        if self._msgspec is None:
            return None
        self._prepare(others)
        try:
            found = self._decoder.decode_lines(b"\n".join(lines))
            if len(found) == len(lines):
                return self._values(found, others, range(len(lines)), [])
        except (self._msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        found, odd = self._one_by_one(lines)
        records = others_of(odd, len(lines))
        if records is None:
            self._tries -= 1
            return None
        self._tries = _TRIES
        return self._values(found, others, records, odd)

    @cached_property
    def _msgspec(self) -> Any:
        """The module that reads; None where it is not installed."""
        return find_module("msgspec")

    def _one_by_one(self, lines: list[bytes]) -> tuple[list[Any], list[int]]:
        """Return the records that can be read, and which lines have none."""
        found, odd = [], []
        decode, wrong = self._decoder.decode, self._msgspec.DecodeError
        for i, line in enumerate(lines):
            try:
                found.append(decode(line))
            except (wrong, UnicodeDecodeError, RecursionError):
                odd.append(i)
        return found, odd

    def _prepare(self, others: Sequence[str]) -> None:
        """Make the decoder of the present columns, numbers first."""
        columns = [(column.name, _sort(column)) for column in self._schema.columns]
        fields = sorted(columns, key=lambda field: field[1] != "number")
        fields += [(name, "scalar") for name in others]
        if fields == self._fields:
            return
        msgspec = self._msgspec
        whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]  # as in orjson
        types = {
            "number": float | None,
            "scalar": str | whole | float | bool | None,
            "nothing": None,
            "ignored": Any,
        }
        made = [
            (f"field{i}", types[sort], msgspec.field(name=name, default=None))
            for i, (name, sort) in enumerate(fields)
        ]
        record = msgspec.defstruct(
            "Record", made, forbid_unknown_fields=self._asked is None, gc=False
        )
        self._fields, self._decoder = fields, msgspec.json.Decoder(record)

    def _values(
        self, found: list[Any], others: Sequence[str], records: Sequence[int], odd: list[int]
    ) -> StructValues:
        columns = self._columns(found)
        roles = {name: columns.pop(name) for name in others}
        if self._asked is not None:
            columns = {name: columns[name] for name in self._asked if name in columns}
        return StructValues(columns, roles, records, odd)

    def _columns(self, found: list[Any]) -> dict[str, Any]:
        flat = list(chain.from_iterable(map(self._msgspec.structs.astuple, found)))
        width, numbers = len(self._fields), sum(sort == "number" for _, sort in self._fields)
        columns: dict[str, Any] = {}
        for i, (name, sort) in enumerate(self._fields[numbers:], numbers):
            if sort == "scalar":
                columns[name] = flat[i::width]
        for i in range(width - 1, numbers - 1, -1):
            del flat[i :: i + 1]
        if numbers:
            x = np.array(flat, np.float64).reshape(-1, numbers)
            columns |= {name: x[:, i] for i, (name, _) in enumerate(self._fields[:numbers])}
        return columns


def _sort(column: Any) -> str:
    """Return what the values of a column are."""
    if column.kind == "number":
        return "number"
    if column.place >= 0:
        return "scalar"
    return "nothing" if column.reason == NO_VALUE else "ignored"
