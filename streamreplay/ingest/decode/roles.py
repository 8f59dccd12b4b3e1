"""Decide from the first records what each field is used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streamreplay.ingest.decode.options import FieldNames
from streamreplay.ingest.decode.values import BadRecord, seconds
from streamreplay.plain_text import listed

MISSING = "missing in the first record"
"""Why a field without a value in the first record is left out."""

_MOST_TOLD = 20  # messages about new fields
_MOST_FIELDS = 1000  # new fields that one message makes known
_FROM, _TO = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1980, 2200))


@dataclass(frozen=True, slots=True)
class FieldsInUse:
    """What the fields, columns or arrays of a source are used for.

    Attributes
    ----------
    features : mapping of str to sequence of str
        The features' names by kind: ``number``, ``boolean``, or the type and shape of an array.
    goal : mapping of str to str
        What is predicted: ``label``, ``target`` or ``labels``, and the names of its fields.
    roles : mapping of str to str
        The fields of ``id``, ``time``, ``task``, ``experience`` and ``weight``, of those in use.
    left_out : mapping of str to str
        Why each other field is not used.
    """

    features: Mapping[str, Sequence[str]]
    goal: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the first records have decided.

    Attributes
    ----------
    features : list
        The fields to learn from.
    roles : dict of str to str
    left_out : dict of str to str
        Why each other field is not used.
    array : bool
        The features are one field with an array.
    booleans : list of str
        Those of the features that are true or false.
    """

    features: list[str]
    roles: dict[str, str]
    left_out: dict[str, str]
    array: bool = False
    booleans: list[str] = field(default_factory=list)

    def in_use(self, fields: FieldNames, shape: tuple[int, ...]) -> FieldsInUse:
        """Return what each field is used for; ``shape`` is that of one row's features."""
        if self.array:
            features = {f"array of {' x '.join(map(str, shape))} numbers": self.features}
        else:
            numbers = [name for name in self.features if name not in self.booleans]
            features = {"number": numbers, "boolean": self.booleans}
        return FieldsInUse(features, fields.described(), self.roles, self.left_out)


def choose(
    first: Mapping[str, Any], fields: FieldNames, asked: list[str] | None, *, array: bool
) -> Choice:
    """Choose features and roles by the values of the first record.

    Parameters
    ----------
    first : mapping
        Values by field; None where one is missing.
    fields : FieldNames
    asked : list of str or None
        The features, if they are given.
    array : bool
        The features are one array, whose field is given.
    """
    roles = fields.others() | {
        role: name
        for role, name in fields.by_name(record=array, features=asked or ()).items()
        if array or (name in first and (role == "id" or may_be_time(first[name])))
    }
    reserved = {*fields.names(), *roles.values()}
    numbers: list[str] = []
    left_out: dict[str, str] = {}
    for name, value in first.items():
        if name in reserved or (asked is not None and name in asked):
            continue
        reason = why_not_learned(value)
        if asked is None and reason is None:
            numbers.append(name)
        else:
            left_out[name] = reason or "not asked for"
    found = numbers if asked is None else asked
    booleans = [name for name in found if isinstance(first.get(name), bool)]
    return Choice(found, roles, left_out, array, booleans)


class NewFields:
    """Finds fields that no record had when the features were chosen.

    Examples
    --------
    >>> new = NewFields(["a", "y"], ["note"])
    >>> new.find([{"a": 1, "y": 0}, {"a": 1, "b": 2, "note": "x"}], [7, 8])
    ['line 9 has fields that were not there before, and are not learned: b, note']
    >>> new.find([{"a": 1, "b": 2, "y": 0}], [9])
    []
    """

    def __init__(self, known: Iterable[str] = (), empty: Iterable[str] = ()) -> None:
        self._empty = set(empty)  # without a value so far
        self._known = {*known, *self._empty}
        self._told = 0

    def may_be_in(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether some of the records must be looked at."""
        return bool(self._empty) or set(map(len, records)) != {len(self._known)}

    def find(self, records: Sequence[Mapping[str, Any]], lines: Sequence[int]) -> list[str]:
        """Return a message for each record with new fields, which are known from then on."""
        messages = []
        for line, record in zip(lines, records, strict=True):
            empty = {name for name in self._empty if record.get(name) is not None}
            new = [name for name in record if name not in self._known or name in empty]
            if new and self._told < _MOST_TOLD:
                self._told += 1
                messages.append(
                    f"line {line + 1:,} has fields that were not there before, and are not "
                    f"learned: {listed(new)}"
                )
                self._known.update(new[:_MOST_FIELDS])
                self._empty -= empty
        return messages


def may_be_time(value: Any) -> bool:
    """Return whether a field called ``time`` is one, by its first value; also if it is missing.

    A time is a date, or the seconds since 1970 of one after 1980.

    Examples
    --------
    >>> may_be_time("2024-05-01T12:00:00"), may_be_time(1_714_564_800), may_be_time(0.43)
    (True, True, False)
    """
    try:
        found = seconds(value)
    except BadRecord:
        return False
    return value is None or isinstance(value, str) or _FROM <= found < _TO


def why_not_learned(value: Any) -> str | None:
    """Return why a field with this value in the first record is left out; None for a number.

    Examples
    --------
    >>> why_not_learned("red"), why_not_learned([1, 2]), why_not_learned(True)
    ('text', 'a list', None)
    """
    if isinstance(value, int | float):
        return None
    return {list: "a list", dict: "an object", type(None): MISSING}.get(type(value), "text")
