"""Decide from the first records what each field is used for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streamreplay.ingest.decode.options import FieldNames
from streamreplay.ingest.decode.values import BadRecord, seconds

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
        The fields to learn from, if they are given or one with an array.
    roles : dict of str to str
    left_out : dict of str to str
        Why each other field is not used.
    array : bool
        The features are one field with an array.
    """

    features: list[str]
    roles: dict[str, str]
    left_out: dict[str, str]
    array: bool = False

    def in_use(
        self, fields: FieldNames, shape: tuple[int, ...], seen: Collection[str]
    ) -> FieldsInUse:
        """Return what each of the fields seen is used for, where the features are an array."""
        features = {f"array of {' x '.join(map(str, shape))} numbers": self.features}
        roles = {role: name for role, name in self.roles.items() if name in seen}
        return FieldsInUse(features, fields.described(), roles, self.left_out)


def choose(
    first: Mapping[str, Any],
    ahead: Sequence[Mapping[str, Any]],
    fields: FieldNames,
    asked: list[str] | None,
    *,
    array: bool,
) -> Choice:
    """Choose features and roles by the first record, and by those ahead for what it lacks.

    Parameters
    ----------
    first : mapping
        Values by field; None where one is missing.
    ahead : sequence of mapping
        The next records.
    fields : FieldNames
    asked : list of str or None
        The features, if they are given.
    array : bool
        The features are one array, whose field is given.
    """
    names = dict.fromkeys(name for record in (first, *ahead) for name in record)
    later = {
        name: [record.get(name) for record in ahead] for name in names if first.get(name) is None
    }
    roles = fields.others() | {
        role: name
        for role, name in fields.by_name(record=array, features=asked or ()).items()
        if array or _has_role(role, first.get(name), later.get(name, ()))
    }
    reserved = {*fields.names(), *roles.values()}
    others = [name for name in names if name not in reserved]
    if not array:
        wanted = others if asked is None else asked
        left_out = {name: "not asked for" for name in others if name not in wanted}
        return Choice(asked or [], roles, left_out)
    found = asked or []
    left_out = {name: "the array alone is learned" for name in others if name not in found}
    return Choice(found, roles, left_out, array=True)


def _has_role(role: str, value: Any, later: Sequence[Any]) -> bool:
    """Return whether a field of this name has the role in a table."""
    present = [each for each in (value, *later) if each is not None]
    return bool(present) and (role == "id" or shows_time(present[0]))


def shows_time(value: Any) -> bool:
    """Return whether a value must be a time: a date, or the seconds since 1970 of one after 1980.

    Examples
    --------
    >>> shows_time("2024-05-01T12:00:00"), shows_time(1_714_564_800), shows_time(0.43)
    (True, True, False)
    """
    try:
        found = seconds(value)
    except BadRecord:
        return False
    return isinstance(value, str) or _FROM <= found < _TO
