"""One reservoir split into groups: which rows stay, and who makes room.

Every row gets a random key, uniform in [0, 1), and a group keeps the rows with the smallest keys it
has seen: a uniform sample of the group's whole stream, equal in law to Algorithm R (Vitter 1985;
keys as in Efraimidis and Spirakis 2006, with equal weights). Unlike Algorithm R's slots, keys stay
right when a group must shrink, and the rows that stay are a function of the rows seen and their
keys alone, so that it does not matter how the stream was cut into batches.

Room is dealt in rounds. In round k every group that has seen k rows gets its k-th slot, groups in
the order of a random priority, until the slots are gone: quotas differ by one at most where groups
have rows to give, and what a small group leaves over goes to the others (water-filling). A group's
quota only ever shrinks while `max_size` stays, so nothing is needed that was thrown away. A new row
in a full buffer therefore evicts from the group with the largest (count, priority): the greedy
balancing of class-balancing reservoir sampling (Chrysakis and Moens 2020, Algorithm 1).
"""

from __future__ import annotations

from bisect import insort
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.keys import KeyStream
from streamreplay.buffers.quotas import deal_slots
from streamreplay.buffers.storage import ColumnStore
from streamreplay.errors import CheckpointError
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import State

__all__ = ["KeyedReservoir"]

_FEW = 32  # batches up to this size are taken row by row: numpy's calls would cost more
_TABLE = 4096  # group ids up to here are looked up in an array
_PRIORITY_BITS = 20  # so few that count + priority is exact in float64


class KeyedReservoir:
    """The rows with the smallest keys of each group, in a `ColumnStore`.

    Parameters
    ----------
    store : ColumnStore
    seed : int or numpy.random.SeedSequence
    """

    def __init__(self, store: ColumnStore, seed: Seed) -> None:
        self.store = store
        self.seen = 0  # labelled rows offered
        self.stored = 0  # rows that were ever taken in
        self._size = 0  # as the store's, but ahead of it within an update
        self._keys = KeyStream(spawn_seed(seed, "keys"))
        self._lottery = int(spawn_seed(seed, "lottery").generate_state(1, np.uint64)[0])
        self._key = np.empty(store.max_size)  # float64[max_size], of the row in each slot
        self._group = np.empty(store.max_size, np.int64)  # [max_size], group number of each slot
        self.ids: list[int] = []  # group number -> group id, in order of first appearance
        self._number: dict[int, int] = {}  # group id -> group number
        self._table = np.empty(0, np.int64)  # group id -> group number or -1, for small ids
        self._seen: list[int] = []  # [groups]
        self._count: list[int] = []  # [groups]
        self._level = np.empty(0)  # float64[groups], count + priority
        self._threshold: list[float] = []  # [groups], keys from here on are not stored
        self._largest: list[list[tuple[float, int]]] = []  # see _peek_largest; derived

    @property
    def counts(self) -> dict[int, int]:
        """Rows stored, by group id, in order of first appearance."""
        return dict(zip(self.ids, self._count, strict=True))

    def slots_of(self, group_id: int) -> NDArray[np.int64]:
        """Return the slots of a group's rows, ascending: int64[count]."""
        return self._slots(self._number[group_id])

    def update(self, batch: Batch, group_ids: NDArray[np.int64] | None) -> None:
        """Offer labelled rows, each with its group id; None puts all of them into one group."""
        n = len(batch)
        self.seen += n
        if not self.store.max_size:
            return
        self.store.fit(batch)
        if group_ids is None:
            self._update_ungrouped(batch, n)
            return
        keys = self._keys.take(n)
        if n <= _FEW or not self._update_many(batch, keys, group_ids):
            self._update_each(batch, keys, group_ids)

    def resize(self, max_size: int) -> None:
        """Change the number of slots.

        Shrinking evicts the largest keys, hence uniformly, down to the new quotas. After growing, a
        group that has turned rows away takes those with keys below its largest: with k of n rows
        stored that is the k-th smallest of n keys, k / (n + 1) in mean, so the group grows as
        slowly as it must to stay a uniform sample of its whole stream.
        """
        if max_size > self.store.max_size:
            for group, threshold in enumerate(self._threshold):
                if threshold < np.inf:
                    self._threshold[group] = float(self._key[self._slots(group)].max())
        quotas = self._deal(np.array(self._count, np.int64), max_size)
        kept = [self._smallest(group, quota) for group, quota in enumerate(quotas.tolist())]
        keep = np.sort(np.concatenate([np.empty(0, np.int64), *kept]))
        self._key = _reallocate(self._key[keep], max_size)
        self._group = _reallocate(self._group[keep], max_size)
        self._set_counts(quotas)
        self._size = len(keep)
        self.store.keep(keep, max_size)
        self._largest = [[] for _ in self.ids]

    def state_dict(self) -> State:
        """Return the keys, groups and generators; the rows are the store's."""
        return {
            "seen": self.seen,
            "stored": self.stored,
            "keys": self._keys.state_dict(),
            "lottery": self._lottery,
            "key": self._key[: self._size],
            "group": self._group[: self._size],
            "group_ids": np.array(self.ids, np.int64),
            "group_seen": np.array(self._seen, np.int64),
            "group_level": self._level,
            "group_threshold": np.array(self._threshold),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state; the store's rows must have been loaded before."""
        size = self.store.size
        if len(state["key"]) != size or len(state["group"]) != size:
            raise CheckpointError(f"key: saved {len(state['key'])} keys for {size} rows")
        self.seen, self.stored, self._size = int(state["seen"]), int(state["stored"]), size
        self._keys.load_state_dict(state["keys"])
        self._lottery = int(state["lottery"])
        self._key = _reallocate(state["key"], self.store.max_size)
        self._group = _reallocate(state["group"], self.store.max_size)
        self.ids = state["group_ids"].tolist()
        self._number = {group_id: number for number, group_id in enumerate(self.ids)}
        self._table = np.empty(0, np.int64)
        for group_id, number in self._number.items():
            self._tabulate(group_id, number)
        self._seen = state["group_seen"].tolist()
        self._level = state["group_level"].copy()
        self._count = self._level.astype(np.int64).tolist()
        self._threshold = state["group_threshold"].tolist()
        self._largest = [[] for _ in self.ids]

    def _add_group(self, group_id: int) -> int:
        number = len(self.ids)
        self.ids.append(group_id)
        self._number[group_id] = number
        self._tabulate(group_id, number)
        self._seen.append(0)
        self._count.append(0)
        self._level = np.append(self._level, self._draw_priority(number, 0))
        self._threshold.append(np.inf)
        self._largest.append([])
        return number

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

    def _deal(self, available: NDArray[np.int64], max_size: int) -> NDArray[np.int64]:
        return deal_slots(available, self._level % 1.0, max_size)

    def _slots(self, group: int) -> NDArray[np.int64]:
        if len(self.ids) == 1:
            return np.arange(self._size)
        return np.flatnonzero(self._group[: self._size] == group)

    def _set_counts(self, counts: NDArray[np.int64]) -> None:
        self._count = counts.tolist()
        self._level = self._level % 1.0 + counts
        for group, count in enumerate(self._count):
            if not count:
                self._threshold[group] = np.inf  # it has lost all rows, and begins anew

    # -- one group -------------------------------------------------------------------------------

    def _update_ungrouped(self, batch: Batch, n: int) -> None:
        if not self.ids:
            self._add_group(0)
        self._seen[0] += n
        threshold = self._threshold[0]
        if threshold == np.inf and self._size + n <= self.store.max_size:
            self._append(batch, n)
            return
        rows, keys = self._keys.below(n, threshold)
        if self._worth_merging(len(rows)):
            groups = np.zeros(len(rows), np.int64)
            self._merge(batch, np.array(rows), np.array(keys), groups)
        elif rows:
            self._insert_each(batch, rows, keys, [0] * len(rows))

    def _append(self, batch: Batch, n: int) -> None:
        """Store all rows, while there is room."""
        end = self._size + n
        self._key[self._size : end] = self._keys.take(n)
        self._group[self._size : end] = 0
        self._count[0] += n
        self._level[0] += n
        self._size = end
        self.stored += n
        self.store.append(batch)

    # -- one row at a time -----------------------------------------------------------------------

    def _update_each(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> None:
        slots: list[int] = []
        rows: list[int] = []
        number, seen, threshold = self._number, self._seen, self._threshold
        max_size = self.store.max_size
        for row, (key, group_id) in enumerate(
            zip(keys.tolist(), group_ids.tolist())  # noqa: B905 - strict= costs a third here
        ):
            group = number.get(group_id, -1)
            if group < 0:
                group = self._add_group(group_id)
            seen[group] += 1
            if len(number) > max_size:
                self._draw_lots(group)
            if key < threshold[group]:
                slot = self._insert(key, group)
                if slot >= 0:
                    slots.append(slot)
                    rows.append(row)
        self.store.write_each(slots, batch, rows)

    def _insert_each(
        self, batch: Batch, rows: list[int], keys: list[float], groups: list[int]
    ) -> None:
        slots, placed = [], []
        for row, key, group in zip(rows, keys, groups):  # noqa: B905 - strict= costs a third here
            if key < self._threshold[group]:
                slot = self._insert(key, group)
                if slot >= 0:
                    slots.append(slot)
                    placed.append(row)
        self.store.write_each(slots, batch, placed)

    def _insert(self, key: float, group: int) -> int:
        """Find a slot for a row whose key is below its group's threshold; -1 if it has to go."""
        if self._size < self.store.max_size:
            slot = self._size
            self._size += 1
            self._group[slot] = group
            self._count[group] += 1
            self._level[group] += 1.0
        else:
            victim = group if len(self.ids) == 1 else self._choose_victim(group)
            if victim == group:
                slot = self._replace(key, group)
                if slot < 0:
                    return slot
            else:
                slot = self._move(victim, group)
        self._key[slot] = key
        self.stored += 1
        largest = self._largest[group]
        if largest and key > largest[0][0]:
            insort(largest, (key, slot))
        return slot

    def _choose_victim(self, group: int) -> int:
        """Return the group that gives a row so that another can have one more."""
        level = self._level
        level[group] += 1.0
        victim = int(level.argmax())
        level[group] -= 1.0
        return victim

    def _replace(self, key: float, group: int) -> int:
        """Evict a group's largest key for a smaller one; return its slot, -1 if the new goes."""
        if not self._count[group]:
            return -1  # more groups than slots, and this one is not among the owners
        largest = self._largest[group] or self._find_largest(group)
        if key > largest[-1][0]:
            self._threshold[group] = key
            return -1
        self._threshold[group], slot = largest.pop()
        return slot

    def _move(self, victim: int, group: int) -> int:
        """Evict a row of one group and give its slot to another; return it."""
        evicted, slot = (self._largest[victim] or self._find_largest(victim)).pop()
        for number, change in ((victim, -1), (group, 1)):
            self._count[number] += change
            self._level[number] += change
        # a group that has lost all rows begins anew
        self._threshold[victim] = evicted if self._count[victim] else np.inf
        self._group[slot] = group
        return slot

    def _find_largest(self, group: int) -> list[tuple[float, int]]:
        """Return the largest keys of a group and their slots, ascending.

        The largest sixteenth of a group's keys is kept sorted, and found anew when it is used up:
        constant cost a row, without a heap of Python objects over all of memory.
        """
        slots = self._slots(group)
        keys = self._key[slots]
        k = max(32, len(slots) // 16)
        if k < len(slots):
            top = np.argpartition(keys, len(slots) - k)[len(slots) - k :]
            slots, keys = slots[top], keys[top]
        largest = self._largest[group]
        largest.extend(sorted(zip(keys.tolist(), slots.tolist(), strict=True)))
        return largest

    def _draw_lots(self, group: int) -> None:
        """Share slots among more groups than there are slots; called for each row of a group.

        The groups with the lowest priorities own the slots. A group draws a new priority whenever
        the number of its rows has doubled, so that no group that goes on stays without a slot for
        ever, and ownership is the same lottery for all groups, whatever their ids. Where groups
        come one after the other, the one that is coming in has the better of it: it draws most.
        """
        doublings = self._seen[group].bit_length() - 1
        if doublings and self._seen[group] == 1 << doublings:
            self._level[group] = self._count[group] + self._draw_priority(group, doublings)

    # -- many rows at once -----------------------------------------------------------------------

    def _update_many(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> bool:
        """Offer many rows; False, and nothing done, where they must be taken one by one."""
        groups = self._numbers(group_ids)
        if groups is None:
            return False
        offered = np.bincount(groups, minlength=len(self.ids)).tolist()
        self._seen = [seen + new for seen, new in zip(self._seen, offered, strict=True)]
        rows = np.flatnonzero(keys < np.array(self._threshold)[groups])
        keys, groups = keys[rows], groups[rows]
        if self._worth_merging(len(rows)):
            self._merge(batch, rows, keys, groups)
        else:
            self._insert_each(batch, rows.tolist(), keys.tolist(), groups.tolist())
        return True

    def _worth_merging(self, candidates: int) -> bool:
        """Tell whether one pass over all stored keys costs less than one insertion each."""
        return candidates > _FEW + self._size // 64

    def _numbers(self, group_ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return each row's group number, new groups in order of appearance: int64[n].

        None if there would be more groups than slots.
        """
        table = self._table
        if group_ids.min() >= 0 and group_ids.max() < len(table):
            numbers = table[group_ids]
            if numbers.min() >= 0 and len(self.ids) <= self.store.max_size:
                return numbers
        found, first, inverse = np.unique(group_ids, return_index=True, return_inverse=True)
        new = [i for i in np.argsort(first).tolist() if int(found[i]) not in self._number]
        if len(self.ids) + len(new) > self.store.max_size:
            return None
        for i in new:
            self._add_group(int(found[i]))
        return np.array([self._number[i] for i in found.tolist()], np.int64)[inverse]

    def _merge(
        self,
        batch: Batch,
        rows: NDArray[np.int64],
        keys: NDArray[np.float64],
        groups: NDArray[np.int64],
    ) -> None:
        """Bring the buffer to where inserting rows one by one would: same rows, other slots."""
        offered = np.bincount(groups, minlength=len(self.ids))
        counts = np.array(self._count, np.int64)
        quotas = self._deal(counts + offered, self.store.max_size)
        new, free = [], [np.empty(0, np.int64)]
        for group in np.flatnonzero((offered > 0) | (quotas < counts)).tolist():
            mine = np.flatnonzero(groups == group)
            stays, leaves = self._cut(group, int(quotas[group]), keys[mine])
            new.append(mine[stays])
            free.append(leaves)
        taken = np.sort(np.concatenate(new))
        freed = np.sort(np.concatenate(free))
        added = len(taken) - len(freed)
        slots = np.concatenate([freed, np.arange(self._size, self._size + added)])
        self._key[slots], self._group[slots] = keys[taken], groups[taken]
        self._set_counts(quotas)
        self._size += added
        self.stored += len(taken)
        self.store.write(slots, batch, rows[taken])

    def _cut(
        self, group: int, quota: int, keys: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Choose a group's ``quota`` smallest keys among stored and offered ones.

        Returns which offered ones stay (positions in ``keys``) and which slots are freed.
        """
        self._largest[group] = []
        if self._count[group] + len(keys) <= quota:
            return np.arange(len(keys)), np.empty(0, np.int64)
        slots = self._slots(group)
        both = np.concatenate([self._key[slots], keys])
        order = np.argpartition(both, quota)
        self._threshold[group] = float(both[order[quota]])
        leaves = order[quota:]
        stays = np.ones(len(both), np.bool_)
        stays[leaves] = False
        return np.flatnonzero(stays[len(slots) :]), slots[leaves[leaves < len(slots)]]

    def _smallest(self, group: int, quota: int) -> NDArray[np.int64]:
        slots = self._slots(group)
        if len(slots) <= quota:
            return slots
        order = np.argpartition(self._key[slots], quota)
        self._threshold[group] = float(self._key[slots[order[quota]]])
        return slots[order[:quota]]


def _reallocate(values: NDArray[Any], max_size: int) -> NDArray[Any]:
    fresh = np.empty(max_size, values.dtype)
    fresh[: len(values)] = values
    return fresh
