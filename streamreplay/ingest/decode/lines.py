"""Split bytes into lines, and count the consumed lines into a position."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.ingest.decode.records import RecordJoiner
from streamreplay.state import whole


@dataclass(slots=True)
class Position:
    """Where in a stream a source is: behind everything it has yielded, and before the rest."""

    rows: int = 0  # yielded
    lines: int = 0  # consumed, with blank and unreadable ones
    bytes: int = 0  # consumed, uncompressed
    crc: int = 0  # CRC-32 of all bytes consumed
    last_start: int = 0  # where the last consumed line begins
    last_crc: int = 0  # CRC-32 of its bytes, with the line end
    inner: int = 0  # line ends inside the consumed lines, which are records of several lines
    file: int = 0  # files of the stream before this one: bytes, checksums and inner are of a file
    first: int = 0  # lines consumed before this file

    @staticmethod
    def of(state: dict[str, Any]) -> Position:
        """Return the position in a state that has all of `as_dict`."""
        return Position(**{key: whole(key, state[key]) for key in Position().as_dict()})

    def as_dict(self) -> dict[str, int]:
        """Return all numbers by name."""
        return asdict(self)


@dataclass(slots=True)
class _LongLine:
    """A line too long to be kept: only its length and checksums go on beyond a first stretch."""

    length: int
    crc_after: int  # of the stream up to here
    crc: int  # of the line alone
    ended: bool = False  # a line end is part of it

    def add(self, data: bytes) -> None:
        self.length += len(data)
        self.crc_after = zlib.crc32(data, self.crc_after)
        self.crc = zlib.crc32(data, self.crc)


@dataclass(frozen=True, slots=True)
class _Border:
    """Where a further file of the stream begins."""

    line: int
    unended: bool  # the line before has no line end
    widths: list[int]  # of the records before; see `RecordJoiner.widths`


class LineBuffer:
    r"""Lines that were read from a stream and are not consumed yet.

    A line that does not fit ``longest`` bytes is kept as its first ``longest + 1`` bytes, and the
    rest is let go as it streams by: memory is bounded.

    Parameters
    ----------
    longest : int
        Bytes a line may have, its end not counted.
    joiner : RecordJoiner, optional
        Joins lines to records, each of which is a line from there on.

    Examples
    --------
    >>> buffer = LineBuffer(100)
    >>> buffer.feed(b"one\r\ntwo\nthr")
    >>> buffer.peek(0, 10)
    [b'one\r', b'two']
    >>> buffer.consume(1)
    >>> buffer.position.bytes, bytes(buffer.unread())
    (5, b'two\nthr')
    """

    def __init__(self, longest: int, joiner: RecordJoiner | None = None) -> None:
        self.longest = longest
        self.joiner = joiner
        self.position = Position()
        self._lines: list[bytes] = []
        self._head = 0  # lines before it are consumed
        self._tail = bytearray()  # the beginning of a line
        self._open: _LongLine | None = None  # a long line whose end has not come yet
        self._long: dict[int, _LongLine] = {}  # by line number
        self._unended = False  # the last line has no line end
        self.may_be_long = False
        """Whether a line may be longer than `longest`."""
        self.ends: list[Position] = []  # of the files before that of the position
        self._borders: list[_Border] = []  # of files behind it
        self._arrivals: deque[tuple[int, float]] = deque()  # number of a read's first line, when

    def __len__(self) -> int:
        """Count the complete lines."""
        return len(self._lines) - self._head

    @property
    def partial(self) -> bool:
        """Whether the last line may go on: it has no line end, or a quoted cell is not closed."""
        opened = self.joiner is not None and self.joiner.is_open
        return bool(self._tail) or self._open is not None or opened

    def feed(self, block: bytes, now: float = 0.0) -> None:
        """Append bytes of the stream, read at the time ``now``."""
        if self._head:
            del self._lines[: self._head]
            self._head = 0
        before = len(self._lines)
        if self._open is not None:
            block = self._end_long_line(self._open, block)
        cut = block.rfind(b"\n")
        if cut >= 0:
            self._append(bytes(self._tail) + block[:cut])
            self._tail.clear()
        self._tail += block[cut + 1 :]
        self._unended = False
        if self._open is None and len(self._tail) > self.longest:
            self._start_long_line()
        if len(self._lines) > before:
            self._arrivals.append((self.position.lines + before, now))

    def finish(self) -> None:
        """End the stream: what has no line end becomes the last line."""
        if self._open is None and not self._tail:
            self._flush()
            return
        if self._open is not None:
            self._close_long_line(self._open)
        else:
            self._append(bytes(self._tail))
        self._flush()
        self._tail.clear()
        self._unended = True

    def begin_file(self) -> None:
        """Begin the next file of the stream; the one before must be finished."""
        widths = [] if self.joiner is None else self.joiner.widths
        self._borders.append(_Border(self._next, self._unended, widths))
        if self.joiner is not None:
            self.joiner.begin_part()
        self._unended = False

    @property
    def widths(self) -> list[int]:
        """Numbers of cells of the records up to the end of the file that the position is in."""
        if self._borders:
            return list(self._borders[0].widths)
        return [] if self.joiner is None else list(self.joiner.widths)

    def file_of(self, line: int) -> int:
        """Return the number of the file that a line is in."""
        return self.position.file + sum(each.line <= line for each in self._borders)

    def first_of_file(self, line: int) -> int:
        """Return the first line of the file that a line is in."""
        first = [each.line for each in self._borders if each.line <= line]
        return first[-1] if first else self.position.first

    def is_ahead(self, line: int | None) -> bool:
        """Return whether a line begins a file that the position has not come to."""
        return any(each.line == line for each in self._borders)

    @property
    def _next(self) -> int:
        """The number of the next line."""
        return self.position.lines + len(self)

    def peek(self, skip: int, most: int) -> list[bytes]:
        """Return lines of one file without their ends, leaving out the first ``skip``."""
        start, line = self._head + skip, self.position.lines + skip
        ahead = [each.line - line for each in self._borders if each.line > line]
        return self._lines[start : start + min([most, *ahead[:1]])]

    def take(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the lines of these numbers, without their ends, and leave them there."""
        start = self._head - self.position.lines
        return [self._lines[start + number] for number in numbers]

    def starts(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Return the first byte and the length, without line end, of lines by their number."""
        wanted = set(numbers)
        found: list[tuple[int, int]] = []
        start, number = self.position.bytes, self.position.lines
        for line in self._lines[self._head : self._head + max(wanted, default=-1) - number + 1]:
            long = self._long.get(number)
            if self.is_ahead(number):
                start = 0
            whole = long.length if long else len(line) + 1
            length = whole - 1 if not long or long.ended else whole
            if number in wanted:
                found.append((start, length))
            start, number = start + whole, number + 1
        return found

    def number(self, line: int) -> int:
        """Return where a line begins in its file as an editor counts lines, from 1."""
        first, at = self.first_of_file(line), self.position
        if self.joiner is None or not (self.joiner.joined or at.inner):
            return line + 1 - first
        begin = max(first, at.lines)
        before = self._lines[self._head + begin - at.lines : self._head + line - at.lines]
        inner = at.inner if begin == at.lines and not self.is_ahead(begin) else 0
        return line + 1 - first + inner + sum(record.count(b"\n") for record in before)

    def next_line(self) -> int | None:
        """Return the number of the line that the next byte begins; None if it is inside a line."""
        return None if self.partial else self._next + len(self._held())

    def arrival(self) -> float:
        """Return when the first line was read."""
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= self.position.lines:
            self._arrivals.popleft()
        return self._arrivals[0][1] if self._arrivals else 0.0

    def unread(self, file: int | None = None, *, end_line: bool = False) -> NDArray[np.uint8]:
        """Return what was read of a file, the last one by default, and not consumed.

        A long line is cut. With ``end_line``, a line that has no line end yet gets one.
        """
        at, last = self.position, self.position.file + len(self._borders)
        places = [at.lines, *(each.line for each in self._borders), self._next]
        place = last - at.file if file is None else file - at.file
        start, stop = (self._head + line - at.lines for line in places[place : place + 2])
        if place < last - at.file:
            lines = self._lines[start:stop]
            return np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)
        data = b"\n".join([*self._lines[start:stop], *self._held(), bytes(self._tail)])
        if end_line and self._tail:
            data += b"\n"
        return np.frombuffer(data[:-1] if self._unended else data, np.uint8)

    def consume(self, n: int) -> None:
        """Move the position behind the next ``n`` lines."""
        while n > 0:
            while self.is_ahead(self.position.lines):
                self._pass_border()
            left = [each.line - self.position.lines for each in self._borders]
            most = min([n, *left[:1]])
            self._consume(most, unended=self._is_unended(most))
            n -= most
        if not len(self):
            self._arrivals.clear()

    def _is_unended(self, n: int) -> bool:
        """Return whether the last of the next lines, all of one file, has no line end."""
        if self._borders:
            border = self._borders[0]
            return border.unended and self.position.lines + n == border.line
        return self._unended and n == len(self)

    def _pass_border(self) -> None:
        at = self.position
        del self._borders[0]
        self.ends.append(replace(at))
        at.bytes = at.crc = at.last_start = at.last_crc = at.inner = 0
        at.file, at.first = at.file + 1, at.lines

    def _consume(self, n: int, *, unended: bool) -> None:
        lines = self._lines[self._head : self._head + n]
        self._head += n
        end = b"" if unended else b"\n"
        if self._long:
            for i, line in enumerate(lines):
                self._pass([line], b"\n" if i < n - 1 else end)
        else:
            self._pass(lines, end)

    def _pass(self, lines: list[bytes], end: bytes) -> None:
        at = self.position
        long = self._long.pop(at.lines, None)
        last = lines[-1] + end
        at.lines += len(lines)
        if long is not None:
            at.last_start, at.last_crc, at.crc = at.bytes, long.crc, long.crc_after
            at.bytes += long.length
            return
        data = b"\n".join(lines) + end
        if self.joiner is not None and self.joiner.joined:
            at.inner += data.count(b"\n") - len(lines) + (not end)
        at.bytes += len(data)
        at.crc = zlib.crc32(data, at.crc)
        at.last_start = at.bytes - len(last)
        at.last_crc = zlib.crc32(last)

    def _append(self, data: bytes) -> None:
        """Append whole lines, joined to records."""
        self.may_be_long |= len(data) > self.longest
        lines, joiner = data.split(b"\n"), self.joiner
        if joiner is not None and not joiner.passes(data):
            lines = joiner.join(lines)
        self._lines += lines

    def _held(self) -> list[bytes]:
        return [] if self.joiner is None else self.joiner.held

    def _flush(self) -> None:
        if self.joiner is not None:
            self._lines += self.joiner.flush()

    def _start_long_line(self) -> None:
        self._flush()
        # the stream's checksum cannot be put together from parts: it is carried on from here
        crc = self._crc_of_lines()
        keep, rest = bytes(self._tail[: self.longest + 1]), bytes(self._tail[self.longest + 1 :])
        long = _LongLine(len(keep), zlib.crc32(keep, crc), zlib.crc32(keep))
        long.add(rest)
        self._tail = bytearray(keep)
        self._open = long

    def _crc_of_lines(self) -> int:
        """Return the checksum of the last file up to the end of the last line."""
        at = self.position
        begin, crc = (self._borders[-1].line, 0) if self._borders else (at.lines, at.crc)
        number = max(self._long, default=-1)
        if number >= begin:
            # lines behind the last long one are the only ones its checksum does not cover
            begin, crc = number + 1, self._long[number].crc_after
        lines = self._lines[self._head + begin - at.lines :]
        return zlib.crc32(b"".join(line + b"\n" for line in lines), crc)

    def _end_long_line(self, long: _LongLine, block: bytes) -> bytes:
        end = block.find(b"\n")
        if end < 0:
            long.add(block)
            return b""
        long.add(block[: end + 1])
        long.ended = True
        self._close_long_line(long)
        return block[end + 1 :]

    def _close_long_line(self, long: _LongLine) -> None:
        self._long[self._next], self.may_be_long = long, True
        self._lines.append(bytes(self._tail))
        self._tail.clear()
        self._open = None
