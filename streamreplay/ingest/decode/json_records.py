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
_TO_BLANKS = bytes.maketrans(b",\n\r\t\f\v", b" " * 6)  # whether they come at once or not
_STEP = re.compile(_TEXT + rb"(?:" + _STRING + _TEXT + rb")*+", re.DOTALL)
_REST_OF_STRING = re.compile(_INSIDE_STRING, re.DOTALL)
_BLANKS = re.compile(rb"\s++")
_FIRST_VALUES = re.compile(rb"(?:(?:%s|[^\s,\"\[\]{}]++)\s*+,\s*+)*+" % _STRING)
_PART_OF_VALUE = re.compile(
    rb'(?:"%s\\?|%s|[^\s,"\[\]{}]++)[^\S\n]*+\Z' % (_INSIDE_STRING, _STRING)
)
_OTHER = re.compile(rb'[^\s,"\[\]{][^\s,"\[\]{}]*+')
_STATE = (
    *("_array", "_string", "_escape", "_unended", "_last"),
    *("_blanks", "_began", "_nests", "_level"),
)
_BEGIN_OF_LINE = re.compile(rb"\n([ \t]*+)\{")
_OPENING = {ord("}"): ord("{"), ord("]"): ord("[")}


class JsonRecords:
    r"""Puts each record of JSON text on a line of its own.

    Records are the values of arrays, and values that follow each other. Text keeps its length: the
    comma or blank behind a record becomes its line end, and line ends in it become blanks. Only
    where nothing is between two records, a line end is added. A line end inside a string becomes a
    CR, so that its record cannot be read, and the string ends there. An object that begins inside
    another one without a key is a new record; so is one that begins a line in the column in which
    the record does, as the record before it does, unless objects of that one begin there too.

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
        self._blanks = 0  # at the end of the text, since its last line began; -1 if there is more
        self._began = -1  # the column in which the record begins a line; -1 if in a line
        self._nests = False  # an object inside the record begins a line there too
        self._level = -1  # the column in which the last record began that had no such object

    @property
    def is_open(self) -> bool:
        """Whether a record has begun, and its last bracket has not been closed."""
        return bool(self._open) or self._string

    def state_dict(self) -> State:
        """Return everything that matters for the text to come."""
        return {"open": self._open.decode(), **{name[1:]: getattr(self, name) for name in _STATE}}

    def load_state_dict(self, state: State) -> None:
        """Go on behind other text."""
        self._open = bytearray(str(state["open"]).encode())
        for name in _STATE:
            setattr(self, name, type(getattr(self, name))(state[name[1:]]))

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
        self._blanks = self._column(text, len(text))
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
        elif byte == ord("{") and self._begins_record(text, at):
            found.append(b"\n")  # the record before it is broken
            self._open, self._nests = bytearray(b"{"), False
            column = self._column(text, at)
            self._began = self._began if column < 0 else column
        else:
            self._open.append(byte)
        self._last = byte
        found.append(text[at : at + 1])
        return at + 1

    def _begins_record(self, text: bytes, at: int) -> bool:
        """Return whether an object inside a record is a new one."""
        if self._open[-1] == ord("{") and self._last != ord(":"):
            return True  # it has no key
        aligned = self._column(text, at) == self._began >= 0
        self._nests = self._nests or aligned
        return aligned and self._level == self._began

    def _column(self, text: bytes, at: int) -> int:
        """Return how many blanks are before a byte in its line; -1 if anything else is."""
        begin = at
        while begin and text[begin - 1] in b" \t":
            begin -= 1
        if begin:
            return at - begin if text[begin - 1] == ord("\n") else -1
        return self._blanks + at if self._blanks >= 0 else -1

    def _close(self, byte: int) -> None:
        """Close a bracket, and those inside it that were left open."""
        place = self._open.rfind(_OPENING[byte])
        del self._open[max(place, 0) :]
        self._unended = not self._open
        if self._unended:
            self._level = -1 if self._nests else self._began

    def _between(self, text: bytes, at: int, found: list[bytes]) -> int:
        byte = text[at]
        blanks = _BLANKS.match(text, at)
        if blanks is not None:
            found.append(self._end() + b" " * (len(blanks[0]) - 1))
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
        end = self._take_objects(text, at, found)
        if end > at:
            return end
        match = _OBJECT.match(text, at)
        if match is None or not self._is_one(text, *match.span()):
            match = _OTHER.match(text, at)
        if match is not None:
            self._unended = True
            found.append(match[0].replace(b"\n", b" "))
            return match.end()
        byte = text[at]
        if byte in b"{[":
            self._open.append(byte)
            self._began, self._nests = self._column(text, at), False
        else:
            self._string = byte == ord('"')
            self._unended = True
        self._last = byte
        found.append(text[at : at + 1])
        return at + 1

    def _take_objects(self, text: bytes, at: int, found: list[bytes]) -> int:
        """Append and end all objects from a byte on that are whole; return where others begin."""
        short = -1  # where the last object began, if it is one line
        while (match := _OBJECT_AND_END.match(text, at)) is not None:
            record, behind = match.groups()
            if b"\n" not in record:
                short = at
            else:
                if short >= 0:
                    self._level, short = self._column(text, short), -1
                if not self._is_one(text, *match.span(1)):
                    return at
                record = record.replace(b"\n", b" ")
            found += record, b"\n", behind.translate(_TO_BLANKS)
            at = match.end()
        if short >= 0:
            self._level = self._column(text, short)
        return at

    def _is_one(self, text: bytes, begin: int, end: int) -> bool:
        """Return whether an object that was read at once is one record; see `_begins_record`."""
        column = self._column(text, begin)
        nests = column >= 0 and any(
            len(each[1]) == column for each in _BEGIN_OF_LINE.finditer(text, begin, end)
        )
        if nests and self._level == column:
            return False
        self._level = -1 if nests else column
        return True

    def _end(self) -> bytes:
        end = b"\n" if self._unended else b" "
        self._unended = False
        return end


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
    behind = behind[_any(_FIRST_VALUES.match(behind)).end() :]
    if not behind or _PART_OF_VALUE.match(behind):
        return None
    return behind[:1] in (b"{", b"]")


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
