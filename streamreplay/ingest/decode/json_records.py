"""Find the records in JSON text that is not one record a line."""

from __future__ import annotations

import re

from streamreplay.state import State

_TEXT = rb'[^"{}\[\]]*+'
_INSIDE_STRING = rb'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+'
_LEVELS = 4  # of brackets in a record: those with more are read step by step
_STRING = b'"' + _INSIDE_STRING + b'"'


_IN_OBJECT = rb'[^"{}\[\]:]*+'


def _object(levels: int) -> bytes:
    """Return the pattern of an object with up to so many levels of brackets in it.

    It matches only what is read in the same way step by step: an object in it has a key.
    """
    key = rb":\s*+" + (rb"(?:%s)?+" % _object(levels - 1) if levels else b"")
    array = rb"|" + _array(levels - 1) if levels else b""
    return rb"\{%s(?:(?:%s|%s%s)%s)*+\}" % (_IN_OBJECT, _STRING, key, array, _IN_OBJECT)


def _array(levels: int) -> bytes:
    inner = rb"|%s|%s" % (_object(levels - 1), _array(levels - 1)) if levels else b""
    return rb"\[%s(?:(?:%s%s)%s)*+\]" % (_TEXT, _STRING, inner, _TEXT)


_OBJECT = re.compile(_object(_LEVELS), re.DOTALL)
_OBJECT_AND_END = re.compile(rb"(" + _object(_LEVELS) + rb")[\s,]([\s,]*+)", re.DOTALL)
_TO_BLANKS = bytes.maketrans(b",\n", b"  ")
_STEP = re.compile(_TEXT + rb"(?:" + _STRING + _TEXT + rb")*+", re.DOTALL)
_REST_OF_STRING = re.compile(_INSIDE_STRING, re.DOTALL)
_BLANKS = re.compile(rb"\s++")
_OTHER = re.compile(rb'[^\s,"\[\]{][^\s,"\[\]{}]*+')
_OPENING = {ord("}"): ord("{"), ord("]"): ord("[")}


class JsonRecords:
    r"""Puts each record of JSON text on a line of its own.

    Records are the values of arrays, and values that follow each other. Text keeps its length: the
    comma or blank behind a record becomes its line end, and line ends in it become blanks. Only
    where nothing is between two records, a line end is added. A line end inside a string becomes a
    CR, so that its record cannot be read, and the string ends there. An object that begins inside
    another one without a key is a new record.

    Examples
    --------
    >>> records = JsonRecords()
    >>> records.split(b'[{"a":\n1},{"a":[2'), records.split(b', 3]}]')
    (b' {"a": 1}\n{"a":[2', b', 3]}\n')
    """

    def __init__(self) -> None:
        self._array = False  # inside an array of records
        self._open = bytearray()  # the brackets that are open in a record
        self._string = False  # inside a string
        self._escape = False  # behind a backslash in it
        self._unended = False  # a record has no line end yet
        self._last = 0  # the last byte inside a record that is not blank

    @property
    def is_open(self) -> bool:
        """Whether a record has begun, and its last bracket has not been closed."""
        return bool(self._open) or self._string

    def state_dict(self) -> State:
        """Return everything that matters for the text to come."""
        names = ("_array", "_string", "_escape", "_unended", "_last")
        return {"open": self._open.decode(), **{name[1:]: getattr(self, name) for name in names}}

    def load_state_dict(self, state: State) -> None:
        """Go on behind other text."""
        self._open = bytearray(str(state["open"]).encode())
        self._array, self._string = bool(state["array"]), bool(state["string"])
        self._escape, self._unended = bool(state["escape"]), bool(state["unended"])
        self._last = int(state["last"])

    def split(self, text: bytes) -> bytes:
        """Return the next part of the text, with a line end behind each record."""
        found: list[bytes] = []
        at = 0
        while at < len(text):
            if self._string:
                at = self._in_string(text, at, found)
            elif self._open:
                at = self._in_record(text, at, found)
            else:
                at = self._between(text, at, found)
        return b"".join(found)

    def _in_string(self, text: bytes, at: int, found: list[bytes]) -> int:
        start = at
        if self._escape and text[at : at + 1] != b"\n":
            at += 1
        self._escape = False
        at = _any(_REST_OF_STRING.match(text, at)).end()
        if text[at : at + 1] == b"\\":
            at += 1
            self._escape = at == len(text)
        if at < len(text):
            self._string = False
            end = text[at : at + 1].replace(b"\n", b"\r")
            found.append(text[start:at] + end)
            self._last = end[0]
            return at + 1
        found.append(text[start:])
        return at

    def _in_record(self, text: bytes, at: int, found: list[bytes]) -> int:
        match = _any(_STEP.match(text, at))
        step = match[0].replace(b"\n", b" ")
        found.append(step)
        self._last = (step.rstrip()[-1:] or bytes([self._last]))[0]
        at = match.end()
        if at == len(text):
            return at
        byte = text[at]
        if byte == ord('"'):
            self._string = True
        elif byte in _OPENING:
            self._close(byte)
        elif byte == ord("{") == self._open[-1] and self._last != ord(":"):
            found.append(b"\n")  # an object without a key: the record before it is broken
            self._open = bytearray(b"{")
        else:
            self._open.append(byte)
        self._last = byte
        found.append(text[at : at + 1])
        return at + 1

    def _close(self, byte: int) -> None:
        """Close a bracket, and those inside it that were left open."""
        place = self._open.rfind(_OPENING[byte])
        del self._open[max(place, 0) :]
        self._unended = not self._open

    def _between(self, text: bytes, at: int, found: list[bytes]) -> int:
        byte = text[at]
        blanks = _BLANKS.match(text, at)
        if blanks is not None:
            found.append(self._end() + blanks[0][1:].replace(b"\n", b" "))
            return blanks.end()
        if byte in b",]":
            self._array = self._array and byte == ord(",")
            found.append(self._end())
            return at + 1
        if byte in b"{[" and self._unended:
            found.append(self._end())  # nothing is between two records
        if byte == ord("[") and not self._array:
            self._array = True
            found.append(b" ")
            return at + 1
        return self._begin(text, at, found)

    def _begin(self, text: bytes, at: int, found: list[bytes]) -> int:
        """Begin a record, and read to its end if that is easily found."""
        end = _take_objects(text, at, found)
        if end > at:
            return end
        match = _OBJECT.match(text, at) or _OTHER.match(text, at)
        if match is not None:
            self._unended = True
            found.append(match[0].replace(b"\n", b" "))
            return match.end()
        byte = text[at]
        if byte in b"{[":
            self._open.append(byte)
        else:
            self._string = byte == ord('"')
            self._unended = True
        self._last = byte
        found.append(text[at : at + 1])
        return at + 1

    def _end(self) -> bytes:
        end = b"\n" if self._unended else b" "
        self._unended = False
        return end


def _take_objects(text: bytes, at: int, found: list[bytes]) -> int:
    """Append all objects from a byte on that are whole, and end them; return where others begin."""
    while (match := _OBJECT_AND_END.match(text, at)) is not None:
        record, behind = match.groups()
        found += record.replace(b"\n", b" "), b"\n", behind.translate(_TO_BLANKS)
        at = match.end()
    return at


def _any(match: re.Match[bytes] | None) -> re.Match[bytes]:
    """Return the match of a pattern that matches everywhere."""
    if match is None:
        raise RuntimeError("a pattern that may be empty has not matched")
    return match


def is_split(first: bytes) -> bool | None:
    r"""Return whether text has records that `JsonRecords` must find; None if that is not known yet.

    It has not if each record is a line. It has if it begins with an array of objects, or with an
    object that goes on in the next line.

    Examples
    --------
    >>> is_split(b'[{"a": 1}, '), is_split(b'{\n  "a": 1'), is_split(b'{"a": 1}\n'), is_split(b"{")
    (True, True, False, None)
    """
    text = first.lstrip()
    if text[:1] == b"[":
        return _begins_array(text[1:])
    if text[:1] == b"{":
        return _goes_on(text)
    return False if text else None


def _begins_array(text: bytes) -> bool | None:
    behind = text.lstrip()
    if b"\n" in text[: len(text) - len(behind)]:
        return True
    return behind[:1] in (b"{", b"]") if behind else None


def _goes_on(text: bytes) -> bool | None:
    """Return whether an object goes on in the next line, and is not just cut short."""
    line, end, behind = text.partition(b"\n")
    if not end:
        return None
    records = JsonRecords()
    records.split(line)
    before, after = line.rstrip()[-1:], behind.lstrip()[:1]
    if not records.is_open:
        return False
    if not after:
        return None
    if before == b"{":
        return after in b'"}'
    if before in b"[:":
        return after in b'"[{-0123456789tfn]'
    return after in (b'"[-0123456789tfn' if before == b"," else b",}]")
