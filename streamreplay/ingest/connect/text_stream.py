"""Read the text of a file or a pipe behind what was learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamreplay.ingest.connect.byte_stream import open_bytes, source_name
from streamreplay.ingest.connect.skip import Skip
from streamreplay.ingest.connect.text import LOOK, TextDecoder
from streamreplay.ingest.decode.lines import Position
from streamreplay.state import State


class TextStream:
    """Text of a file or a pipe.

    Parameters
    ----------
    path : str or Path
    new_text : callable
        Returns what turns the bytes into text.

    Attributes
    ----------
    bytes : ByteStream
    ended : bool
        The last bytes were read.

    Raises
    ------
    SourceError
        It cannot be opened.
    """

    def __init__(self, path: str | Path, new_text: Callable[[], TextDecoder]) -> None:
        self.name = source_name(path)
        self.bytes = open_bytes(path)
        self.ended = False
        self._new_text = new_text
        self._text = new_text()
        self._skip: Skip | None = None  # of what was learned from, while it goes by
        self._check: Skip | None = None  # of what must be the same as before, while it goes by

    @property
    def behind_start(self) -> bool:
        """Whether all that was learned from has gone by."""
        return self._skip is None

    @property
    def held(self) -> bytes:
        """The bytes that were read and are no part yet of the text returned."""
        return self._text.held

    def decoder_state(self) -> State:
        """Return what matters for the bytes to come, where a pipe goes on in another one."""
        return self._text.state_dict()

    def go_on(self, state: State, text: bytes) -> bytes:
        """Go on where another stream stopped; see `TextDecoder.go_on`."""
        return self._text.go_on(state, text)

    def go_to(self, at: Position, end: Position | None) -> None:
        """Go to a position, and compare what is before it with what was learned from.

        With ``end``, compare all before that; text that can only be read in order is compared
        while it goes by.

        Raises
        ------
        SourceError
            It differs, or is too short.
        """
        stream = self.bytes
        if at.bytes and stream.seekable and self._is_plain(stream.first(LOOK)):
            self._text.skip_detection()
            stream.check(at if end is None else end)
            stream.seek(at.bytes)
            return
        self._skip = Skip(self.name, at.bytes, at.crc) if at.bytes else None
        self._check = None if end is None else Skip(self.name, end.bytes, end.crc)

    def decode(self, block: bytes | None) -> bytes:
        """Return the text in the next bytes behind the position; None stands for the end.

        Raises
        ------
        SourceError
            What was learned from has gone by, and differs, or there is too little of it.
        """
        ended = block is None
        text = self._text.decode(block)
        if self._check is not None:
            self._check.over(text, ended=ended)
            self._check = None if self._check.done else self._check
        if self._skip is not None:
            text = self._skip.over(text, ended=ended)
            self._skip = None if self._skip.done else self._skip
        self.ended = ended
        return text

    def _is_plain(self, first: bytes) -> bool:
        """Return whether a stream that begins with some bytes is its own text."""
        text = self._new_text()
        text.decode(first)
        return not text.alters
