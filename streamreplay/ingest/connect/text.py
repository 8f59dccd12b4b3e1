"""Turn the bytes of a stream into UTF-8 text whose lines end in a line feed."""

from __future__ import annotations

import codecs
import re

from streamreplay.state import State

LOOK = 1 << 16
"""Bytes at the beginning of a stream that decide how its lines end."""

LINES = {"splits": False}
"""The state of a decoder whose text is lines."""

_CODECS = {  # the longer byte order marks first: one begins with another
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LINE = re.compile(rb'(?:[^"\r\n]++|"[^"]*+")*+')
_LINE_WITHOUT_QUOTES = re.compile(rb"[^\r\n]*+")


class TextDecoder:
    r"""Converts UTF-16 and UTF-32, told by a byte order mark, and lines that end in CR alone.

    All other bytes are passed on as they are. The first line end decides how lines end.

    Parameters
    ----------
    quotes : bool
        A line end between quotes does not decide.

    Attributes
    ----------
    alters : bool
        The text differs from the bytes of the stream, so that positions in it differ too.

    Examples
    --------
    >>> decoder = TextDecoder(quotes=True)
    >>> decoder.decode("a,b\r1,2\r".encode("utf-16"))
    b'a,b\n1,2\n'
    """

    def __init__(self, *, quotes: bool) -> None:
        self.alters = False
        self._pattern = _LINE if quotes else _LINE_WITHOUT_QUOTES
        self._first: bytes | None = b""  # bytes that may be a part of a byte order mark
        self._decoder: codecs.IncrementalDecoder | None = None
        self._told_cut = False  # half a character at the end was returned
        self._line: bytes | None = b""  # what came of the first line; None once it has ended
        self._return = b""  # a CR that a line feed may follow
        self._ends_in_cr = False

    @property
    def held(self) -> bytes:
        """The bytes taken in that are no part yet of the text returned."""
        return (self._first or b"") + self._return

    def skip_detection(self) -> None:
        """Pass on all bytes as they are: the stream is read from a place behind its beginning."""
        self._first = self._line = None

    def state_dict(self) -> State:
        """Return what matters for the bytes to come, where a pipe goes on in another one."""
        return {}

    def go_on(self, state: State, text: bytes) -> bytes:  # noqa: ARG002 - that of `JsonText` has any
        """Go on where another decoder stopped, and return its text.

        Parameters
        ----------
        state : State
            Of the other decoder.
        text : bytes
            What it has returned and was not consumed, and what it held back.
        """
        return text

    def decode(self, block: bytes | None) -> bytes:
        """Return the text in the next bytes; None stands for the end of the stream."""
        text = self._in_utf8(block)
        if self._line is not None:
            return self._decide(self._line, self._return + text, ended=block is None)
        return text.replace(b"\r", b"\n") if self._ends_in_cr else text

    def _in_utf8(self, block: bytes | None) -> bytes:
        data = block or b""
        if self._first is not None:
            data = self._first + data
            if block is not None and any(
                len(data) < len(bom) and bom.startswith(data) for bom in _CODECS
            ):
                self._first = data
                return b""
            self._first = None
            data = self._without_bom(data)
        if self._decoder is None:
            return data
        text = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        if block is not None:
            self._told_cut = False
        elif self._decoder.getstate()[0] and not self._told_cut:
            self._told_cut = True  # the end may be read several times
            return text + b"\xff"  # half a character at the end is no UTF-8 either
        return text

    def _without_bom(self, data: bytes) -> bytes:
        bom = next(filter(data.startswith, _CODECS), b"")
        if bom:
            # lone surrogates become bytes that are no UTF-8: only their lines are bad
            self._decoder = codecs.getincrementaldecoder(_CODECS[bom])("surrogatepass")
            self.alters = True
        return data[len(bom) :]

    def _decide(self, line: bytes, text: bytes, *, ended: bool) -> bytes:
        """Decide by the first line end; hold a CR back until the byte after it is known."""
        line += text
        self._return = b""
        match = self._pattern.match(line)
        at = match.end() if match else 0
        end = line[at : at + 2]
        if end == b"\r" and not ended:
            self._line, self._return = line[:-1], b"\r"
            return text[:-1]
        if len(end) == 2 and end[:1] == b"\r" and end != b"\r\n":
            self._ends_in_cr = self.alters = True
            inside = at - (len(line) - len(text))  # quotes end here: a CR in them stays
            text = text[:inside] + text[inside:].replace(b"\r", b"\n")
        known = end[:1] in (b"\r", b"\n") or len(line) > LOOK or ended
        self._line = None if known else line
        return text
