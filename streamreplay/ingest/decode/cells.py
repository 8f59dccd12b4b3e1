"""Split lines into cells, and convert cells to values."""

from __future__ import annotations

import csv
import math
import re
from codecs import BOM_UTF8
from collections.abc import Collection
from itertools import chain, repeat
from typing import Any, Protocol

from streamreplay.ingest.decode.delimiters import named_delimiter
from streamreplay.ingest.decode.values import (
    BadRecord,
    json_number,
    refuse_utf16,
    seconds,
)

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?", re.ASCII)
_BOM = "\ufeff"
_BOOLEANS = {"true": True, "false": False}


class CellColumns(Protocol):
    """Cells by column: list of str, or numbers as float64[n] with NaN where missing."""

    def __getitem__(self, column: int) -> Any: ...


class FlatCells:
    """Cells of lines of one width, one line after the other."""

    def __init__(self, cells: list[str], width: int) -> None:
        self._cells = cells
        self._width = width

    def __getitem__(self, column: int) -> list[str]:
        """Return the cells of a column."""
        return self._cells[column :: self._width]

    def only(self, columns: Collection[int]) -> list[str]:
        """Return the cells of some columns, in the order of the lines."""
        cells, width = list(self._cells), self._width
        for column in sorted(set(range(width)).difference(columns), reverse=True):
            del cells[column::width]
            width -= 1
        return cells


def table(lines: list[bytes], delimiter: str, width: int) -> FlatCells:
    """Return the cells of all lines.

    Each line has ``width`` of them. One more in each has to be empty, and is dropped.

    Raises
    ------
    BadRecord
        At least one line needs a closer look; so does ``ValueError`` or ``csv.Error``.
    """
    text = b"\n".join(lines).decode()
    if "\0" in text or (not text.isascii() and _BOM in text):
        raise BadRecord("a NUL character or a byte order mark")
    if '"' in text:
        # a quote that is not closed joins lines, so that there are fewer rows
        rows = list(csv.reader(_lines(lines, text), delimiter=delimiter, strict=True))
        found = set(map(len, rows)) if len(rows) == len(lines) else {0}
        return FlatCells(_of_width(list(chain.from_iterable(rows)), found, width), width)
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    found = set(map(str.count, text.split("\n"), repeat(delimiter)))
    cells = text.replace("\n", delimiter).split(delimiter)
    if found != {width - 1}:
        cells = _of_width(cells, {delimiters + 1 for delimiters in found}, width)
    if width == 1 and not all(map(str.strip, cells)):
        raise BadRecord("a blank line")
    return FlatCells(cells, width)


def _of_width(cells: list[str], found: set[int], width: int) -> list[str]:
    """Return the cells of lines that have so many; one more is dropped if it is empty."""
    if found == {width + 1} and not any(map(str.strip, cells[width :: width + 1])):
        del cells[width :: width + 1]
        return cells
    if found != {width}:
        raise BadRecord(f"another number of cells than {width}")
    return cells


def _lines(lines: list[bytes], text: str) -> list[str]:
    """Return the lines of a text without CR at their ends; those inside quotes stay."""
    if "\r" not in text and text.count("\n") < len(lines):
        return text.split("\n")
    return [line.decode().removesuffix("\r") for line in lines]


def is_blank(line: bytes, delimiter: str) -> bool:
    """Return whether a line is blank, or names the delimiter for Excel.

    A row of empty cells is not blank: it has delimiters.
    """
    if not line or (line.isspace() and delimiter.encode() not in line):
        return True
    return named_delimiter(line) == delimiter


def split(line: bytes, delimiter: str) -> list[str]:
    """Return the cells of one line."""
    text = text_of(line).removesuffix("\r")
    if '"' not in text:
        return text.split(delimiter)
    try:
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except csv.Error as error:
        found = _spaced(text, delimiter)
        if found is None:
            unclosed = str(error) == "unexpected end of data"
            why = "a quote is not closed" if unclosed else error
            raise BadRecord(f"not CSV: {why}") from None
        return found
    return cells


def cells_or_none(line: bytes, delimiter: str) -> list[str] | None:
    """Return the cells of one line; None if it cannot be read."""
    try:
        return split(line.removeprefix(BOM_UTF8), delimiter)
    except BadRecord:
        return None


def text_of(line: bytes) -> str:
    """Return the text of a line."""
    refuse_utf16(line)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start} of the line") from None
    if "\0" in text:
        raise BadRecord(f"a NUL character at {text.index(chr(0))} of the line")
    return text


def _spaced(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of a line in which spaces follow closing quotes; None if it has others."""
    end = re.escape(delimiter)
    spaces = "" if delimiter == " " else " *"
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"{spaces}|((?!")(?:(?!{end}).)*))(?:({end})|\Z)', re.S)
    cells: list[str] = []
    match = cell.match(text)
    while match is not None:
        cells.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        if match[3] is None:
            return cells
        match = cell.match(text, match.end())
    return None


def is_number(cell: str, decimal: str = ".") -> bool:
    """Return whether a cell is a number as Python writes it, without underscores."""
    try:
        float(as_point(cell, decimal))
    except ValueError:
        return False
    return "_" not in cell


def as_point(cell: str, decimal: str) -> str:
    """Return a number with a decimal point in place of another mark.

    Examples
    --------
    >>> as_point("1,5", ","), as_point("1.234,5", ",")
    ('1.5', '1..234.5')
    """
    if decimal == ".":
        return cell
    # a point is no mark then: what has one is not a number
    return cell.replace(".", "..").replace(decimal, ".")


def has_decimal_comma(cell: str) -> bool:
    """Return whether a cell is a number with a comma in place of the decimal point."""
    return _DECIMAL_COMMA.fullmatch(cell.strip()) is not None


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


def goal_cell(cell: str, decimal: str = ".") -> float | str | None:
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
        value = float(as_point(cell, decimal))
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
