"""An even sample of a log of any length, small enough for memory and large enough for charts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from streamreplay.log.lines import parse_line
from streamreplay.log.reader import number_lines

MOST = 2000
"""Records of one stream that are kept at most."""

_MOST_BYTES = 32 << 20  # of one stream's lines, unless fewer than _FEWEST lines would remain
_FEWEST = 200
_HEAD = 512  # first bytes of a line, which hold the fields that tell its stream
_FIRST = re.compile(rb'\{(?:"learner":"([^"\\]*)",)?"kind":"([^"\\]*)"')
_SAMPLE = re.compile(rb'"sample":"([^"\\]*)"')
_END = b'"experience_end":true'

StreamKey = tuple[str, str, str, bool]
"""A stream of records: learner and sample ("" if there is none), kind, and whether the records are
those at ends of experiences: learner, kind, sample, end."""

_Line = tuple[int, Path, int, bytes, bytes]
# index in the whole log, file, line number in the file, line, line before it (b"" if not needed)


class EvenSample:
    """A sample of lines: the first, the last, and lines at equal distances in between.

    Parameters
    ----------
    most : int
        Lines kept at most. When there are more, every second one is dropped.

    Attributes
    ----------
    count : int
        Lines given so far.

    Examples
    --------
    >>> lines = EvenSample(most=4)
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
        """Add a line, or leave it out."""
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


def sample_log(
    run: Path, name: str = "metrics", most: int = MOST
) -> dict[StreamKey, tuple[int, list[dict[str, Any]]]]:
    """Return the number of records and an even sample of them, for each stream in a log.

    Records at ends of experiences are streams of their own, so that the sample does not lose them.
    Each record gets its index in the log under ``"#"``. In logs without kinds it also gets the
    record before it under ``"#before"``, since it describes the time between the two. Lines that
    are left out are recognized by their first bytes and not parsed; damage further on in them goes
    unnoticed.

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
    streams: dict[StreamKey, EvenSample] = {}
    place, before, plain = count(), b"", name != "metrics"
    for path, number, line in number_lines(run, name):
        key = ("", name, "", False) if plain else _key(line)
        if key is None:  # written by another program, or damaged
            record = parse_line(line, path, number)
            key = _key(orjson.dumps(_in_order(record))) or ("", "", "", False)
        stream = streams.get(key)
        if stream is None:
            stream = streams[key] = EvenSample(most)
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
    name = (learner or b"").decode()
    if kind not in (b"prequential", b"retention"):
        return name, kind.decode(), "", False
    end = line.find(_END, 0, _HEAD) >= 0
    if kind == b"prequential":
        return name, "prequential", "", end
    sample = _SAMPLE.search(line, 0, _HEAD)
    return name, "retention", "test" if sample is None else sample[1].decode(), end


def _in_order(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that tell its stream, in the order of our own logs."""
    first = [key for key in ("learner", "kind", "sample", "experience_end") if key in record]
    return {key: record[key] for key in first}
