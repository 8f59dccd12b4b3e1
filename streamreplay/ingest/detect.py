"""Find out the format of a file or a pipe by its content, and by its name where that decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.byte_stream import ByteStream, OpenedPath, source_name
from streamreplay.ingest.connect.line_source import BOM
from streamreplay.ingest.connect.magic import CONTROLS
from streamreplay.ingest.connect.text import LOOK, TextDecoder
from streamreplay.ingest.decode.delimiters import CANDIDATES
from streamreplay.ingest.formats import FORMATS

_TEXT = ("jsonl", "csv")
_BINARY = "binary"
_LINES = 20
_BEGINNING = 512  # bytes that tell text from binary data
_MOST_CONTROLS = 0.05  # of them
_KNOWN = {
    b"PK\3\4": "a zip archive that holds no arrays, as .xlsx is",
    b"%PDF": "PDF",
    b"<!": "HTML or XML",
    b"<?": "HTML or XML",
}


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file or a pipe holds.

    Attributes
    ----------
    path : str
        From which to read it: a pipe is open already, and gives its first bytes again.
    format : str or None
        A name in `FORMATS`; None if there is nothing in it, and no name says more.
    named : str or None
        The format that its name says.
    first : bytes
        What it begins with, decompressed.
    """

    path: str
    format: str | None
    named: str | None
    first: bytes = b""

    @property
    def mismatch(self) -> str:
        """A notice that the content is not what the name says; empty where it is."""
        named, found = self.named, self.format
        if named is None or found is None or same_format(named, found):
            return ""
        name = source_name(self.path)
        return f"{name}: its name says {named}, but it holds {found}, and is read as {found}"


def same_format(one: str, other: str) -> bool:
    """Return whether one source may read files of both formats."""
    return FORMATS[one].open is FORMATS[other].open


def format_by_name(path: str) -> str | None:
    """Return the format that the name of a file says, if any.

    Examples
    --------
    >>> format_by_name("data/rows.JSONL.gz"), format_by_name("-")
    ('jsonl', None)
    """
    return next((name for name, each in FORMATS.items() if each.matches(path)), None)


def detect(path: str, hint: str | None = None, stop: Callable[[], bool] | None = None) -> Detected:
    """Find out the format of a file or a pipe.

    The first bytes decide: magic numbers are those of binary formats, ``{`` and ``[`` begin JSON,
    and other text is a CSV. What may be several of these is what the hint, or else the name, says.

    Parameters
    ----------
    path : str
        ``-`` is standard input.
    hint : str, optional
        The format that it should have.
    stop : callable, optional
        Asked while waiting for a pipe: if true, waiting ends.

    Raises
    ------
    SourceError
        It cannot be read, or is neither text nor of a binary format that is known.
    """
    named = format_by_name(path)
    if named is not None and named not in _TEXT and FORMATS[named].shows is None:
        return Detected(path, named, named)
    expected = hint or named
    stream = ByteStream(path)
    first = stream.peek(lambda first: _decide(first, expected) is not None, stop)
    if stream.reopens:
        stream.close()
    else:
        path = OpenedPath(path, stream)
    found = _decide(first[:LOOK], expected, whole=True)
    if found == _BINARY:
        raise SourceError(f"{source_name(path)}: {_describe(first)}")
    return Detected(path, found or expected, named, first)


def _decide(first: bytes, expected: str | None, *, whole: bool = False) -> str | None:
    """Return the format of a stream that begins with some bytes.

    It is None if more bytes are needed, or if they are the ``whole`` stream and blank.
    """
    whole = whole or len(first) >= LOOK
    answers = _answers(first)
    if True in answers.values():
        return next(name for name, answer in answers.items() if answer)
    text = TextDecoder(quotes=False).decode(first)
    if not whole and (None in answers.values() or BOM.startswith(text)):
        return None
    text = text.removeprefix(BOM).lstrip()
    return _format_of_text(text, expected if expected in _TEXT else None, whole=whole)


def _answers(first: bytes) -> dict[str, bool | None]:
    """Return by format whether magic numbers show it; None if that takes more bytes."""
    return {name: each.shows(first) for name, each in FORMATS.items() if each.shows is not None}


def _format_of_text(text: bytes, expected: str | None, *, whole: bool) -> str | None:
    """Return the format of text, or of what is none; None if it takes more of it."""
    if text[:1] not in (b"", b"{", b"["):
        binary = _is_binary(text[:_BEGINNING], named=expected is not None)
        return _BINARY if binary else _format_of_lines(text, expected)
    then = text[1:].lstrip()[:1]
    if not text or not (then or whole):
        return None
    certain = (text[:1] + then) in (b'{"', b"{}", b"[{", b"[]")
    return "jsonl" if certain else expected or "jsonl"


def _format_of_lines(text: bytes, expected: str | None) -> str:
    """Return the format of text that does not begin as JSON does."""
    lines = [line for line in re.split(rb"[\r\n]+", text, maxsplit=_LINES) if line.strip()]
    if any(map(_is_object, lines)):
        return expected or "jsonl"  # its first line may be broken
    if expected == "jsonl" and not _has_columns(lines[:2]):
        return "jsonl"
    return "csv"


def _is_object(line: bytes) -> bool:
    if not line.startswith(b"{"):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _has_columns(lines: list[bytes]) -> bool:
    """Return whether lines have equally many delimiters of one kind, at least one."""
    counts = [{line.count(mark) for line in lines} for mark in map(str.encode, CANDIDATES)]
    return any(len(each) == 1 and 0 not in each for each in counts)


def _is_binary(text: bytes, *, named: bool) -> bool:
    """Return whether data are no text; a name that says text allows for a few odd characters."""
    known = any(map(text.startswith, _KNOWN))
    line = re.split(rb"[\r\n]", text, maxsplit=1)[0]
    odd = len(text) - len(text.translate(None, CONTROLS))
    odd_in_line = len(line) - len(line.translate(None, CONTROLS))
    few = max(2, int(_MOST_CONTROLS * len(text)))
    return known or odd > few or bool(odd_in_line and not named)


def _describe(first: bytes) -> str:
    what = next((what for magic, what in _KNOWN.items() if first.startswith(magic)), "")
    if not what and first[:_BEGINNING].count(0) * 3 >= len(first[:_BEGINNING]):
        what = "perhaps UTF-16 without a byte order mark, which has to be converted to UTF-8"
    seen = f"begins with {first[:8]!r}"
    if what:
        return f"{seen}: {what}"
    return f"{seen}, which is no format that is known; source.format says how to read it"
