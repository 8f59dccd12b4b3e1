"""How many rows each group gives to a draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["share_out"]


def share_out(
    counts: NDArray[np.int64], k: int, turn: int, *, replacement: bool
) -> tuple[NDArray[np.int64], int]:
    """Deal k draws to groups in equal shares, and the odd ones to groups in turn.

    Returns each group's share, int64[groups], and how many odd ones there were: moved on by that, a
    turn comes to every group equally often.

    Without replacement a group gets at most as many as it has rows, and the others take over the
    rest, again in equal shares; they sum to less than k only where all groups together have fewer
    rows.

    >>> share_out(np.array([10, 4, 2]), 8, 0, replacement=True)
    (array([3, 3, 2]), 2)
    >>> share_out(np.array([10, 4, 2]), 8, 2, replacement=True)
    (array([3, 2, 3]), 2)
    >>> share_out(np.array([10, 4, 2]), 12, 0, replacement=False)
    (array([6, 4, 2]), 0)
    """
    groups = len(counts)
    each, left = divmod(k, groups)
    if replacement or counts.min() > each:
        shares = np.full(groups, each, np.int64)
        shares[(turn + np.arange(left)) % groups] += 1
        return shares, left
    shares = np.zeros(groups, np.int64)
    room, left = np.flatnonzero(counts), k
    while len(room) and left >= len(room):
        each = min(left // len(room), int((counts[room] - shares[room]).min()))
        shares[room] += each
        left -= each * len(room)
        room = room[counts[room] > shares[room]]
    if not len(room):
        return shares, 0
    shares[room[(turn + np.arange(left)) % len(room)]] += 1
    return shares, left
