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
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.grouping import Groups
from streamreplay.buffers.keys import KeyStream
from streamreplay.buffers.storage import ColumnStore
from streamreplay.errors import CheckpointError
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.stage import State

__all__ = ["KeyedReservoir"]

_FEW = 32  # batches up to this size are taken row by row: numpy's calls would cost more


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
        self.groups = Groups(seed)
        self._size = 0  # as the store's, but ahead of it within an update
        self._keys = KeyStream(spawn_seed(seed, "keys"))
        self._key = np.empty(store.max_size)  # float64[max_size], of the row in each slot
        self._group = np.empty(store.max_size, np.int64)  # [max_size], group number of each slot
        self._largest: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)  # derived

    @property
    def acceptance(self) -> float | None:
        """Probability that a row is taken in, whose group is as likely as so far; None at first."""
        if not self.seen:
            return None
        seen = np.array(self.groups.seen, np.float64)
        chances = np.minimum(np.array(self.groups.threshold), 1.0)
        return float(seen @ chances / seen.sum()) if len(seen) and self.store.max_size else 0.0

    def slots_of(self, group: int) -> NDArray[np.int64]:
        """Return the slots of a group's rows by its number, ascending: int64[count]."""
        if len(self.groups) == 1:
            return np.arange(self._size)
        return np.flatnonzero(self._group[: self._size] == group)

    def update(self, batch: Batch, group_ids: NDArray[np.int64] | None) -> None:
        """Offer labelled rows, each with its group id; None puts all of them into one group."""
        n = len(batch)
        self.store.fit(batch)
        self.seen += n
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
            for group, threshold in enumerate(self.groups.threshold):
                if threshold < np.inf:
                    self.groups.threshold[group] = float(self._key[self.slots_of(group)].max())
        quotas = self.groups.deal(np.array(self.groups.count, np.int64), max_size)
        kept = [self._smallest(group, quota) for group, quota in enumerate(quotas.tolist())]
        keep = np.sort(np.concatenate([np.empty(0, np.int64), *kept]))
        self._key = _reallocate(self._key[keep], max_size)
        self._group = _reallocate(self._group[keep], max_size)
        self.groups.set_counts(quotas)
        self._size = len(keep)
        self.store.keep(keep, max_size)
        self._largest.clear()

    def state_dict(self) -> State:
        """Return the keys, the groups and the key stream; the rows are the store's."""
        return {
            "seen": self.seen,
            "keys": self._keys.state_dict(),
            "groups": self.groups.state_dict(),
            "key": self._key[: self._size],
            "group": self._group[: self._size],
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state; the store's rows must have been loaded before."""
        size = self.store.size
        if len(state["key"]) != size or len(state["group"]) != size:
            raise CheckpointError(f"key: saved {len(state['key'])} keys for {size} rows")
        self.seen, self._size = int(state["seen"]), size
        self._keys.load_state_dict(state["keys"])
        self.groups.load_state_dict(state["groups"])
        self._key = _reallocate(state["key"], self.store.max_size)
        self._group = _reallocate(state["group"], self.store.max_size)
        self._largest.clear()

    # -- one group -------------------------------------------------------------------------------

    def _update_ungrouped(self, batch: Batch, n: int) -> None:
        if not len(self.groups):
            self.groups.add(0)
        self.groups.seen[0] += n
        if not self.store.max_size:
            self._keys.take(n)
            return
        threshold = self.groups.threshold[0]
        if threshold == np.inf and self._size + n <= self.store.max_size:
            self._append(batch, n)
            return
        rows, keys = self._keys.below(n, threshold)
        if self._worth_merging(len(rows)):
            groups = np.zeros(len(rows), np.int64)
            self._merge(batch, np.array(rows), np.array(keys), groups)
        elif rows and self._size == self.store.max_size:
            self._replace_each(batch, rows, keys)
        elif rows:
            self._insert_each(batch, rows, keys, [0] * len(rows))

    def _replace_each(self, batch: Batch, rows: list[int], keys: list[float]) -> None:
        """Do as `_insert_each` does for one group and a full buffer, in less than half the time."""
        threshold, largest = self.groups.threshold[0], self._largest[0]
        slots, placed = [], []
        for row, key in zip(rows, keys):  # noqa: B905 - strict= costs a third here
            if key >= threshold:
                continue
            if not largest:
                self._find_largest(0)
            if key > largest[-1][0]:
                threshold = key
                continue
            threshold, slot = largest.pop()
            self._key[slot] = key
            if largest and key > largest[0][0]:
                insort(largest, (key, slot))
            slots.append(slot)
            placed.append(row)
        self.groups.threshold[0] = threshold
        self.store.write_each(slots, batch, placed)

    def _append(self, batch: Batch, n: int) -> None:
        """Store all rows, while there is room."""
        end = self._size + n
        self._key[self._size : end] = self._keys.take(n)
        self._group[self._size : end] = 0
        self.groups.change(0, n)
        self._size = end
        self.store.append(batch)

    # -- one row at a time -----------------------------------------------------------------------

    def _update_each(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> None:
        slots: list[int] = []
        rows: list[int] = []
        number, seen, threshold = self.groups.number, self.groups.seen, self.groups.threshold
        max_size = self.store.max_size
        for row, (key, group_id) in enumerate(
            zip(keys.tolist(), group_ids.tolist())  # noqa: B905 - strict= costs a third here
        ):
            group = number.get(group_id, -1)
            if group < 0:
                group = self.groups.add(group_id)
            seen[group] += 1
            if len(number) > max_size:
                self.groups.draw_lots(group)
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
            if key < self.groups.threshold[group]:
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
            self.groups.change(group, 1)
        else:
            victim = self.groups.choose_victim(group)
            if victim == group:
                slot = self._replace(key, group)
                if slot < 0:
                    return slot
            else:
                slot = self._move(victim, group)
        self._key[slot] = key
        largest = self._largest[group]
        if largest and key > largest[0][0]:
            insort(largest, (key, slot))
        return slot

    def _replace(self, key: float, group: int) -> int:
        """Evict a group's largest key for a smaller one; return its slot, -1 if the new goes."""
        if not self.groups.count[group]:
            return -1  # more groups than slots, and this one is not among the owners
        largest = self._largest[group] or self._find_largest(group)
        if key > largest[-1][0]:
            self.groups.threshold[group] = key
            return -1
        self.groups.threshold[group], slot = largest.pop()
        return slot

    def _move(self, victim: int, group: int) -> int:
        """Evict a row of one group and give its slot to another; return it."""
        evicted, slot = (self._largest[victim] or self._find_largest(victim)).pop()
        self.groups.change(victim, -1)
        self.groups.change(group, 1)
        # a group that has lost all rows begins anew
        self.groups.threshold[victim] = evicted if self.groups.count[victim] else np.inf
        self._group[slot] = group
        return slot

    def _find_largest(self, group: int) -> list[tuple[float, int]]:
        """Return the largest keys of a group and their slots, ascending.

        The largest sixteenth of a group's keys is kept sorted, and found anew when it is used up:
        constant cost a row, without a heap of Python objects over all of memory.
        """
        slots = self.slots_of(group)
        keys = self._key[slots]
        k = max(32, len(slots) // 16)
        if k < len(slots):
            top = np.argpartition(keys, len(slots) - k)[len(slots) - k :]
            slots, keys = slots[top], keys[top]
        largest = self._largest[group]
        largest.extend(sorted(zip(keys.tolist(), slots.tolist(), strict=True)))
        return largest

    # -- many rows at once -----------------------------------------------------------------------

    def _update_many(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> bool:
        """Offer many rows; False, and nothing done, where they must be taken one by one."""
        groups = self.groups.number_all(group_ids, self.store.max_size)
        if groups is None:
            return False
        offered = np.bincount(groups, minlength=len(self.groups)).tolist()
        self.groups.seen = [a + b for a, b in zip(self.groups.seen, offered, strict=True)]
        rows = np.flatnonzero(keys < np.array(self.groups.threshold)[groups])
        keys, groups = keys[rows], groups[rows]
        if self._worth_merging(len(rows)):
            self._merge(batch, rows, keys, groups)
        else:
            self._insert_each(batch, rows.tolist(), keys.tolist(), groups.tolist())
        return True

    def _worth_merging(self, candidates: int) -> bool:
        """Tell whether one pass over all stored keys costs less than one insertion each."""
        return candidates > _FEW + self._size // 64

    def _merge(
        self,
        batch: Batch,
        rows: NDArray[np.int64],
        keys: NDArray[np.float64],
        groups: NDArray[np.int64],
    ) -> None:
        """Bring the buffer to where inserting rows one by one would: same rows, other slots."""
        offered = np.bincount(groups, minlength=len(self.groups))
        counts = np.array(self.groups.count, np.int64)
        quotas = self.groups.deal(counts + offered, self.store.max_size)
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
        self.groups.set_counts(quotas)
        self._size += added
        self.store.write(slots, batch, rows[taken])

    def _cut(
        self, group: int, quota: int, keys: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Choose a group's ``quota`` smallest keys among stored and offered ones.

        Returns which offered ones stay (positions in ``keys``) and which slots are freed.
        """
        self._largest[group] = []
        if self.groups.count[group] + len(keys) <= quota:
            return np.arange(len(keys)), np.empty(0, np.int64)
        slots = self.slots_of(group)
        both = np.concatenate([self._key[slots], keys])
        order = np.argpartition(both, quota)
        self.groups.threshold[group] = float(both[order[quota]])
        leaves = order[quota:]
        stays = np.ones(len(both), np.bool_)
        stays[leaves] = False
        return np.flatnonzero(stays[len(slots) :]), slots[leaves[leaves < len(slots)]]

    def _smallest(self, group: int, quota: int) -> NDArray[np.int64]:
        slots = self.slots_of(group)
        if len(slots) <= quota:
            return slots
        order = np.argpartition(self._key[slots], quota)
        self.groups.threshold[group] = float(self._key[slots[order[quota]]])
        return slots[order[:quota]]


def _reallocate(values: NDArray[Any], max_size: int) -> NDArray[Any]:
    fresh = np.empty(max_size, values.dtype)
    fresh[: len(values)] = values
    return fresh
