"""An even sample of a log of any length: enough to draw it, and never more than fits in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from streamreplay.log.reader import number_lines, parse_line

__all__ = ["MOST", "StreamKey", "Thinned", "thin_log"]

MOST = 2000
"""Records of a stream of records that are kept at most."""

_MOST_BYTES = 32 << 20  # of one stream's lines, unless that would leave too few of them
_FEWEST = 200
_HEAD = 512  # bytes of a line in which its first fields are
_FIRST = re.compile(rb'\{(?:"learner":"([^"\\]*)",)?"kind":"([^"\\]*)"')
_SAMPLE = re.compile(rb'"sample":"([^"\\]*)"')
_END = b'"experience_end":true'

StreamKey = tuple[str | None, str, str, bool]
"""A stream of records: learner, kind, sample ("" where there is none), whether at ends only."""

_Line = tuple[int, Path, int, bytes, bytes]
# place in the whole log, file, number in it, the line, and the one before it if that is asked for


class Thinned:
    """The first, the last, and evenly many of the lines between.

    Parameters
    ----------
    most : int
        Lines kept at most; when there are more, every second is dropped.

    Attributes
    ----------
    count : int
        Lines given so far.

    Examples
    --------
    >>> lines = Thinned(most=4)
    >>> for i in range(10):
    ...     lines.add((i, Path("log"), i + 1, b"{}", b""))
    >>> [place for place, *_ in lines]
    [0, 4, 8, 9]
    """

    def __init__(self, most: int = MOST) -> None:
        self.count = 0
        self._most = most
        self._stride = 1
        self._kept: list[_Line] = []
        self._bytes = 0
        self._last: _Line | None = None

    def __iter__(self) -> Iterator[_Line]:
        yield from self._kept
        if self._last is not None and self._last is not self._kept[-1]:
            yield self._last

    def add(self, line: _Line) -> None:
        """Take a line in, or leave it out."""
        self._last = line
        if self.count % self._stride == 0:
            self._kept.append(line)
            self._bytes += len(line[3]) + len(line[4])
            while self._too_much():
                self._kept = self._kept[::2]
                self._stride *= 2
                self._bytes = sum(len(each[3]) + len(each[4]) for each in self._kept)
        self.count += 1

    def _too_much(self) -> bool:
        kept = len(self._kept)
        return kept >= self._most or (self._bytes > _MOST_BYTES and kept > _FEWEST)


def thin_log(
    run: Path, name: str = "metrics", most: int = MOST
) -> dict[StreamKey, tuple[int, list[dict[str, Any]]]]:
    """Return, of each stream of records in a log, how many there are and an even sample.

    Records at the end of an experience are a stream of their own, so that they are not thinned
    together with the others. A record has its place in the log under ``"#"``, and where it has no
    kind, the record before it under ``"#before"``: it is about the time between them. Lines that
    are left out are told apart by their first bytes and not parsed, so damage in their middle goes
    unseen.

    Parameters
    ----------
    run : Path
    name : str
        Which log.
    most : int
        Records kept of each stream.

    Raises
    ------
    RunFolderError
        There is no such folder or log, or a line is damaged or of a later version of the log.
    """
    streams: dict[StreamKey, Thinned] = {}
    place, before, plain = count(), b"", name != "metrics"
    for path, number, line in number_lines(run, name):
        key = (None, name, "", False) if plain else _key(line)
        if key is None:  # written by another program, or damaged
            record = parse_line(line, path, number)
            key = _key(orjson.dumps(_in_order(record))) or (None, "", "", False)
        stream = streams.get(key)
        if stream is None:
            stream = streams[key] = Thinned(most)
        stream.add((next(place), path, number, line, before))
        before = line if plain else b""
    return {
        key: (stream.count, [_parse(line) for line in stream]) for key, stream in streams.items()
    }


def _parse(kept: _Line) -> dict[str, Any]:
    at, path, number, line, before = kept
    record = {**parse_line(line, path, number), "#": at}
    return {**record, "#before": parse_line(before, path, number - 1)} if before else record


def _key(line: bytes) -> StreamKey | None:
    found = _FIRST.match(line)
    if found is None:
        return None
    learner, kind = found.groups()
    name = None if learner is None else learner.decode()
    if kind not in (b"prequential", b"retention"):
        return name, kind.decode(), "", False
    end = line.find(_END, 0, _HEAD) >= 0
    if kind == b"prequential":
        return name, "prequential", "", end
    sample = _SAMPLE.search(line, 0, _HEAD)
    return name, "retention", "test" if sample is None else sample[1].decode(), end


def _in_order(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that tell its stream, in our own order."""
    first = [key for key in ("learner", "kind", "sample", "experience_end") if key in record]
    return {key: record[key] for key in first}
