"""Check and convert single values of a record.

Each rule is written twice: for one value, naming what is wrong with it, and for a column, fast.
The column functions accept exactly what the others do.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.labels import Name

MAX_ID = 256
_INT64 = range(-(1 << 63), 1 << 63)
_LONGEST_NUMBER = 400  # characters: Python converts no more than 4,300 digits
_64_BITS = range(-(1 << 63), 1 << 64)  # signed or unsigned
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?P<real>(\.[0-9]+)?([eE][+-]?[0-9]+)?)", re.ASCII)
_KNOWN_FLOATS_END = 1 << 53  # beyond it a float no longer tells neighbouring integers apart
_NO_VALUE = {type(None)}


class BadRecord(Exception):  # noqa: N818 - it never leaves this package: it becomes a dead letter
    """A record cannot be read; the message is the reason."""


def refuse_utf16(line: bytes) -> None:
    """Raise `BadRecord` if a line is text of two bytes a character, many of which are zero."""
    if line.count(0) > len(line) // 4:
        raise BadRecord(
            "many NUL characters: UTF-16 without a byte order mark has to be converted to UTF-8"
        )


def shown(value: object) -> str:
    """Write a value of a record for a message, cut if it is long."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def label_name(value: Any) -> Name | None:
    """Return a label's name; None where a row has none.

    Examples
    --------
    >>> label_name("cat"), label_name(3.0), label_name(True), label_name(None)
    ('cat', 3, 'true', None)
    """
    kind = type(value)
    if kind is str or value is None:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return "true" if value else "false"
    if kind is float and value.is_integer() and abs(value) <= _KNOWN_FLOATS_END:
        return int(value)
    if kind is not int:
        raise BadRecord(f"label {shown(value)} is neither a string nor an integer")
    if value not in _INT64:
        raise BadRecord(f"label {value} does not fit 64 bits")
    return value  # type: ignore[no-any-return]


def array_label(value: Any) -> Name | None:
    """Return the name of a label in an array: as `label_name` does, and None for -1."""
    name = label_name(value)
    return None if name == -1 else name


def json_label(value: Any) -> Name | None:
    """Return the name of a label in JSON: as `label_name` does, and for a fraction its text.

    Examples
    --------
    >>> json_label(1), json_label("1"), json_label(1.0), json_label(2.50)
    (1, '1', 1, '2.5')
    """
    if type(value) is float and math.isfinite(value) and not value.is_integer():
        return repr(value)
    return label_name(value)


def json_labels(values: Sequence[Any]) -> list[Name | None]:
    """Apply `json_label` to a column."""
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return list(values)
    return [json_label(value) for value in values]


def integer(field: str, value: Any) -> int:
    """Return a whole number of 64 bits; 0 for None.

    Examples
    --------
    >>> integer("task", 2.0), integer("task", None)
    (2, 0)
    """
    if value is None:
        return 0
    if type(value) is float and value.is_integer() and abs(value) <= _KNOWN_FLOATS_END:
        return int(value)
    if type(value) is not int:
        raise BadRecord(f"{field} {shown(value)} is not an integer")
    if value not in _INT64:
        raise BadRecord(f"{field} {value} does not fit 64 bits")
    return value


def integers(field: str, values: Sequence[Any]) -> NDArray[np.int64] | None:
    """Apply `integer` to a column; None for a column of None."""
    if set(map(type, values)) <= _NO_VALUE:
        return None
    return np.array([integer(field, value) for value in values], np.int64)


def row_id(value: Any) -> str | None:
    """Return a row's id, which is text of at most 256 characters; None if it has none.

    A whole number stands for its decimal digits. Fractions, and numbers beyond the integers that a
    float64 can tell apart, are refused: two ids could become one.

    Examples
    --------
    >>> row_id(5), row_id(5.0), row_id("5"), row_id("005"), row_id("")
    ('5', '5', '5', '005', None)
    """
    if value is None or value == "":
        return None
    if type(value) is str:
        if len(value) > MAX_ID:
            raise BadRecord(f"id has {len(value)} characters, at most {MAX_ID} are allowed")
        if "\0" in value:  # NumPy drops NULs at the end of a string
            raise BadRecord(f"id {shown(value)} holds a NUL character")
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _KNOWN_FLOATS_END:
        value = int(value)
    if type(value) is not int:
        raise BadRecord(f"id {shown(value)} is neither a string nor an integer")
    if value not in _64_BITS:
        raise BadRecord(f"id {value} does not fit 64 bits")
    return str(value)


def row_ids(values: Sequence[Any]) -> list[str | None] | None:
    """Apply `row_id` to a column; None for a column of None."""
    if set(map(type, values)) <= _NO_VALUE:
        return None
    return [row_id(value) for value in values]


def seconds(value: Any) -> float:
    """Return a time in seconds since 1970; NaN for None.

    A string is read as ISO 8601, and as UTC if it names no zone.

    Examples
    --------
    >>> seconds(12), seconds("1970-01-02"), seconds("1970-01-01T01:00:00+01:00")
    (12.0, 86400.0, 0.0)
    """
    if value is None:
        return math.nan
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadRecord(f"time {shown(value)} is neither a number nor ISO 8601") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if type(value) not in (int, float):
        raise BadRecord(f"time {shown(value)} is neither a number nor ISO 8601")
    if not math.isfinite(value):
        raise BadRecord(f"time {value} is not finite")
    return float(value)


def times(values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Apply `seconds` to a column; None for a column of None."""
    if set(map(type, values)) <= _NO_VALUE:
        return None
    return np.array([seconds(value) for value in values], np.float64)


def number(feature: str, value: Any) -> float:
    """Return one feature of a JSON record: a number or a boolean."""
    if value is None:
        raise BadRecord(f"{feature} is missing")
    if type(value) not in (int, float, bool):
        raise BadRecord(f"{feature} is not a number: {shown(value)}")
    return check_finite(feature, value)


def check_finite(feature: str, value: float) -> float:
    """Return a number if it is finite in single precision."""
    if not np.isfinite(float32s(np.array([value], np.float64)))[0]:
        kind = "outside the range of float32" if math.isfinite(value) else "not finite"
        raise BadRecord(f"{feature} is {kind}: {value}")
    return float(value)


def pack(flat: list[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make rows of features out of all their numbers, one after the other.

    Raises
    ------
    BadRecord
        One of them is no number, or not finite.
    """
    # struct takes real numbers only, where np.array would read strings as numbers and None as NaN;
    # it is also two to four times as fast
    try:
        raw = struct.pack(f"{len(flat)}d", *flat)
    except (struct.error, TypeError, OverflowError):
        raise BadRecord("a feature is not a number") from None
    x = float32s(np.frombuffer(raw, np.float64)).reshape(-1, *shape)
    if not np.isfinite(x).all():
        raise BadRecord("a feature is not finite")
    return x


def float32s(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round to single precision; what is beyond its range becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def json_number(text: str) -> float | None:
    """Return the number that a text is in JSON; None if it is none there.

    JSON has no ``007``, ``+7``, ``1_000``, ``0x10``, ``.5``, ``nan``, and no digits but 0 to 9.

    Examples
    --------
    >>> json_number("-12"), json_number("1.50"), json_number("2e3"), json_number("012")
    (-12, 1.5, 2000.0, None)
    """
    found = _JSON_NUMBER.fullmatch(text)
    if found is None or len(text) > _LONGEST_NUMBER:
        return None
    return float(text) if found["real"] else int(text)


def label_cell(cell: str) -> Name | None:
    """Return the name of a label in a CSV cell; None if the cell is empty.

    A cell that is a number in JSON has the name that this number has there, any other cell its
    text. Numbers that are refused there, as they have too many digits, are text.

    Examples
    --------
    >>> label_cell(" 12 "), label_cell("12.0"), label_cell("012"), label_cell("1.50")
    (12, 12, '012', '1.5')
    """
    cell = cell.strip()
    number = json_number(cell)
    if number is None:
        return cell or None
    try:
        return json_label(number)
    except BadRecord:
        return cell
