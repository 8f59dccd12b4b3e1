"""Records as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Columns",
    "Floats",
    "GroupColumns",
    "MatrixColumns",
    "columns",
    "groups",
    "matrix",
    "pick",
]

Floats: TypeAlias = NDArray[np.float64]

Columns: TypeAlias = Mapping[str, Floats]
"""Arrays float64[n] by the name of their field, ``no_change.accuracy`` for one inside another."""

_MOST_GROUPS = 1000
_MOST_POINTS = 240  # of groups: as many as a picture has room for


@dataclass(frozen=True)
class GroupColumns:
    """What records say of classes, experiences or ages.

    Attributes
    ----------
    ids : list of str
        What the groups are called, in the order in which they appeared.
    position : float64[n]
    fields : dict of str to float64[n, groups]
        NaN where a record has nothing of a group.
    left_out : int
        Groups that are not among these, as there are too many.
    most : dict of str to float64[groups]
        The greatest value in any record, also in those that are left out of `fields`.
    """

    ids: list[str]
    position: Floats
    fields: dict[str, Floats]
    left_out: int = 0
    most: dict[str, Floats] = field(default_factory=dict)

    def between(self, field: str) -> tuple[Floats, Floats]:
        """Return the rows of each group between two records, and the mean of a score over them.

        Both come from differences of what is counted from the start, so nothing is lost where
        records were left out.

        Returns
        -------
        rows : float64[n, groups]
        score : float64[n, groups]
            NaN where there were no rows.
        """
        rows = np.nan_to_num(self.fields["rows"])
        total = np.nan_to_num(self.fields[field]) * rows
        new, gained = (np.diff(each, axis=0, prepend=0.0) for each in (rows, total))
        with np.errstate(invalid="ignore", divide="ignore"):
            return new, np.where(new > 0, gained / new, np.nan)


@dataclass(frozen=True)
class MatrixColumns:
    """R: what was known of each experience when each had ended.

    Attributes
    ----------
    after : list of str
        Experiences in the order of their ends: rows.
    of : list of str
        Experiences of the held-out rows: columns.
    values : float64[after, of]
    """

    after: list[str]
    of: list[str]
    values: Floats


def pick(n: int, most: int) -> list[int]:
    """Return evenly spread places among ``n``, the first and the last among them.

    Examples
    --------
    >>> pick(10, 4), pick(3, 4)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if n <= most:
        return list(range(n))
    return [int(place) for place in np.linspace(0, n - 1, most).round()]


def columns(records: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Return every number of some records as arrays; NaN where a record has none.

    Examples
    --------
    >>> columns([{"rows": 1, "no_change": {"accuracy": 0.5}}, {"rows": 2, "kappa": None}])
    {'rows': array([1., 2.]), 'no_change.accuracy': array([0.5, nan])}
    """
    found: dict[str, Floats] = {}
    for place, record in enumerate(records):
        for name, value in _numbers(record):
            if name not in found:
                found[name] = np.full(len(records), np.nan)
            found[name][place] = value
    return found


def _numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, int | float):
            yield prefix + key, float(value)
        elif isinstance(value, dict) and not key.startswith("by_") and "_by_" not in key:
            yield from _numbers(value, f"{prefix}{key}.")


def groups(records: Sequence[Mapping[str, Any]], key: str) -> GroupColumns | None:
    """Return what records say under ``by_class`` or the like; None where none says anything.

    A group is an object of numbers, or one number, which is called ``value``.

    Examples
    --------
    >>> found = groups([{"position": 9, "by_class": {"cat": {"rows": 4, "accuracy": 0.5}}}],
    ...                "by_class")
    >>> found.ids, found.fields["rows"]
    (['cat'], array([[4.]]))
    """
    every = [record for record in records if record.get(key)]
    if not every:
        return None
    told = [every[place] for place in pick(len(every), _MOST_POINTS)]
    ids = list(dict.fromkeys(name for record in told for name in record[key]))
    last = told[-1][key]
    if len(ids) > _MOST_GROUPS:
        kept = set(sorted(ids, key=lambda name: -_rows(last.get(name)))[:_MOST_GROUPS])
        ids, left_out = [name for name in ids if name in kept], len(ids) - _MOST_GROUPS
    else:
        left_out = 0
    fields: dict[str, Floats] = {}
    place = {name: i for i, name in enumerate(ids)}
    for n, record in enumerate(told):
        for name, value in record[key].items():
            if name in place:
                for field, number in _fields(value):
                    if field not in fields:
                        fields[field] = np.full((len(told), len(ids)), np.nan)
                    fields[field][n, place[name]] = number
    position = np.array([float(each["position"]) for each in told])
    return GroupColumns(ids, position, fields, left_out, _greatest(every, key, place))


def _greatest(
    records: Sequence[Mapping[str, Any]], key: str, place: Mapping[str, int]
) -> dict[str, Floats]:
    most: dict[str, Floats] = {}
    for record in records:
        for name, value in record[key].items():
            if name in place:
                for field_name, number in _fields(value):
                    if field_name not in most:
                        most[field_name] = np.full(len(place), np.nan)
                    known = most[field_name]
                    known[place[name]] = np.fmax(known[place[name]], number)
    return most


def _fields(value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        yield from ((k, float(v)) for k, v in value.items() if isinstance(v, int | float))
    elif value is not None:
        yield "value", float(value)


def _rows(value: Any) -> float:
    return float(value.get("rows", 0)) if isinstance(value, dict) else 0.0


def matrix(ends: Sequence[Mapping[str, Any]], score: str) -> MatrixColumns | None:
    """Return R from the rounds at the ends of experiences, the last of each, if there are any.

    Parameters
    ----------
    ends : sequence of records
        Of kind ``retention``.
    score : str
        Which score ``by_experience`` is read for where there is no ``accuracy_by_experience``.
    """
    rows: dict[str, dict[str, float]] = {}
    for record in ends:
        told = record.get("accuracy_by_experience")
        if told is None:
            told = {name: each.get(score) for name, each in record.get("by_experience", {}).items()}
        if told and record.get("after_experience") is not None:
            rows[str(record["after_experience"])] = told
    if not rows:
        return None
    of = sorted({name for told in rows.values() for name in told}, key=_natural)
    values = [[_number(told.get(name)) for name in of] for told in rows.values()]
    return MatrixColumns(list(rows), of, np.array(values))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _natural(name: str) -> tuple[bool, int, str]:
    return (False, int(name), "") if name.lstrip("-").isdigit() else (True, 0, name)
