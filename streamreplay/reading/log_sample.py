"""An even sample of a log of any length, small enough for memory and large enough for charts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from streamreplay.log.checked import read_record
from streamreplay.log.lines import number_lines, parse_line

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

Item = TypeVar("Item")

_Line = tuple[int, Path, int, bytes, bytes]
# index in the whole log, file, line number in the file, line, line before it (b"" if not needed)


class EvenSample(Generic[Item]):
    """A sample of items at equal distances, from the first on, and the last one.

    Parameters
    ----------
    most : int
        One more than the items kept at most. When there are so many, every second one is dropped.
    size : callable
        Returns the bytes of an item, which are limited too.

    Attributes
    ----------
    count : int
        Items given so far.
    kept : list
        The sample without the last item, unless that is at such a distance.

    Examples
    --------
    >>> numbers = EvenSample(4)
    >>> for i in range(10):
    ...     numbers.add(i)
    >>> numbers.kept, list(numbers)
    ([0, 4, 8], [0, 4, 8, 9])
    """

    def __init__(self, most: int = MOST, size: Callable[[Item], int] = lambda _: 0) -> None:
        self.count = 0
        self.kept: list[Item] = []
        self._most, self._size = most, size
        self._stride = 1
        self._bytes = 0
        self._last: Item | None = None

    def __iter__(self) -> Iterator[Item]:
        yield from self.kept
        if self._last is not None and self._last is not self.kept[-1]:
            yield self._last

    def add(self, item: Item) -> None:
        """Add an item, or leave it out."""
        self._last = item
        if self.count % self._stride == 0:
            self.kept.append(item)
            self._bytes += self._size(item)
            while self._too_much():
                self.kept = self.kept[::2]
                self._stride *= 2
                self._bytes = sum(map(self._size, self.kept))
        self.count += 1

    def _too_much(self) -> bool:
        kept = len(self.kept)
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
    streams: dict[StreamKey, EvenSample[_Line]] = {}
    place, before, plain = count(), b"", name != "metrics"
    for path, number, line in number_lines(run, name):
        key = ("", name, "", False) if plain else _key(line)
        if key is None:  # written by another program, or damaged
            record = parse_line(line, path, number)
            key = _key(orjson.dumps(_in_order(record))) or ("", "", "", False)
        stream = streams.get(key)
        if stream is None:
            stream = streams[key] = EvenSample(most, lambda line: len(line[3]) + len(line[4]))
        stream.add((next(place), path, number, line, before))
        before = line if plain else b""
    return {
        key: (stream.count, [_parse(line, name) for line in stream])
        for key, stream in streams.items()
    }


def _parse(kept: _Line, name: str) -> dict[str, Any]:
    at, path, number, line, before = kept
    record = {**read_record(line, path, number, name), "#": at}
    return {**record, "#before": read_record(before, path, number - 1, name)} if before else record


def _key(line: bytes) -> StreamKey | None:
    found = _FIRST.match(line)
    if found is None:
        return None
    learner, kind = found.groups()
    name = (learner or b"").decode(errors="replace")
    if kind not in (b"prequential", b"retention"):
        return name, kind.decode(errors="replace"), "", False
    end = line.find(_END, 0, _HEAD) >= 0
    if kind == b"prequential":
        return name, "prequential", "", end
    sample = _SAMPLE.search(line, 0, _HEAD)
    return name, "retention", "test" if sample is None else sample[1].decode(errors="replace"), end


def _in_order(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record that tell its stream, in the order of our own logs."""
    first = [key for key in ("learner", "kind", "sample", "experience_end") if key in record]
    return {key: record[key] for key in first}
