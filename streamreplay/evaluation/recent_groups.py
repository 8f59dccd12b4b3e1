"""Of a stream's tasks and experiences, which can be without end, those that had rows last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["KEPT", "MOST", "drop_oldest", "touch"]

MOST = 200
"""Tasks, and experiences, that are scored by themselves: a log line has to have an end."""

KEPT = 10_000
"""Experiences that later ones are compared with."""

T = TypeVar("T")


def touch(kept: dict[int, T], group: int, make: Callable[[], T]) -> T:
    """Return what is kept of a group that has rows now: of a new one nothing yet.

    The mapping is in order of the groups' last rows, and keeps the last `MOST`.

    Examples
    --------
    >>> kept = {group: [group] for group in range(MOST)}
    >>> touch(kept, 0, list), touch(kept, MOST, list)
    ([0], [])
    >>> min(kept), list(kept)[-2:]
    (0, [0, 200])
    """
    found = kept.pop(group) if group in kept else make()
    kept[group] = found
    drop_oldest(kept)
    return found


def drop_oldest(kept: dict[int, T], most: int = MOST) -> list[T]:
    """Take away what came first, until so many are left, and return it.

    Examples
    --------
    >>> kept = {3: "a", 1: "b", 2: "c"}
    >>> drop_oldest(kept, 2), kept
    (['a'], {1: 'b', 2: 'c'})
    """
    return [kept.pop(next(iter(kept))) for _ in range(len(kept) - most)]
