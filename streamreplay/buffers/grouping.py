"""The groups of a reservoir: who they are, how many rows each has, and who gives way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.buffers.quotas import deal_slots
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import State

__all__ = ["Groups"]

_TABLE = 4096  # group ids up to here are looked up in an array
_PRIORITY_BITS = 20  # so few that count + priority is exact in float64


class Groups:
    """Groups by number, in order of first appearance.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
        Of the lottery that ranks groups of equal size.

    Attributes
    ----------
    ids : list of int [groups]
        The group ids.
    seen, count : list of int [groups]
        Rows offered, rows stored.
    threshold : list of float [groups]
        Keys from here on are not stored; inf until the group has had to turn a row away.
    """

    def __init__(self, seed: Seed) -> None:
        self.ids: list[int] = []
        self.seen: list[int] = []
        self.count: list[int] = []
        self.threshold: list[float] = []
        self.number: dict[int, int] = {}
        """Group id -> group number."""
        self._table = np.empty(0, np.int64)  # the same for small ids, -1 where there is none
        self._level = np.empty(0)  # float64[groups], count + priority
        self._lottery = int(spawn_seed(seed, "lottery").generate_state(1, np.uint64)[0])

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, group_id: int) -> int:
        """Add a group; return its number."""
        number = len(self.ids)
        self.ids.append(group_id)
        self.number[group_id] = number
        self._tabulate(group_id, number)
        self.seen.append(0)
        self.count.append(0)
        self.threshold.append(np.inf)
        self._level = np.append(self._level, self._draw_priority(number, 0))
        return number

    def number_all(self, ids: NDArray[np.int64], most: int) -> NDArray[np.int64] | None:
        """Return each row's group number, adding groups in order of appearance: int64[n].

        None, and nothing added, if there would be more than ``most`` groups.
        """
        if len(self.ids) <= most and ids.min() >= 0 and ids.max() < len(self._table):
            numbers: NDArray[np.int64] = self._table[ids]
            if numbers.min() >= 0:
                return numbers
        found, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        new = [i for i in np.argsort(first).tolist() if int(found[i]) not in self.number]
        if len(self.ids) + len(new) > most:
            return None
        for i in new:
            self.add(int(found[i]))
        return np.array([self.number[i] for i in found.tolist()], np.int64)[inverse]

    def change(self, group: int, rows: int) -> None:
        """Count rows that a group has gained, or lost."""
        self.count[group] += rows
        self._level[group] += rows

    def set_counts(self, counts: NDArray[np.int64]) -> None:
        """Set how many rows each group has: int64[groups]."""
        self.count = counts.tolist()
        self._level = self._level % 1.0 + counts
        for group, count in enumerate(self.count):
            if not count:
                self.threshold[group] = np.inf  # it has lost all rows, and begins anew

    def deal(self, available: NDArray[np.int64], max_size: int) -> NDArray[np.int64]:
        """Deal slots to groups that have so many rows to give; return quotas: int64[groups]."""
        return deal_slots(available, self._level % 1.0, max_size)

    def choose_victim(self, group: int) -> int:
        """Return the group that gives a row so that another can have one more."""
        if len(self.ids) == 1:
            return group
        level = self._level
        level[group] += 1.0
        victim = int(level.argmax())
        level[group] -= 1.0
        return victim

    def draw_lots(self, group: int) -> None:
        """Share slots among more groups than there are slots; called for each row of a group.

        The groups with the lowest priorities own the slots. A group draws a new priority whenever
        the number of its rows has doubled, so that no group that goes on stays without a slot for
        ever, and ownership is the same lottery for all groups, whatever their ids. Where groups
        come one after the other, the one that is coming in has the better of it: it draws most.
        """
        doublings = self.seen[group].bit_length() - 1
        if doublings and self.seen[group] == 1 << doublings:
            self._level[group] = self.count[group] + self._draw_priority(group, doublings)

    def state_dict(self) -> State:
        """Return everything but what follows from it."""
        return {
            "lottery": self._lottery,
            "ids": np.array(self.ids, np.int64),
            "seen": np.array(self.seen, np.int64),
            "level": self._level,
            "threshold": np.array(self.threshold),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state."""
        self._lottery = int(state["lottery"])
        self.ids = state["ids"].tolist()
        self.number = {group_id: number for number, group_id in enumerate(self.ids)}
        self._table = np.empty(0, np.int64)
        for group_id, number in self.number.items():
            self._tabulate(group_id, number)
        self.seen = state["seen"].tolist()
        self._level = state["level"].copy()
        self.count = self._level.astype(np.int64).tolist()
        self.threshold = state["threshold"].tolist()

    def _tabulate(self, group_id: int, number: int) -> None:
        if 0 <= group_id < _TABLE:
            new = group_id + 1 - len(self._table)
            if new > 0:
                self._table = np.append(self._table, np.full(new, -1))
            self._table[group_id] = number

    def _draw_priority(self, group: int, draw: int) -> float:
        """Return a group's priority: a function of its number and how often it was drawn anew."""
        bits = np.random.SeedSequence((self._lottery, group, draw)).generate_state(1)[0]
        return float(bits >> (32 - _PRIORITY_BITS)) / (1 << _PRIORITY_BITS)
