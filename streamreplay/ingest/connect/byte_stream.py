"""Read the bytes of a file, a pipe or standard input as they come."""

from __future__ import annotations

import os
import select
import stat
import time
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.compression import (
    MAGIC_BYTES,
    Decoder,
    decoder_for,
    may_be_magic,
)

if TYPE_CHECKING:
    from streamreplay.ingest.decode.lines import Position

BLOCK = 1 << 18
_POLL = 0.2
_LAST = 256  # bytes by which a file is told from another one


def source_name(path: str | Path) -> str:
    """Return what messages call a source: its file name."""
    return "standard input" if str(path) == "-" else Path(path).name


class ByteStream:
    """Decompressed bytes of a file or a pipe.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input.

    Attributes
    ----------
    regular : bool
        It is a file: reading never waits.
    reopens : bool
        It is a file with a name: it can be read again from its start.

    Raises
    ------
    SourceError
        It cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = source_name(path)
        self._path = path
        self._fd = 0
        self._closer = None
        if str(path) != "-":
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise SourceError(f"{path}: cannot be opened: {error.strerror}") from None
            self._closer = weakref.finalize(self, os.close, self._fd)
        kind = self.status().st_mode
        if stat.S_ISDIR(kind):
            raise SourceError(f"{path}: is a folder")
        self.regular = stat.S_ISREG(kind)
        self.reopens = self.regular and self._closer is not None
        self._start = os.lseek(self._fd, 0, os.SEEK_CUR) if self.regular else 0
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._first: bytes | None = b""  # what came before it was known how to decode
        self._decoder: Decoder | None = None
        self._peeked = b""  # and not read yet
        self._peeked_end = False
        self._last_read = b""

    @property
    def seekable(self) -> bool:
        """Whether any byte of the stream can be gone to at once: a file, not compressed."""
        return self.regular and decoder_for(self.name, self.first(MAGIC_BYTES)) is None

    def first(self, size: int) -> bytes:
        """Return the first bytes of a file, at most ``size``, as they are on the disk."""
        return os.pread(self._fd, size, self._start)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._closer is not None:
            self._closer()

    def ready(self, timeout: float) -> bool:
        """Wait until `read` would return at once, for at most ``timeout`` seconds."""
        return bool(self._peeked) or self._peeked_end or self._may_read(timeout)

    def read(self) -> bytes | None:
        """Return the next bytes; none if what came gives none yet, None at the end.

        Raises
        ------
        SourceError
            It cannot be read, or its compressed data are broken or cut short.
        """
        if self._peeked:
            found, self._peeked = self._peeked, b""
            return found
        if self._peeked_end:
            self._peeked_end = False
            return None
        return self._read_on()

    def peek(
        self, enough: Callable[[bytes], bool], stop: Callable[[], bool] | None = None
    ) -> bytes:
        """Return the first bytes of the stream, decompressed; `read` returns them again.

        Parameters
        ----------
        enough : callable
            Returns whether some first bytes are enough. If they never are, all bytes are returned.
        stop : callable, optional
            Asked while waiting for a pipe: if true, what has come is returned.

        Raises
        ------
        SourceError
            As in `read`, if nothing has come before.
        """
        while not (self._peeked_end or enough(self._peeked)):
            if stop is not None and stop():
                break
            if not self._may_read(_POLL):
                continue
            try:
                found = self._read_on()
            except SourceError:
                if not self._peeked:
                    raise
                break  # it is raised again behind what has come
            self._peeked += found or b""
            self._peeked_end = found is None
        return self._peeked

    def _may_read(self, timeout: float) -> bool:
        if self.regular or (self._decoder is not None and self._decoder.more):
            return True
        return bool(self._poll.poll(max(0.0, timeout) * 1000))

    def _read_on(self) -> bytes | None:
        if self._decoder is not None and self._decoder.more:
            return self._decoder.decode(b"")
        data = self._raw()
        if self._first is not None:
            first = self._first + data
            if data and may_be_magic(first):
                self._first = first
                return b""
            self._decoder = decoder_for(self.name, first)
            self._first = None
            data = first
        if self._decoder is None:
            return data or None
        if data:
            return self._decoder.decode(data)
        self._decoder.finish()
        return None

    def settled(self, seconds: float) -> bool:
        """Return whether this is no file, or one that was not written to for some seconds."""
        if not self.regular or self._decoder is not None:
            return True
        return not 0 <= time.time() - self.status().st_mtime < seconds

    @property
    def offset(self) -> int:
        """Bytes of a file that were read, as they are on the disk."""
        return os.lseek(self._fd, 0, os.SEEK_CUR) - self._start

    @property
    def last_read(self) -> bytes:
        """The last bytes that were read, as they are on the disk."""
        return self._last_read

    def was_rewritten(self) -> bool:
        """Return whether a file has lost bytes that were read, as by a truncation."""
        end = self._start + self.offset
        kept = os.pread(self._fd, len(self._last_read), end - len(self._last_read))
        return self.status().st_size < end or kept != self._last_read

    def was_replaced(self) -> bool:
        """Return whether another file has the name now."""
        return os.path.exists(self._path) and not self.is_at(self._path)  # noqa: PTH110 - no UTF-8

    def is_at(self, path: str | Path) -> bool:
        """Return whether the file has a path now."""
        try:
            now, status = os.stat(path), self.status()  # noqa: PTH116 - names may be no UTF-8
        except FileNotFoundError:
            return False
        return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino)

    def continues(self, other: ByteStream) -> bool:
        """Return whether this file has what was read of another one, as far as that is known."""
        last = other.last_read
        begin = other.offset - len(last)
        return self.seekable and os.pread(self._fd, len(last), begin) == last

    def seek(self, to: int) -> None:
        """Move to a byte of a seekable stream."""
        os.lseek(self._fd, self._start + to, os.SEEK_SET)
        self._first, self._peeked, self._peeked_end = None, b"", False
        size = min(to, _LAST)
        self._last_read = os.pread(self._fd, size, self._start + to - size)

    def check(self, to: Position) -> None:
        """Compare all bytes before a position of a seekable stream with those learned from.

        Raises
        ------
        SourceError
            The file is too short, or differs.
        """
        size = self.status().st_size - self._start
        if size < to.bytes:
            raise SourceError(
                f"{self.name}: {to.bytes} bytes of it were learned from, but it has only {size}"
            )
        if self._crc(to.last_start, to.bytes) != to.last_crc:
            raise SourceError(
                f"{self.name}: line {to.lines + to.inner} differs from the one that was learned"
            )
        if self._crc(0, to.bytes) != to.crc:
            raise SourceError(
                f"{self.name}: not the file that was learned from: it differs somewhere in its "
                f"first {to.bytes} bytes"
            )

    def _crc(self, start: int, end: int) -> int:
        crc = 0
        while start < end:
            data = os.pread(self._fd, min(BLOCK, end - start), self._start + start)
            if not data:
                break
            crc = zlib.crc32(data, crc)
            start += len(data)
        return crc

    def _raw(self) -> bytes:
        try:
            found = os.read(self._fd, BLOCK)
        except OSError as error:
            raise SourceError(f"{self.name}: cannot be read: {error.strerror}") from None
        self._last_read = (self._last_read + found)[-_LAST:]
        return found

    def status(self) -> os.stat_result:
        """Return what the system says of the open file."""
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise SourceError(f"{self.name}: cannot be read: {error.strerror}") from None


class OpenedPath(str):  # noqa: SLOT000 - a string has no slots of its own
    """The path of a pipe that is open already, because its first bytes were peeked at.

    Parameters
    ----------
    path : str
    stream : ByteStream
        Who opens the path first gets it.
    """

    _stream: ByteStream | None

    def __new__(cls, path: str, stream: ByteStream) -> Self:
        """Return the path, with its stream."""
        made = super().__new__(cls, path)
        made._stream = stream
        return made

    def take(self) -> ByteStream | None:
        """Return the stream, the first time."""
        stream, self._stream = self._stream, None
        return stream


def open_bytes(path: str | Path) -> ByteStream:
    """Open a file or a pipe, or return the stream of one that is open already.

    Raises
    ------
    SourceError
        It cannot be opened.
    """
    opened = path.take() if isinstance(path, OpenedPath) else None
    return ByteStream(path) if opened is None else opened
