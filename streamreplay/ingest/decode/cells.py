"""Split lines into cells, and convert cells to values."""

from __future__ import annotations

import csv
import math
from itertools import chain, repeat
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.ingest.decode.values import (
    BadRecord,
    check_finite,
    json_number,
    pack,
    seconds,
    shown,
)

_BOOLEANS = {"true": True, "false": False}


def table(lines: list[bytes], delimiter: str, width: int) -> list[str]:
    """Return the cells of all lines, one after the other.

    Raises
    ------
    BadRecord
        At least one line needs a closer look; so does ``ValueError`` or ``csv.Error``.
    """
    text = b"\n".join(lines).decode()
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    if "\0" in text:
        raise BadRecord("a NUL character")
    if '"' in text:
        rows = list(csv.reader(text.split("\n"), delimiter=delimiter, strict=True))
        # a quote that is not closed joins lines, so that there are fewer rows
        if len(rows) != len(lines) or set(map(len, rows)) != {width}:
            raise BadRecord("another number of cells")
        return list(chain.from_iterable(rows))
    if set(map(str.count, text.split("\n"), repeat(delimiter))) != {width - 1}:
        raise BadRecord("another number of cells")
    cells = text.replace("\n", delimiter).split(delimiter)
    if width == 1 and not all(map(str.strip, cells)):
        raise BadRecord("a blank line")
    return cells


def is_blank(line: bytes, delimiter: str) -> bool:
    """Return whether a line is blank. A row of empty cells is not: it has delimiters."""
    return not line or (line.isspace() and delimiter.encode() not in line)


def split(line: bytes, delimiter: str) -> list[str]:
    """Return the cells of one line."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start} of the line") from None
    if "\0" in text:
        raise BadRecord(f"a NUL character at {text.index(chr(0))} of the line")
    text = text.removesuffix("\r")
    if '"' not in text:
        return text.split(delimiter)
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise BadRecord(f"not CSV: {error}") from None
    return cells


def numbers(cells: list[str], shape: tuple[int, ...], *, allow_nan: bool) -> NDArray[np.float32]:
    """Convert the cells of some rows, one after the other, to numbers."""
    text = ",".join(cells)
    try:
        # as one JSON array they are parsed several times faster than one by one. Only numbers can
        # come out: pack refuses all else but true and false, which have letters that none has
        found: list[Any] = orjson.loads(f"[{text}]") if not ("u" in text or "l" in text) else []
    except ValueError:
        found = []
    if len(found) != len(cells):  # perhaps a way of writing numbers that JSON does not know
        if "_" in text:
            raise BadRecord("a cell is not a number")
        absent = "nan" if allow_nan else ""
        found = [float(cell if cell and not cell.isspace() else absent) for cell in cells]
    return pack(found, shape, allow_nan=allow_nan)


def number_cell(feature: str, cell: str, *, allow_nan: bool) -> float:
    """Return the number in one cell; NaN for an empty one if that is allowed."""
    cell = cell.strip()
    if not cell:
        if allow_nan:
            return math.nan
        raise BadRecord(f"{feature} is missing")
    try:
        value = float(cell)
    except ValueError:
        value = None
    if value is None or "_" in cell:
        raise BadRecord(f"{feature} is not a number: {shown(cell)}")
    return check_finite(feature, value, allow_nan=allow_nan)


def integer_cell(cell: str) -> float | str | None:
    """Return what `values.integer` judges: the number in a cell, or its text.

    Examples
    --------
    >>> integer_cell(" 2.0"), integer_cell("02"), integer_cell("")
    (2.0, '02', None)
    """
    cell = cell.strip()
    number = json_number(cell)
    return (cell or None) if number is None else number


def goal_cell(cell: str) -> float | str | None:
    """Return what a goal or a weight judges: the number or truth value in a cell, or its text.

    Examples
    --------
    >>> goal_cell(" 2.5"), goal_cell("True"), goal_cell("two"), goal_cell("")
    (2.5, True, 'two', None)
    """
    cell = cell.strip()
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        return _BOOLEANS.get(cell.lower(), cell)
    return cell if "_" in cell else value


def time_cell(cell: str) -> float:
    """Return the time in a cell in seconds since 1970; NaN if it is empty."""
    cell = cell.strip()
    if not cell:
        return math.nan
    number = json_number(cell)
    return seconds(cell if number is None else float(number))
