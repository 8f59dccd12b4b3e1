"""Faults are data: an item in a test's list of inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

__all__ = ["Crash", "Stream", "until_the_crash"]


class Crash(Exception):  # noqa: N818 - a fault to put into a list, not an error of ours
    """Raised by the stream, once, where it stands in the list."""


class Stream:
    """The rest of a list: iterating again goes on where the last time was left."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        while self.taken < len(self.items):
            item = self.items[self.taken]
            self.taken += 1
            if isinstance(item, Crash):
                raise item
            yield item


def until_the_crash(records: Iterable[Any]) -> list[Any]:
    """Return what comes before it; there must be one."""
    came = []
    with pytest.raises(Crash):  # noqa: PT012 - what comes before it is what is asked for
        for record in records:
            came.append(record)  # noqa: PERF402 - it breaks off
    return came
