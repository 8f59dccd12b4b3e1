"""Compressed streams, told by their first bytes and decompressed as they come."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod

import zstandard

from streamreplay.errors import SourceError

_GZIP = b"\x1f\x8b\x08"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i, 0x2A, 0x4D, 0x18]) for i in range(16)))
_MAGIC = (_GZIP, *_ZSTD)  # a zstd stream may begin with a frame to be skipped
_OUTPUT = 1 << 18
_ZSTD_PIECE = 1 << 12


class Decoder(ABC):
    """Turns the bytes of a compressed file or pipe into those of the stream.

    One call gives back a bounded part: call again with no data while ``more`` is true.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._taken = 0
        self._input = b""
        self._failure: SourceError | None = None

    @property
    def more(self) -> bool:
        """Whether bytes taken in before can give output without new ones."""
        return bool(self._input)

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
            while self._input and room > 0:
                parts.append(self._some(room))
                room -= len(parts[-1])
        except (zlib.error, zstandard.ZstdError) as error:
            at = self._taken - len(self._input)
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
        found = self._frame.decompress(self._input[:_ZSTD_PIECE])
        rest = self._input[_ZSTD_PIECE:]
        if self._frame.eof:
            rest = self._frame.unused_data + rest
            self._frame = None
        self._input = rest
        return found

    def _inside(self) -> bool:
        return self._frame is not None
