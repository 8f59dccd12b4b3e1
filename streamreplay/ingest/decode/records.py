"""Join the lines of a CSV stream to records: a quoted cell may hold line ends (RFC 4180)."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import TypeAlias

from streamreplay.ingest.decode.delimiters import named_delimiter

MOST_LINES = 1000
"""Lines that a record may have."""

Settle: TypeAlias = Callable[[list[bytes], bool, str | None], str | None]
"""Return the delimiter for the first records, one or two; None if one is not enough to tell.

The second argument is true if no more records come, the third is what a line before them names.
"""

_NO_BOUND = 1 << 62
_FEW = 50  # lines that show the delimiter of most streams


class _End(Enum):
    CLOSED = auto()
    OPEN = auto()  # inside a quoted cell
    BROKEN = auto()  # text follows a closing quote


class _Cells:
    """Patterns of the cells of a line; without a delimiter, between all that may be chosen."""

    def __init__(self, delimiter: str | None) -> None:
        # `whole` is a line that ends outside quotes, and `lines` several, quickly: each quote in
        # them is at the border of a cell of one line
        end = b"[,;\t|]" if delimiter is None else re.escape(delimiter.encode())
        text = b"[^,;\t|]*+" if delimiter is None else b"(?:(?!%s).)*+" % end
        if delimiter is not None and len(delimiter.encode()) == 1:
            text = b"[^%s]*+" % end
        inside = b'[^"]*+(?:""[^"]*+)*+'
        close = b'"' if delimiter == " " else b'" *+'
        cell = b'(?:"%s%s|(?!")%s)' % (inside, close, text)
        last = rb"(?:(%s)|\r?\Z)" % end

        def compiled(pattern: bytes) -> re.Pattern[bytes]:
            return re.compile(pattern, re.DOTALL)

        self.whole = compiled(rb"%s(?:%s%s)*+\r?" % (cell, end, cell))
        line_inside = b'[^"\n]*+(?:""[^"\n]*+)*+'
        self.lines = compiled(
            rb'[^"]*+(?:(?:\A|(?<=\n)|(?<=%s))"%s"(?:(?=[\r\n])|(?=%s)|\Z)[^"]*+)*+'
            % (end, line_inside, end)
        )
        self._cell = compiled(cell + last)
        self._opens = compiled(rb'"%s\Z' % inside)
        self._closes = compiled(inside + close + last)
        self._stays_open = compiled(rb"%s\Z" % inside)

    def scan(self, line: bytes, *, inside: bool) -> tuple[int, _End]:
        """Count the cells that end in a line, which may begin inside a quoted cell."""
        if inside and self._stays_open.match(line):
            return 0, _End.OPEN
        at = cells = 0
        match = (self._closes if inside else self._cell).match(line)
        if match is None and inside:
            return 0, _End.BROKEN
        while match is not None:
            cells, at = cells + 1, match.end()
            if match[1] is None:
                return cells, _End.CLOSED
            match = self._cell.match(line, at)
        return cells, _End.OPEN if self._opens.match(line, at) else _End.BROKEN


class RecordJoiner:
    r"""Joins lines to records, once the first of them have shown the delimiter.

    A quoted cell is closed within `MOST_LINES` lines, ``longest`` bytes and the expected number of
    cells, and a delimiter or a line end follows it. Otherwise the line that it begins in is a
    record by itself, which cannot be read, and joining goes on at the next line.

    Parameters
    ----------
    longest : int
        Bytes a record may have, its end not counted.
    settle : callable
        See `Settle`.
    delimiter : str, optional
        What ``settle`` has returned before.
    widths : list of int, optional
        Numbers of cells a record may have, as found before; see `RecordJoiner.widths`.

    Attributes
    ----------
    joined : bool
        Some record has more than one line.

    Examples
    --------
    >>> joiner = RecordJoiner(100, lambda *_: ",")
    >>> joiner.join([b"u,v", b'1,"a', b'b"', b'2,"c', b"3,d"])
    [b'u,v', b'1,"a\nb"']
    >>> joiner.flush()
    [b'2,"c', b'3,d']
    """

    def __init__(
        self,
        longest: int,
        settle: Settle,
        delimiter: str | None = None,
        widths: list[int] | None = None,
    ) -> None:
        self.joined = False
        self.delimiter = delimiter
        self.widths = widths or []
        """Cells of the first record of each part; also one less if the last of them is empty."""
        self._new_part = False  # its first record has not come yet
        self._settle = settle
        self._longest = longest
        self._cells = _Cells(delimiter)
        self._first: list[bytes] = []  # held back until the delimiter is known
        self._open: list[bytes] = []  # lines of a record whose quoted cell is not closed yet
        self._size = self._found = 0  # the bytes and the closed cells of these

    @property
    def held(self) -> list[bytes]:
        """The lines that are no part yet of the records returned."""
        return self._first + self._open

    @property
    def is_open(self) -> bool:
        """Whether the next line may belong to a record that has begun."""
        return bool(self._open)

    def passes(self, data: bytes) -> bool:
        """Return whether lines are surely records as they are; most are."""
        if self._open or not self.widths or self._new_part:
            return False
        return b'"' not in data or self._cells.lines.fullmatch(data) is not None

    def begin_part(self) -> None:
        """Take the next record for the first of a further part, which may have other columns."""
        self._new_part = bool(self.widths)

    def join(self, lines: list[bytes]) -> list[bytes]:
        """Return the records that are complete with the next lines."""
        found: list[bytes] = []
        if not self.widths and len(lines) > _FEW:
            self._take(deque(lines[:_FEW]), found)
            lines = lines[_FEW:]
            if self.passes(b"\n".join(lines)):
                return found + lines
        self._take(deque(lines), found)
        return found

    def flush(self) -> list[bytes]:
        """Return the records in the lines held back: no line follows that belongs to them."""
        found: list[bytes] = []
        while self._open:
            self._take(self._refuse(found), found)
        self._release(found, ended=True)
        return found

    def _take(self, lines: deque[bytes], found: list[bytes]) -> None:
        while lines:
            line = lines.popleft()
            if len(line) > self._longest:
                if self._open:
                    lines.appendleft(line)
                    lines.extendleft(reversed(self._refuse(found)))
                    continue
                self._release(found, ended=True)
                found.append(line)
            elif self._open:
                if not self._go_on(line, found):
                    lines.extendleft(reversed(self._refuse(found)))
            elif b'"' not in line or not self._begin(line):
                self._complete(line, found)

    def _begin(self, line: bytes) -> bool:
        """Return whether a line with a quote begins a record of several lines."""
        body = line.removeprefix(BOM_UTF8)
        if self._cells.whole.fullmatch(body):
            return False
        cells, end = self._cells.scan(body, inside=False)
        if end is not _End.OPEN or cells >= self._most_cells():
            return False
        self._open, self._size, self._found = [line], len(line), cells
        return True

    def _go_on(self, line: bytes, found: list[bytes]) -> bool:
        """Add a line to the open record; return whether they can belong together."""
        cells, end = self._cells.scan(line, inside=True)
        self._open.append(line)
        self._size += len(line) + 1
        self._found += cells
        if self._size > self._longest or len(self._open) > MOST_LINES or end is _End.BROKEN:
            return False
        if end is _End.OPEN:
            return self._found < self._most_cells()
        if not self._fits(line):
            return False
        record, self._open, self.joined = b"\n".join(self._open), [], True
        self._complete(record, found)
        return True

    def _most_cells(self) -> int:
        return self.widths[-1] + 1 if self.widths else _NO_BOUND

    def _fits(self, line: bytes) -> bool:
        """Return whether the open record, which ``line`` ends, has the right number of cells."""
        if not self.widths or self._found in self.widths:
            return True
        trailing = line.rstrip(b"\r").endswith((self.delimiter or ",").encode())
        return trailing and self._found == self.widths[-1] + 1

    def _refuse(self, found: list[bytes]) -> deque[bytes]:
        """Return the lines of the open record but the first, which is a record by itself."""
        first, *rest = self._open
        self._open = []
        self._complete(first, found)
        return deque(rest)

    def _complete(self, record: bytes, found: list[bytes]) -> None:
        if self.widths:
            if self._new_part and not is_no_row(record):
                self._new_part = False
                self.widths = sorted({*self.widths, *self._widths_of(record)})
            found.append(record)
            return
        self._first.append(record)
        self._release(found, ended=len(self._first) > MOST_LINES)

    def _release(self, found: list[bytes], *, ended: bool) -> None:
        """Return the first records once they show the delimiter, or when no more come."""
        records = [record for record in self._first if not is_no_row(record)]
        named = next(filter(None, map(named_delimiter, self._first)), None)
        delimiter = None
        if records:
            delimiter = self._settle(records[:2], ended or len(records) > 1, named)
        if delimiter is not None:
            self.delimiter = delimiter
            self._cells = _Cells(delimiter)
            self.widths = self._widths_of(records[0])
        if delimiter is not None or ended or not (records or named):
            found += self._first
            self._first = []

    def _widths_of(self, record: bytes) -> list[int]:
        cells, end = self._cells.scan(record.removeprefix(BOM_UTF8), inside=False)
        width = cells + (end is not _End.CLOSED)
        trailing = record.rstrip(b" \r").endswith((self.delimiter or ",").encode())
        return [width - 1, width] if trailing else [width]


def is_no_row(record: bytes) -> bool:
    """Return whether a record has nothing, or only names the delimiter."""
    return is_empty(record) or named_delimiter(record) is not None


def is_empty(record: bytes) -> bool:
    """Return whether a record has nothing but blanks, quotes and delimiters."""
    return not record.removeprefix(BOM_UTF8).strip(b' \t\r\n,;|"')
