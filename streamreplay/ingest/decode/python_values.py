"""Convert values of Python programs, and of Arrow columns, to values as JSON has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

_PLAIN = frozenset({str, int, float, bool, type(None), list, dict})
_ABSENT = ("NaTType", "NAType")  # pandas' own, which are not equal to themselves


def plain_values(values: list[Any]) -> list[Any]:
    """Return values as strings, numbers, booleans, lists, dicts, dates, datetimes, bytes or None.

    A datetime is in UTC, without a zone; a duration becomes seconds, a time of the day text.

    Raises
    ------
    TypeError
        One is something else; the second argument is its place.

    Examples
    --------
    >>> plain_values([np.float64(1.5), timedelta(minutes=1), time(12, 30), (1, 2)])
    [1.5, 60.0, '12:30:00', [1, 2]]
    """
    if set(map(type, values)) <= _PLAIN:
        return values
    found = []
    for place, value in enumerate(values):
        try:
            found.append(value if type(value) in _PLAIN else _plain(value))
        except TypeError as error:
            raise TypeError(str(error), place) from None
    return found


def role_value(role: str, value: Any) -> Any:
    """Return the value of a column that is no feature, as JSON would have it.

    Dates become text in ISO 8601, but for the role ``time`` seconds since 1970.

    Examples
    --------
    >>> role_value("id", Decimal(7)), role_value("label", b"a"), role_value("y", date(1970, 1, 2))
    ('7', 'a', '1970-01-02')
    """
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, datetime) and role == "time":
        return _since_1970(value)
    if isinstance(value, date):
        return value.isoformat()
    return _number_of(role, value) if isinstance(value, Decimal) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = _of_numpy(value)
    if type(value) in _PLAIN:
        return value
    if type(value).__name__ in _ABSENT:
        return None
    for kind, convert in _CONVERSIONS.items():
        if isinstance(value, kind):
            return convert(value)
    raise TypeError(f"a {type(value).__name__} cannot be learned from")


def _of_numpy(value: np.generic) -> Any:
    """Return Python's own value; times in microseconds, as in nanoseconds they become integers."""
    for kind, unit in ((np.datetime64, "datetime64[us]"), (np.timedelta64, "timedelta64[us]")):
        if isinstance(value, kind):
            return value.astype(unit).item()
    return value.item()


def _in_utc(value: datetime) -> datetime:
    convert = getattr(value, "to_pydatetime", None)  # pandas', which has nanoseconds
    moment: datetime = value if convert is None else convert(warn=False)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _text_of(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _number_of(role: str, value: Decimal) -> str | float:
    if role == "id":  # it may have more digits than an integer of 64 bits
        return format(value, "f")
    return int(value) if value == value.to_integral_value() else float(value)


def _since_1970(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001 - plain ones have no zone


def _same(value: Any) -> Any:
    return value


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    datetime: _in_utc,
    date: _same,
    time: time.isoformat,
    timedelta: timedelta.total_seconds,
    str: str.__str__,  # enumerations, and other kinds of strings and numbers
    int: int,
    float: float,
    Decimal: _same,
    bytes: _same,
    UUID: str,
    np.ndarray: np.ndarray.tolist,
    tuple: list,
}
"""How values of each type are converted; the first that fits counts."""
