"""Skip the part of a stream that was learned from, where it can only be read again."""

from __future__ import annotations

import zlib

from streamreplay.errors import SourceError


class Skip:
    """Skip the first bytes of a stream, and compare them with those that were learned from.

    Parameters
    ----------
    name : str
        What messages call the stream.
    length, crc : int
        Of what was learned from.

    Examples
    --------
    >>> skip = Skip("rows.csv.gz", 5, zlib.crc32(b"1,2,3"))
    >>> skip.over(b"1,2"), skip.over(b",3,4"), skip.done
    (b'', b',4', True)
    """

    def __init__(self, name: str, length: int, crc: int) -> None:
        self._name = name
        self._length = length
        self._left = length
        self._wanted = crc
        self._crc = 0
        self.done = False

    def over(self, block: bytes, *, ended: bool = False) -> bytes:
        """Return what of a block, the last one if the stream has ended, is behind the skipped part.

        Raises
        ------
        SourceError
            The stream ends too early, or another one was learned from.
        """
        self._crc = zlib.crc32(block[: self._left], self._crc)
        rest = block[self._left :]
        self._left = max(0, self._left - len(block))
        if self._left and ended:
            raise SourceError(
                f"{self._name}: ends at byte {self._length - self._left}, but {self._length} bytes "
                "were learned from: it is not the same stream from its start"
            )
        if self._left:
            return b""
        if self._crc != self._wanted:
            raise SourceError(
                f"{self._name}: not the stream that was learned from: it differs somewhere in its "
                f"first {self._length} bytes"
            )
        self.done = True
        return rest
