"""Split bytes into lines, and count the consumed lines into a position."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from streamreplay.ingest.decode.records import RecordJoiner
from streamreplay.state import State


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

    @staticmethod
    def of(state: State) -> Position:
        """Return the position in a state that has all of `as_dict`."""
        return Position(**{key: int(state[key]) for key in Position().as_dict()})

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

    def peek(self, skip: int, most: int) -> list[bytes]:
        """Return lines without their ends, leaving out the first ``skip``."""
        start = self._head + skip
        return self._lines[start : start + most]

    def starts(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Return the first byte and the length, without line end, of lines by their number."""
        wanted = set(numbers)
        found: list[tuple[int, int]] = []
        start, number = self.position.bytes, self.position.lines
        for line in self._lines[self._head : self._head + max(wanted, default=-1) - number + 1]:
            long = self._long.get(number)
            whole = long.length if long else len(line) + 1
            length = whole - 1 if not long or long.ended else whole
            if number in wanted:
                found.append((start, length))
            start, number = start + whole, number + 1
        return found

    def number(self, line: int) -> int:
        """Return where a line begins as an editor counts lines, from 1."""
        if self.joiner is None or not (self.joiner.joined or self.position.inner):
            return line + 1
        before = self._lines[self._head : self._head + line - self.position.lines]
        return line + 1 + self.position.inner + sum(record.count(b"\n") for record in before)

    def next_line(self) -> int | None:
        """Return the number of the line that the next byte begins; None if it is inside a line."""
        return None if self.partial else self.position.lines + len(self) + len(self._held())

    def arrival(self) -> float:
        """Return when the first line was read."""
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= self.position.lines:
            self._arrivals.popleft()
        return self._arrivals[0][1] if self._arrivals else 0.0

    def unread(self, *, end_line: bool = False) -> NDArray[np.uint8]:
        """Return what was read and not consumed; a long line is cut.

        With ``end_line``, a line that has no line end yet gets one.
        """
        lines = self._lines[self._head :] + self._held()
        data = b"\n".join([*lines, bytes(self._tail)])
        if end_line and self._tail:
            data += b"\n"
        return np.frombuffer(data[:-1] if self._unended else data, np.uint8)

    def consume(self, n: int) -> None:
        """Move the position behind the next ``n`` lines."""
        if n <= 0:
            return
        lines = self._lines[self._head : self._head + n]
        self._head += n
        end = b"" if self._unended and self._head == len(self._lines) else b"\n"
        if self._long:
            for i, line in enumerate(lines):
                self._pass([line], b"\n" if i < n - 1 else end)
        else:
            self._pass(lines, end)
        if not len(self):
            self._arrivals.clear()

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
        before = b"".join(line + b"\n" for line in self._lines)
        crc = self._crc_of_lines(before)
        keep, rest = bytes(self._tail[: self.longest + 1]), bytes(self._tail[self.longest + 1 :])
        long = _LongLine(len(keep), zlib.crc32(keep, crc), zlib.crc32(keep))
        long.add(rest)
        self._tail = bytearray(keep)
        self._open = long

    def _crc_of_lines(self, data: bytes) -> int:
        if not self._long:
            return zlib.crc32(data, self.position.crc)
        # lines behind the last long one are the only ones its checksum does not cover
        number = max(self._long)
        behind = self._lines[number - self.position.lines + 1 :]
        return zlib.crc32(b"".join(line + b"\n" for line in behind), self._long[number].crc_after)

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
        self._long[self.position.lines + len(self)] = long
        self._lines.append(bytes(self._tail))
        self._tail.clear()
        self._open = None
