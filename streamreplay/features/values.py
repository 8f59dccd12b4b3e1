"""Convert the values of one column, as CSV cells, JSON or Arrow give them, to arrays.

A value is decided by itself alone. One that is missing becomes NaN or None; one that does not fit
the column's kind is a *misfit*: it becomes missing too, and is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = [
    "MISSING",
    "NO_TIME",
    "Values",
    "as_numbers",
    "as_texts",
    "as_times",
    "is_missing",
    "json_numbers",
]

Values: TypeAlias = Sequence[Any] | NDArray[Any]
"""The values of a column: strings, numbers, booleans, None; or an array."""

NO_TIME = np.iinfo(np.int64).min
"""A time that is missing, in microseconds since 1970."""

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "None", "?"})
"""Texts that count as missing in a feature."""

_BOOLEANS = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NUMERIC = (int, float, bool, type(None))
_MILLISECONDS = 1e11  # from here on a number is a time in milliseconds, not in seconds
_LATEST = 253_402_300_800  # the year 10000, in seconds


def is_missing(value: Any, missing: Collection[str] = MISSING) -> bool:
    """Return whether a value counts as missing.

    Examples
    --------
    >>> is_missing(" NA "), is_missing(float("nan")), is_missing(0), is_missing("n/a", {"n/a"})
    (True, True, False, True)
    """
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip() in missing
    return isinstance(value, float) and math.isnan(value)


def as_numbers(
    values: Values, missing: Collection[str] = MISSING, decimal: str = "."
) -> NDArray[np.float64]:
    """Return numbers: float64[n], NaN where a value is missing or no finite number.

    ``decimal`` is the decimal mark of numbers that are text; with another, a point is none.

    Examples
    --------
    >>> as_numbers(["1.5", "NA", "007", "true", "x", ""]).tolist()
    [1.5, nan, 7.0, 1.0, nan, nan]
    >>> as_numbers([1, None, True, 2.5]).tolist()
    [1.0, nan, 1.0, 2.5]
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "iufb":
            return _finite(values.astype(np.float64))
        values = values.tolist()
    if decimal != ".":
        values = [_with_point(value, decimal) for value in values]
    kinds = set(map(type, values))
    try:
        if kinds == {str}:
            return _finite(_cells(list(values), missing))
        if kinds.issubset(_NUMERIC):
            return _finite(np.array(values, np.float64))
    except (ValueError, OverflowError):
        pass
    return _finite(np.array([_number(value, missing) for value in values], np.float64))


def as_texts(values: Values, missing: Collection[str] = MISSING) -> list[str | None]:
    """Return texts, without spaces at their ends; None where a value is missing.

    A number stands for its digits, so that the same table gives the same categories as CSV, where
    all is text, and as JSON or Parquet.

    Examples
    --------
    >>> as_texts([" red ", 5, 5.0, 1.5, True, None, "NA"])
    ['red', '5', '5', '1.5', 'true', None, None]
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if set(map(type, values)) == {str}:
        stripped = map(str.strip, values)
        return [None if text in missing else text for text in stripped]
    return [None if is_missing(value, missing) else _text(value) for value in values]


def as_times(values: Values, missing: Collection[str] = MISSING) -> NDArray[np.int64]:
    """Return times in microseconds since 1970: int64[n], `NO_TIME` where there is none.

    Text is read as ISO 8601, and as UTC if it names no zone; numbers, also as text, as seconds
    since 1970, or as milliseconds from 1e11 on.

    Examples
    --------
    >>> as_times(["1970-01-01T00:00:01", 2, "3.5", 1e11, None]).tolist()[:4]
    [1000000, 2000000, 3500000, 100000000000000]
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M":
            return values.astype("datetime64[us]").view(np.int64)
        values = values.tolist()
    known: dict[Any, int] = {}
    for value in set(map(_hashable, values)):
        known[value] = _time(value, missing)
    return np.array([known[_hashable(value)] for value in values], np.int64)


def _finite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers with NaN for infinity, and 0.0 for -0.0, as JSON has no -0."""
    numbers = numbers + 0.0
    numbers[np.isinf(numbers)] = np.nan
    return numbers


def _with_point(value: Any, decimal: str) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace(".", "..").replace(decimal, ".")


def json_numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers in cells of text; as one JSON array, which is read several times faster.

    Raises
    ------
    ValueError
        A cell is no number as JSON writes it.
    """
    found = orjson.loads(f"[{','.join(cells)}]")
    if len(found) != len(cells) or not set(map(type, found)).issubset((int, float)):
        raise ValueError("a cell is not a number as JSON writes it")
    return np.array(found, np.float64)


def _cells(cells: Sequence[str], missing: Collection[str]) -> NDArray[np.float64]:
    """Return the numbers in cells of text; as one JSON array, which is read several times faster.

    Raises
    ------
    ValueError
        A cell is no number as JSON writes it.
    """
    text = ",".join(cells)
    try:
        found = orjson.loads(f"[{text}]")
    except orjson.JSONDecodeError:
        text = ",".join(["null" if cell.strip() in missing else cell for cell in cells])
        found = orjson.loads(f"[{text}]")
    if len(found) != len(cells) or not set(map(type, found)).issubset(_NUMERIC):
        raise ValueError("a cell is not a number as JSON writes it")
    return np.array(found, np.float64)


def _number(value: Any, missing: Collection[str]) -> float:
    if isinstance(value, str):
        text = value.strip()
        if text in missing:
            return math.nan
        if _NUMBER.fullmatch(text):
            return float(text)
        return _BOOLEANS.get(text.lower(), math.nan)
    if isinstance(value, int | float | bool | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return math.nan


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    return (
        str(value) if isinstance(value, int | float) else orjson.dumps(value, default=str).decode()
    )


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return None
    return value


def _time(value: Any, missing: Collection[str]) -> int:
    if is_missing(value, missing):
        return NO_TIME
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _epoch(float(text))
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return NO_TIME
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round((moment - _BEGIN).total_seconds() * 1e6)
    if isinstance(value, date):
        return (value - _BEGIN.date()).days * 86_400_000_000
    return _epoch(float(value)) if isinstance(value, int | float) else NO_TIME


def _epoch(number: float) -> int:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS else number
    return round(seconds * 1e6) if abs(seconds) < _LATEST else NO_TIME


_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
