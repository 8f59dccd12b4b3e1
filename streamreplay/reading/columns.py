"""Log records as numpy arrays."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

Columns: TypeAlias = Mapping[str, Floats]
"""Arrays float64[n] by field; ``no_change.accuracy`` is a field inside another."""

_Records: TypeAlias = Sequence[Mapping[str, Any]]

_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_MOST_GROUPS = 1000
_MOST_POINTS = 240  # records with groups; a chart has no room for more


@dataclass(frozen=True)
class GroupColumns:
    """The scores of groups, such as classes, experiences or ages.

    Attributes
    ----------
    ids : list of str
        The groups' names, in the order in which they appear in the log.
    position : float64[n]
    fields : dict of str to float64[n, groups]
        NaN where a record has no value for a group.
    left_out : int
        Number of groups that are not in `ids`, since there are too many.
    most : dict of str to float64[groups]
        The greatest value in any record, including records that `fields` leaves out.
    """

    ids: list[str]
    position: Floats
    fields: dict[str, Floats]
    left_out: int = 0
    most: dict[str, Floats] = field(default_factory=dict)

    def between(self, field: str) -> tuple[Floats, Floats]:
        """Return the rows of each group between two records, and the mean of a score over them.

        Both are differences of sums since the start of the stream, so that rows of records that
        were left out are counted too.

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
class RetentionMatrix:
    """The matrix R: the score on each experience at the end of each experience.

    Attributes
    ----------
    after : list of str
        Rows: the experiences in the order of their ends.
    of : list of str
        Columns: the experiences of the held-out rows.
    values : float64[after, of]
    """

    after: list[str]
    of: list[str]
    values: Floats


def evenly_spread(n: int, most: int) -> list[int]:
    """Return at most `most` evenly spread indices below `n`, including the first and the last.

    Examples
    --------
    >>> evenly_spread(10, 4), evenly_spread(3, 4)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if n <= most:
        return list(range(n))
    return [int(index) for index in np.linspace(0, n - 1, most).round()]


def number_columns(records: _Records) -> dict[str, Floats]:
    """Return all numbers of records as arrays, with NaN where a record lacks one.

    Examples
    --------
    >>> number_columns([{"rows": 1, "no_change": {"accuracy": 0.5}}, {"rows": 2, "kappa": None}])
    {'rows': array([1., 2.]), 'no_change.accuracy': array([0.5, nan])}
    """
    found: defaultdict[str, Floats] = defaultdict(lambda: np.full(len(records), np.nan))
    for place, record in enumerate(records):
        for name, value in _numbers(record):
            found[name][place] = value
    return dict(found)


def _numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, int | float):
            yield prefix + key, float(value)
        elif isinstance(value, dict) and not key.startswith("by_") and "_by_" not in key:
            yield from _numbers(value, f"{prefix}{key}.")


def group_columns(records: _Records, key: str) -> GroupColumns | None:
    """Return the groups under a key such as ``by_class``; None if no record has any.

    A group is an object of numbers, or one number, which gets the field ``value``.

    Examples
    --------
    >>> found = group_columns([{"position": 9, "by_class": {"cat": {"rows": 4}}}], "by_class")
    >>> found.ids, found.fields["rows"]
    (['cat'], array([[4.]]))
    """
    every = [record for record in records if record.get(key)]
    if not every:
        return None
    shown = [every[place] for place in evenly_spread(len(every), _MOST_POINTS)]
    all_ids = list(dict.fromkeys(name for record in shown for name in record[key]))
    ids = _largest(all_ids, shown[-1][key])
    shape = len(shown), len(ids)
    fields: defaultdict[str, Floats] = defaultdict(lambda: np.full(shape, np.nan))
    for place, group, name, number in _group_numbers(shown, key, ids):
        fields[name][place, group] = number
    most: defaultdict[str, Floats] = defaultdict(lambda: np.full(len(ids), np.nan))
    for _, group, name, number in _group_numbers(every, key, ids):
        most[name][group] = np.fmax(most[name][group], number)
    position = np.array([float(each["position"]) for each in shown])
    left_out = len(all_ids) - len(ids)
    return GroupColumns(ids, position, dict(fields), left_out, dict(most))


def _largest(ids: list[str], last: Mapping[str, Any]) -> list[str]:
    """Return the groups in their order; if there are too many, those with the most rows at last."""

    def rows(name: str) -> float:
        value = last.get(name)
        return float(value.get("rows", 0)) if isinstance(value, dict) else 0.0

    if len(ids) <= _MOST_GROUPS:
        return ids
    kept = {*sorted(ids, key=lambda name: -rows(name))[:_MOST_GROUPS]}
    return [name for name in ids if name in kept]


def _group_numbers(
    records: _Records, key: str, ids: Iterable[str]
) -> Iterator[tuple[int, int, str, float]]:
    """Yield each number of the groups: index of record and group, field, value."""
    index = {name: i for i, name in enumerate(ids)}
    for place, record in enumerate(records):
        for name, value in record[key].items():
            if name in index:
                for field_name, number in _fields(value):
                    yield place, index[name], field_name, number


def _fields(value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        yield from ((k, float(v)) for k, v in value.items() if isinstance(v, int | float))
    elif value is not None:
        yield "value", float(value)


def retention_matrix(ends: _Records, score: str) -> RetentionMatrix | None:
    """Return the matrix R from the retention records at ends of experiences; None without any.

    Of several records for one experience the last counts.

    Parameters
    ----------
    ends : sequence of records
        Of kind ``retention``.
    score : str
        The field of ``by_experience`` to read if there is no ``accuracy_by_experience``.
    """
    rows: dict[str, dict[str, Any]] = {}
    for record in ends:
        scores = _by_experience(record, score)
        if scores and record.get("after_experience") is not None:
            rows[str(record["after_experience"])] = scores
    if not rows:
        return None
    of = sorted({name for scores in rows.values() for name in scores}, key=_natural)
    # None becomes NaN
    values = np.array([[scores.get(name) for name in of] for scores in rows.values()], np.float64)
    return RetentionMatrix(list(rows), of, values)


def _by_experience(record: Mapping[str, Any], score: str) -> dict[str, Any]:
    accuracies: dict[str, Any] | None = record.get("accuracy_by_experience")
    if accuracies is not None:
        return accuracies
    return {name: each.get(score) for name, each in record.get("by_experience", {}).items()}


def _natural(name: str) -> tuple[bool, int, str]:
    """Return a key that sorts numbers by value, before other names."""
    return (False, int(name), "") if _WHOLE.fullmatch(name) else (True, 0, name)
