"""An index of rows by group, and balanced draws from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamreplay.columns import Ints

__all__ = ["GroupIndex", "draw_balanced", "share_out"]

_SMALL = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class GroupIndex:
    """The rows of each group, in one array.

    Attributes
    ----------
    ids : int64[g]
        Group ids, ascending.
    counts : int64[g]
        Rows in each group, at least 1.
    starts : int64[g]
        Where a group's rows begin in `order`.
    order : int64[n]
        Row numbers, by group, ascending within a group.
    """

    ids: Ints
    counts: Ints
    starts: Ints
    order: Ints

    @classmethod
    def of(cls, values: Ints) -> GroupIndex:
        """Index rows by value.

        Examples
        --------
        >>> index = GroupIndex.of(np.array([7, 3, 7]))
        >>> index.ids.tolist(), index.counts.tolist(), index.rows(1).tolist()
        ([3, 7], [1, 2], [0, 2])
        """
        if len(values) and values.min() >= 0 and values.max() < _SMALL:
            # numpy sorts 16-bit integers by radix: several times faster, and this is a hot path
            codes = values.astype(np.uint16)
            order = np.argsort(codes, kind="stable")
            found = np.bincount(codes)
            ids = np.flatnonzero(found)
            counts = found[ids]
        else:
            order = np.argsort(values, kind="stable")
            ids, counts = np.unique(values, return_counts=True)
        return cls(ids, counts, np.cumsum(counts) - counts, order)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, position: int) -> Ints:
        """Return the rows of the group at a position in `ids`."""
        start = self.starts[position]
        return self.order[start : start + self.counts[position]]


def draw_balanced(
    rng: np.random.Generator, index: GroupIndex, k: int, turn: int, *, replacement: bool
) -> tuple[Ints, Ints, int]:
    """Draw k rows, the same number from each group.

    Parameters
    ----------
    rng : numpy.random.Generator
    index : GroupIndex
        At least one group.
    k : int
        Without replacement at most as many as there are rows.
    turn : int
        Odd draws dealt so far, see `share_out`.
    replacement : bool
        Whether a row may be drawn twice.

    Returns
    -------
    rows : int64[k]
        By group, in the order of the index.
    group : int64[k]
        The id of each row's group.
    odd : int
        The number by which ``turn`` advances.
    """
    shares, odd = share_out(index.counts, k, turn, replacement=replacement)
    which = np.repeat(np.arange(len(index)), shares)
    offsets = (rng.random(k) * index.counts[which]).astype(np.int64)
    places = index.starts[which] + offsets
    if not replacement and len(set(places.tolist())) < k:
        drawn = [
            rng.choice(int(n), int(share), replace=False)
            for n, share in zip(index.counts, shares, strict=True)
        ]
        places = index.starts[which] + np.concatenate(drawn)
    return index.order[places], index.ids[which], odd


def share_out(counts: Ints, k: int, turn: int, *, replacement: bool) -> tuple[Ints, int]:
    """Deal k draws to groups in equal shares, and the odd ones to groups in turn.

    Returns each group's share, int64[groups], and the number of odd draws: if ``turn`` advances by
    that, odd draws come to every group equally often.

    Without replacement a group gets at most as many as it has rows, and the others get the rest,
    again in equal shares; they sum to less than k only where all groups together have fewer
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
