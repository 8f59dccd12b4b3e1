"""Merging two reservoirs that were filled from different rows."""

from __future__ import annotations

from math import inf

import numpy as np

from streamreplay.buffers.sampling.grouped_slots import SLOT_COLUMNS
from streamreplay.buffers.sampling.keyed_reservoir import KeyedReservoir
from streamreplay.columns import Floats, Ints


def merge_reservoirs(mine: KeyedReservoir, other: KeyedReservoir) -> None:
    """Add the rows of another reservoir, with the same rule for keys but keys of its own.

    A group of both keeps the smallest keys of the two, up to the lower threshold: what one
    reservoir would have kept of both streams. If keys depend on row numbers, both streams end at
    the same number.
    """
    if not other.store.extra:  # it has not seen a row
        return
    extra = {name: column[: other.size] for name, column in other.store.extra.items()}
    rest = {name: extra[name] for name in extra.keys() - SLOT_COLUMNS.keys()}
    mine.fit(other.store.batch, rest)  # first of all, as it is what can fail
    shift = mine.law.shift(mine.clock.rows - other.clock.rows)
    numbers = _join_groups(mine, other, shift)
    mine.seen += other.seen
    mine.clock.latest = max(mine.clock.latest, other.clock.latest)
    limits = np.array(mine.groups.threshold)
    _drop_above(mine, limits)
    keys, groups = other.key[: other.size] + shift, numbers[other.group[: other.size]]
    rows = np.flatnonzero(keys <= limits[groups])  # a grown group's largest key is its limit
    mine.keep_smallest(other.store.batch, rows, keys[rows], groups[rows])
    for group, count in enumerate(mine.groups.count):
        if not count and mine.groups.threshold[group] < inf:
            mine.groups.start_again(group, mine.seen)


def _join_groups(mine: KeyedReservoir, other: KeyedReservoir, shift: float) -> Ints:
    """Merge the statistics of all groups; return the number that each of the other's has here."""
    ours, theirs = mine.groups, other.groups
    numbers = np.array([ours.number.get(each, -1) for each in theirs.ids], np.int64)
    for number, group_id in enumerate(theirs.ids):
        if numbers[number] < 0:
            numbers[number] = ours.add(group_id, mine.seen + 1)
        ours.merge(int(numbers[number]), theirs, number, mine.seen, shift)
    return numbers


def _drop_above(mine: KeyedReservoir, limits: Floats) -> None:
    """Delete rows with keys above their group's limit, without starting any group again."""
    groups = mine.groups
    since, sound = groups.since.copy(), groups.sound.copy()
    mine.remove(np.flatnonzero(mine.key[: mine.size] > limits[mine.group[: mine.size]]))
    groups.threshold, groups.since, groups.sound = limits.tolist(), since, sound
