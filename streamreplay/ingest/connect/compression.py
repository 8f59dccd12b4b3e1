"""Compressed streams, told by their first bytes and decompressed as they come."""

from __future__ import annotations

import bz2
import lzma
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import zstandard

from streamreplay.errors import SourceError

_GZIP = b"\x1f\x8b\x08"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i, 0x2A, 0x4D, 0x18]) for i in range(16)))
# behind the level of bzip2 stands the first block, or the end: `BZh9` alone may begin a text
_BZIP2 = tuple(
    b"BZh%d" % level + block
    for level in range(1, 10)
    for block in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
)
_XZ = b"\xfd7zXZ\0"
_MAGIC = (_GZIP, *_ZSTD, *_BZIP2, _XZ)  # a zstd stream may begin with a frame to be skipped
_OUTPUT = 1 << 18
_PIECE = 1 << 12

MAGIC_BYTES = max(map(len, _MAGIC))
"""First bytes of a stream that decide how it is compressed."""

SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
"""Ends of the names of compressed files."""

_Errors = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError)
_Member: TypeAlias = "bz2.BZ2Decompressor | lzma.LZMADecompressor"


class Decoder(ABC):
    """Turns the bytes of a compressed file or pipe into those of the stream.

    One call gives back a bounded part: call again with no data while ``more`` is true.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._taken = 0
        self._input = b""
        self._held = 0  # bytes at most that were taken out of it, and not decompressed yet
        self._failure: SourceError | None = None

    @property
    def more(self) -> bool:
        """Whether bytes taken in before can give output, or an error, without new ones."""
        return bool(self._input) or self._failure is not None

    def decode(self, data: bytes) -> bytes:
        """Return more of the stream.

        Raises
        ------
        SourceError
            The data are broken; all that came before has been returned.
        """
        if self._failure is not None:
            raise self._failure
        self._taken += len(data)
        self._input += data
        parts: list[bytes] = []
        room = _OUTPUT
        try:
            while self.more and room > 0:
                parts.append(self._some(room))
                room -= len(parts[-1])
        except _Errors as error:
            at = self._taken - len(self._input) - self._held
            self._failure = SourceError(
                f"{self._name}: broken compressed data at or after byte {at} ({error})"
            )
            if not any(parts):
                raise self._failure from None
        return b"".join(parts)

    def finish(self) -> None:
        """Check that the data may end here; raise `SourceError` if they may not."""
        if self._inside():
            raise SourceError(
                f"{self._name}: the compressed data end too early, at byte {self._taken}"
            )

    @abstractmethod
    def _some(self, room: int) -> bytes:
        """Decompress about ``room`` bytes from ``_input``, and take away what was used of it."""

    @abstractmethod
    def _inside(self) -> bool:
        """Return whether a member or a frame has begun and not ended."""


def decoder_for(name: str, first: bytes) -> Decoder | None:
    """Return the decoder that a stream's first bytes ask for; None if it is not compressed."""
    if first.startswith(_GZIP):
        return _Gzip(name)
    if first.startswith(_BZIP2):
        return _Members(name, bz2.BZ2Decompressor)
    if first.startswith(_XZ):
        return _Members(name, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ), padding=b"\0")
    return _Zstd(name) if first.startswith(_ZSTD) else None


def may_be_magic(first: bytes) -> bool:
    """Return whether more bytes are needed to know if a stream is compressed."""
    return any(len(first) < len(magic) and magic.startswith(first) for magic in _MAGIC)


class _Gzip(Decoder):
    """Any number of gzip members, one after the other, and zeros between or behind them."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._member: zlib._Decompress | None = None

    def _some(self, room: int) -> bytes:
        if self._member is None:
            self._input = self._input.lstrip(b"\0")
            if not self._input:
                return b""
            self._member = zlib.decompressobj(31)
        found = self._member.decompress(self._input, room)
        self._input = self._member.unconsumed_tail
        if self._member.eof:
            self._input = self._member.unused_data
            self._member = None
        return found

    def _inside(self) -> bool:
        return self._member is not None


class _Zstd(Decoder):
    """Any number of zstd frames, one after the other."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._frames = zstandard.ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def _some(self, room: int) -> bytes:  # noqa: ARG002 - zstd takes no bound on its output:
        # it is kept small by small pieces of input, as a byte gives at most 32 KiB
        if self._frame is None:
            self._frame = self._frames.decompressobj()
        found = self._frame.decompress(self._input[:_PIECE])
        rest = self._input[_PIECE:]
        if self._frame.eof:
            rest = self._frame.unused_data + rest
            self._frame = None
        self._input = rest
        return found

    def _inside(self) -> bool:
        return self._frame is not None


class _Members(Decoder):
    """Any number of bzip2 or xz streams, one after the other.

    Parameters
    ----------
    name : str
    new : callable
        Returns what decompresses the next stream.
    padding : bytes
        What may stand between or behind streams.
    """

    def __init__(self, name: str, new: Callable[[], _Member], padding: bytes = b"") -> None:
        super().__init__(name)
        self._new = new
        self._padding = padding
        self._member: _Member | None = None

    @property
    def more(self) -> bool:
        return super().more or not (self._member is None or self._member.needs_input)

    def _some(self, room: int) -> bytes:
        if self._member is None:
            self._input = self._input.lstrip(self._padding) if self._padding else self._input
            if not self._input:
                return b""
            self._member = self._new()
        piece = b""
        if self._member.needs_input:
            piece, self._input = self._input[:_PIECE], self._input[_PIECE:]
            self._held = len(piece)
        found = self._member.decompress(piece, room)
        if self._member.eof:
            self._input = self._member.unused_data + self._input
            self._member, self._held = None, 0
        return found

    def _inside(self) -> bool:
        return self._member is not None
