"""Read the cells of many lines at once with pyarrow, where it is installed.

The cells are those that `cells.table` returns. Lines of which that is not certain are left to who
reads lines one by one.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.features.schema import Schema
from streamreplay.ingest.decode.bulk import find_module, others_of
from streamreplay.ingest.decode.cells import is_number
from streamreplay.ingest.decode.header import Layout

__all__ = ["ArrowCells", "CellReader"]

ENOUGH = 192
"""Lines from which on it is worth it: a call of pyarrow takes 0.2 ms by itself."""

_COLUMN = re.compile(r"CSV column #(\d+)")


class _Kind(Enum):
    NUMBER = auto()
    FEW = auto()  # texts, few of which differ
    TEXT = auto()


@dataclass(frozen=True, slots=True)
class ArrowCells:
    """The cells of some lines by column: list of str, or float64[n] with NaN where missing.

    Attributes
    ----------
    columns : list
    lines : sequence of int
        Which of the lines, ascending.
    odd : list of int
        The others.
    """

    columns: list[Any]
    lines: Sequence[int]
    odd: list[int]

    def __getitem__(self, column: int) -> Any:
        """Return the cells of a column."""
        return self.columns[column]


class CellReader:
    """Reads lines of a stream whose columns are known.

    Parameters
    ----------
    decimal : str
        The decimal mark.
    schema : Schema
        Of the features.
    """

    def __init__(self, decimal: str, schema: Schema) -> None:
        self._decimal = decimal
        self._schema = schema
        self._texts: set[str] = set()  # columns of numbers that have shown something else

    def read(
        self, lines: list[bytes], delimiter: str, layout: Layout, quotes: Callable[[bytes], bool]
    ) -> ArrowCells | None:
        """Return the cells of lines; None if they have to be read without pyarrow.

        That is so while a column may turn out to be of another kind, and for few lines.
        ``quotes`` returns whether each quote in some lines is where it belongs.
        """
        width = len(layout.names)
        if len(lines) < ENOUGH or width < 2 or len(delimiter.encode()) > 1:
            return None
        if not self._schema.settled or self._csv is None:
            return None
        data = b"\n".join(lines)
        if _is_plain(data) and (b'"' not in data or quotes(data)):
            columns = self._columns(data, len(lines), delimiter, layout)
            if columns is not None:
                return ArrowCells(columns, range(len(lines)), [])
        return self._read_usual(lines, delimiter, layout)

    def _read_usual(self, lines: list[bytes], delimiter: str, layout: Layout) -> ArrowCells | None:
        """Return the cells of lines but for odd ones; None if there is none of these, or many."""
        odd = _odd_lines(lines, delimiter, len(layout.names))
        rest = others_of(odd, len(lines))
        if rest is None:
            return None
        data = b"\n".join([lines[i] for i in rest])
        columns = self._columns(data, len(rest), delimiter, layout)
        return None if columns is None else ArrowCells(columns, rest, odd)

    @cached_property
    def _csv(self) -> Any:
        """The module that reads; None where pyarrow is not installed."""
        return find_module("pyarrow") and find_module("pyarrow.csv")

    def _columns(self, data: bytes, n: int, delimiter: str, layout: Layout) -> list[Any] | None:
        """Return the cells of n lines by column; None if they cannot be told."""
        while True:
            kinds = self._kinds(layout)
            table, other = self._table(data, delimiter, kinds)
            if table is None and other is not None and kinds[other] is _Kind.NUMBER:
                self._texts.add(layout.names[other])
                continue
            if table is None or table.num_rows != n:
                return None
            columns = [_cells(column.chunk(0)) for column in table.columns]
            wrong = _with_words(layout.names, columns, table.columns)
            if not wrong:
                return columns
            self._texts.update(wrong)

    def _kinds(self, layout: Layout) -> list[_Kind]:
        """Return what the cells of each column become."""
        by_kind, names = self._schema.names_by_kind, layout.names
        numbers = set(by_kind.get("number", ())) - self._texts
        if any(map(is_number, names)) or not self._schema.missing.isdisjoint(names):
            numbers.discard(names[0])  # where a header would look like a row
        few = {*by_kind.get("category", ()), *by_kind.get("boolean", ())}
        kinds = [
            _Kind.NUMBER if name in numbers else _Kind.FEW if name in few else _Kind.TEXT
            for name in names
        ]
        for i in layout.reserved:
            kinds[i] = _Kind.FEW if i == layout.label else _Kind.TEXT
        return kinds

    def _table(self, data: bytes, delimiter: str, kinds: Sequence[_Kind]) -> tuple[Any, int | None]:
        """Return a table; None and the column, if known, in which a cell is no number."""
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        csv = self._csv
        types = {
            _Kind.NUMBER: pa.float64(),
            _Kind.FEW: pa.dictionary(pa.int32(), pa.string()),
            _Kind.TEXT: pa.string(),
        }
        names = [str(i) for i in range(len(kinds))]
        try:
            table = csv.read_csv(
                pa.py_buffer(data + b"\n"),
                csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 2),
                csv.ParseOptions(delimiter=delimiter),
                csv.ConvertOptions(
                    column_types={
                        name: types[kind] for name, kind in zip(names, kinds, strict=True)
                    },
                    null_values=sorted(self._schema.missing),
                    strings_can_be_null=False,
                    decimal_point=self._decimal,
                ),
            )
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            column = _COLUMN.search(str(error))
            return None, None if column is None else int(column[1])
        return table, None


def _is_plain(data: bytes) -> bool:
    """Return whether text has no line ends but ours, and nothing that we refuse."""
    if b"\0" in data or (not data.isascii() and BOM_UTF8 in data):
        return False
    return b"\r" not in data or data.count(b"\r") == data.count(b"\r\n") + data.endswith(b"\r")


def _cells(column: Any) -> list[str] | NDArray[np.float64]:
    """Return a column of Arrow as a list of str or as float64[n]."""
    if hasattr(column, "dictionary"):
        texts = column.dictionary.to_pylist()
        return [texts[code] for code in column.indices.to_numpy().tolist()]
    if str(column.type) == "double":
        found: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
        return found
    cells: list[str] = column.to_pylist()
    return cells


def _with_words(names: Sequence[str], columns: Sequence[Any], arrow: Sequence[Any]) -> list[str]:
    """Return the columns of numbers that have words for infinity or NaN, as Arrow read them."""
    return [
        name
        for name, cells, column in zip(names, columns, arrow, strict=True)
        if isinstance(cells, np.ndarray)
        and np.isfinite(cells).sum() != len(column) - column.null_count
    ]


def _odd_lines(lines: list[bytes], delimiter: str, width: int) -> list[int]:
    """Return which lines need a closer look: those with quotes are among them."""
    counts = map(bytes.count, lines, repeat(delimiter.encode()))
    return [
        i
        for i, (line, count) in enumerate(zip(lines, counts, strict=True))
        if count != width - 1 or b'"' in line or b"\r" in line[:-1] or not _is_clean(line)
    ]


def _is_clean(line: bytes) -> bool:
    if b"\0" in line:
        return False
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return BOM_UTF8 not in line
