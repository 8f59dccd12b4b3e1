"""Dealing: the group of each row of each batch, as a closed form of the batch's number.

Rows are dealt like cards: one from each group, round after round, and every so many make a batch.
So within a batch no group gives more than one row more than another, the odd ones go round, a group
that has ended leaves its share to the others, and with more groups than rows in a batch each group
still has its turn within ``ceil(groups / rows)`` batches. Any batch can be computed without the
ones before it, which is what makes going on in mid-epoch exact, and free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from streamreplay.columns import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """The rows dealt to some batches, in no particular order.

    Attributes
    ----------
    place : int64[k]
        Which of the batches asked for a row is in.
    group : int64[k]
    turn : int64[k]
        How many rows its group had given before it.
    """

    place: Ints
    group: Ints
    turn: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Deal:
    """Groups dealt round by round, in stretches of rounds that the same groups take part in.

    Attributes
    ----------
    groups : int64[g]
        Numbers of the groups, largest first: those still dealt are then neighbours.
    per_batch : int
        Rows that a batch gets.
    length : int or None
        Rows in all; None without end.
    starts : int64[s]
        The first row of each stretch.
    rounds : int64[s]
        The round it begins with.
    firsts, widths : int64[s]
        ``groups[first : first + width]`` take part in it.
    """

    groups: Ints
    per_batch: int
    length: int | None
    starts: Ints
    rounds: Ints
    firsts: Ints
    widths: Ints

    @property
    def batches(self) -> int | None:
        """Number of batches until everything is dealt; None if it never ends."""
        return None if self.length is None else -(-self.length // self.per_batch)

    def rows(self, numbers: Ints) -> Dealt:
        """Return the rows of the batches with these numbers, int64[m]."""
        k = (numbers[:, None] * self.per_batch + np.arange(self.per_batch)).ravel()
        place = np.repeat(np.arange(len(numbers)), self.per_batch)
        if self.length is not None and len(k) and k.max() >= self.length:
            there = k < self.length
            k, place = k[there], place[there]
        if len(self.starts) == 1:
            turn, which = np.divmod(k, self.widths[0])
            return Dealt(place, self.groups[which], turn)
        stretch = np.searchsorted(self.starts, k, side="right") - 1
        turn, which = np.divmod(k - self.starts[stretch], self.widths[stretch])
        return Dealt(place, self.groups[self.firsts[stretch] + which], self.rounds[stretch] + turn)


def deal_once(groups: ArrayLike, sizes: ArrayLike, per_batch: int) -> Deal:
    """Deal every row once; the share of a group that has ended goes to the others.

    Examples
    --------
    >>> deal = deal_once([0, 1, 2], [10, 4, 2], 8)
    >>> [np.bincount(deal.rows(np.array([b])).group, minlength=3).tolist() for b in (0, 1)]
    [[3, 3, 2], [7, 1, 0]]
    """
    order, sizes = _largest_first(groups, sizes)
    ends = np.unique(sizes)  # rounds after which some group has ended
    rounds = np.concatenate([[0], ends[:-1]])
    widths = np.searchsorted(-sizes, -rounds, side="left")  # groups with more rows than that
    starts = np.cumsum((ends - rounds) * widths) - (ends - rounds) * widths
    return Deal(order, per_batch, int(sizes.sum()), starts, rounds, np.zeros_like(starts), widths)


def deal_cycled(groups: ArrayLike, sizes: ArrayLike, per_batch: int) -> Deal:
    """Deal until the largest group was dealt once; the others start over as often as needed.

    The last batch is filled up from the groups smaller than the largest. Where there is none (all
    are of one size) it is short: no row of a largest group is dealt twice.

    Examples
    --------
    >>> deal = deal_cycled([0, 1, 2], [10, 4, 2], 8)
    >>> [np.bincount(deal.rows(np.array([b])).group).tolist() for b in range(4)]
    [[3, 3, 2], [3, 2, 3], [2, 3, 3], [2, 3, 3]]
    """
    order, sizes = _largest_first(groups, sizes)
    n, largest = len(order), int(sizes[0])
    length = n * largest
    smaller = int(np.count_nonzero(sizes < largest))
    missing = -length % per_batch if smaller else 0
    stretches = np.array([[0, 0, 0, n], [length, largest, n - smaller, smaller]], np.int64)
    starts, rounds, firsts, widths = stretches[: 2 if missing else 1].T
    return Deal(order, per_batch, length + missing, starts, rounds, firsts, widths)


def deal_endless(groups: ArrayLike, sizes: ArrayLike, per_batch: int) -> Deal:
    """Deal for ever; every group starts over as often as needed."""
    order, _ = _largest_first(groups, sizes)
    zero = np.zeros(1, np.int64)
    return Deal(order, per_batch, None, zero, zero, zero, np.array([len(order)]))


def deal_spread(groups: ArrayLike, sizes: ArrayLike, per_batch: int) -> list[Deal]:
    """Deal for ever, but never more rows of a group to one batch than the group has.

    Groups too small for their share give all they have to every batch, and the others take over
    the rest; a batch gets fewer than ``per_batch`` rows only if there are fewer.

    Examples
    --------
    >>> deals = deal_spread([0, 1, 2], [20, 1, 9], 8)
    >>> [(deal.groups.tolist(), deal.per_batch) for deal in deals]
    [([1], 1), ([0, 2], 7)]
    """
    order, sizes = _largest_first(groups, sizes)
    deals = []
    for g in range(len(order) - 1, -1, -1):  # the smallest group that is left
        if sizes[g] * (g + 1) > per_batch:
            deals.append(deal_endless(order[: g + 1], sizes[: g + 1], per_batch))
            break
        deals.append(deal_endless(order[g : g + 1], sizes[g : g + 1], int(sizes[g])))
        per_batch -= int(sizes[g])
    return deals


def _largest_first(groups: ArrayLike, sizes: ArrayLike) -> tuple[Ints, Ints]:
    """Return the groups that have rows, and how many, in a stable order."""
    numbers, counts = np.asarray(groups, np.int64), np.asarray(sizes, np.int64)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    return numbers[order], counts[order]
