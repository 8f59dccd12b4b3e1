"""How many rows each group gives to a draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["share_out"]


def share_out(
    counts: NDArray[np.int64], k: int, turn: int, *, replacement: bool
) -> NDArray[np.int64]:
    """Deal k draws to groups, one at a time in turn; return each group's share: int64[groups].

    Without replacement a group gets at most as many as it has rows, and the others take over the
    rest; the shares then sum to less than k only where all groups together have fewer rows.

    >>> share_out(np.array([10, 4, 2]), 8, 0, replacement=True).tolist()
    [3, 3, 2]
    >>> share_out(np.array([10, 4, 2]), 8, 1, replacement=True).tolist()
    [2, 3, 3]
    >>> share_out(np.array([10, 4, 2]), 12, 0, replacement=False).tolist()
    [6, 4, 2]
    """
    groups = len(counts)
    shares = np.full(groups, k // groups, np.int64)
    places = (turn + np.arange(k % groups)) % groups
    shares[places] += 1
    if replacement:
        return shares
    missing = int(np.maximum(shares - counts, 0).sum())
    shares = np.minimum(shares, counts)
    while missing:
        room = np.flatnonzero(counts > shares)
        if not len(room):
            break
        each = max(1, missing // len(room))
        first = room[(turn + np.arange(len(room))) % len(room)][:missing]
        more = np.minimum(counts[first] - shares[first], each)
        shares[first] += more
        missing -= int(more.sum())
    return shares
