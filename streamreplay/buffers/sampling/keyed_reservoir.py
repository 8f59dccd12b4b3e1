"""Reservoir sampling by random keys: which rows stay, and which group gives up a row.

Every row gets a random key, and a group keeps the rows with the smallest keys it has seen. Uniform
keys make that a uniform sample of the group's whole stream, distributed as in Algorithm R (Vitter
1985; keys as in Efraimidis and Spirakis 2006, with equal weights); other keys make it another
sample (see `keys.py`). Unlike the slots of Algorithm R, keys stay right when a group must shrink,
and the rows that stay are a function of the rows seen and their keys alone, so it does not matter
how the stream was cut into batches.

A new row in a full buffer evicts from the group with the largest (count, priority): the greedy
balancing of class-balancing reservoir sampling (Chrysakis and Moens 2020, Algorithm 1).
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from math import inf
from typing import final

import numpy as np

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.grouped_slots import CyclicWindow, GroupedSlots
from streamreplay.buffers.sampling.groups import BufferGroups
from streamreplay.buffers.sampling.keys import KeyLaw, KeyStream, UniformKeys, WindowKeys
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.columns import Floats, Ints
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.state import State, load_state, save_state

_FEW = 32  # batches up to this size are taken row by row: numpy's calls would cost more
_MOST = 1 << 15  # largest keys found at most
_SAMPLED = 1 << 16  # keys compared to estimate where the largest begin


@final
class KeyedReservoir(GroupedSlots):
    """The rows with the smallest keys of each group.

    Parameters
    ----------
    store : ColumnStore
    groups : BufferGroups
    seed : int or numpy.random.SeedSequence
    law : KeyLaw
        How keys are made.
    """

    def __init__(self, store: ColumnStore, groups: BufferGroups, seed: Seed, law: KeyLaw) -> None:
        super().__init__(store, groups)
        self.law = law
        self._uniform = isinstance(law, UniformKeys)
        self._keys = KeyStream(spawn_seed(seed, "keys"))
        self._largest: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)  # derived
        self._window: CyclicWindow | None = None
        # rows that expire one by one do not stay in the order of their arrival
        if isinstance(law, WindowKeys) and not store.keeps("stamp"):
            self._window = CyclicWindow(self)

    @property
    def acceptance(self) -> float | None:
        """Chance that the next row is stored, if groups go on as so far; None if unknown."""
        if not self.seen:
            return None
        if not self.store.max_size:
            return 0.0
        now = self.clock.now(by_time=self.law.by_time)
        chances = [self.law.acceptance(each, now) for each in self.groups.threshold]
        return self.groups.mean_chance(chances, full=self.size == self.store.max_size)

    def resize(self, max_size: int, *, refill: bool = False) -> None:
        """Change the number of slots.

        Shrinking evicts the largest keys, hence uniformly, down to the new quotas. After growing, a
        group that has turned rows away accepts keys below its largest: with k of n rows stored that
        is the k-th smallest of n keys, k / (n + 1) on average, so the group grows as slowly as it
        must to stay a uniform sample of its whole stream. With ``refill`` it accepts every row
        until the buffer is full.
        """
        if max_size > self.store.max_size:
            for group in range(len(self.groups)):
                self._tighten(group)
        super().resize(max_size)
        if refill and self.size < max_size:
            for group in range(len(self.groups)):
                self.groups.loosen(group, inf, self.seen)

    def delete(self, slots: Ints) -> None:
        """Delete rows. As after growing, new rows are then no likelier to stay than those left."""
        if len(slots):
            full = self.size == self.store.max_size
            for group, count in enumerate(self.groups.count):
                if full or count == self.groups.cap[group]:
                    self._tighten(group)
            self.remove(slots)

    def takes_all(self, n: int) -> bool:
        """Return whether the next n rows will all be stored, whatever their groups and keys."""
        groups = self.groups
        return (
            self.size + n <= self.store.max_size
            and not groups.capped
            and min(groups.threshold, default=inf) == inf
        )

    def loosen(self) -> None:
        """Accept about twice as many rows as before, since much of the room is empty."""
        for group, threshold in enumerate(self.groups.threshold):
            self.groups.loosen(group, self.law.loosen(threshold), self.seen)

    def state_dict(self) -> State:
        """Return the key stream, the law and the groups; keys and rows are the store's."""
        return {
            **super().state_dict(),
            "law": save_state(self.law),
            "keys": self._keys.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the store's rows must have been loaded before."""
        super().load_state_dict(state)
        load_state(self.law, state["law"])
        self._keys.load_state_dict(state["keys"])

    def _forget_derived(self) -> None:
        self._largest.clear()
        if self._window is not None:
            self._window.forget()

    def _offer(self, batch: Batch, group_ids: Ints | None) -> None:
        n = len(batch)
        if group_ids is None and self._uniform:
            self._update_ungrouped(batch, n)
            return
        room = self.store.max_size - self.size
        window = self._window if group_ids is None else None
        if window is not None and self.size and not room and window.turn_over(batch):
            return
        keys = self._keys.take(n) if self._uniform else self._keys.make(self.law, batch, self.clock)
        if window is not None and 0 < room < n:
            self._fill_up(window, batch, room, keys)
        elif group_ids is None:
            self._update_ungrouped(batch, n, keys)
        elif n <= _FEW or not self._update_many(batch, keys, group_ids):
            self._update_each(batch, keys, group_ids)

    def _tighten(self, group: int) -> None:
        """Lower the threshold of a group that has turned rows away to its largest stored key.

        The threshold was the key of a row that is not stored. With room to spare it would accept
        new rows more often than old ones were accepted, by one in as many as are stored.
        """
        if self.groups.threshold[group] < inf and self.groups.count[group]:
            self.groups.threshold[group] = float(self.key[self.slots_of(group)].max())

    def _update_ungrouped(self, batch: Batch, n: int, keys: Floats | None = None) -> None:
        """Offer rows of one group; without ``keys``, draw uniform ones, searched in blocks."""
        if not len(self.groups):
            self.groups.add(0, self.seen + 1)
        self.groups.seen[0] += n
        if not self.store.max_size:
            if keys is None:
                self._keys.take(n)
            self.groups.start_again(0, self.seen + n)
            return
        threshold = self.groups.threshold[0]
        takes = keys is None or keys.max() < inf  # no key is inf but that of a row without time
        if takes and threshold == inf and self.size + n <= self.store.max_size:
            self._append(batch, n, self._keys.take(n) if keys is None else keys)
            return
        if keys is None:
            rows, small = self._keys.below(n, threshold)
        else:
            found = np.flatnonzero(keys < threshold)
            rows, small = found.tolist(), keys[found].tolist()
        if self._worth_merging(len(rows)):
            groups = np.zeros(len(rows), np.int64)
            self.keep_smallest(batch, np.array(rows), np.array(small), groups)
        elif rows and self.size == self.store.max_size:
            self._replace_each(batch, rows, small)
        elif rows:
            self._insert_each(batch, rows, small, [0] * len(rows))

    def _replace_each(self, batch: Batch, rows: list[int], keys: list[float]) -> None:
        """Insert rows as `_insert_each` does; twice as fast, for one group and a full buffer."""
        threshold, largest, column = self.groups.threshold[0], self._largest[0], self.key
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
            column[slot] = key
            if largest and (key, slot) > largest[0]:
                insort(largest, (key, slot))
            slots.append(slot)
            placed.append(row)
        self.groups.threshold[0] = threshold
        self.store.write_each(slots, batch, placed)

    def _fill_up(self, window: CyclicWindow, batch: Batch, room: int, keys: Floats) -> None:
        """Fill the room of a window first: then rows lie in the order of their arrival."""
        self._update_ungrouped(batch.take(slice(0, room)), room, keys[:room])
        if not window.turn_over(batch, room):
            rest = batch.take(slice(room, len(batch)))
            self.store.fit(rest)  # whose notes are those to be written now
            self._update_ungrouped(rest, len(rest), keys[room:])

    def _update_each(self, batch: Batch, keys: Floats, group_ids: Ints) -> None:
        slots, placed = list[int](), list[int]()
        groups, start = self.groups, self.seen
        number, seen, threshold = groups.number, groups.seen, groups.threshold
        max_size = self.store.max_size
        for row, (key, group_id) in enumerate(
            zip(keys.tolist(), group_ids.tolist())  # noqa: B905 - strict= costs a third here
        ):
            group = number.get(group_id, -1)
            if group < 0:
                group = groups.add(group_id, start + row + 1)
                if groups.over_cap or groups.too_many:
                    self.store.write_each(slots, batch, placed)
                    slots, placed = [], []
                    group = self._make_room(group)
                    number, seen, threshold = groups.number, groups.seen, groups.threshold
            seen[group] += 1
            if len(number) > max_size:
                groups.draw_lots(group, start + row + 1)
            if key < threshold[group]:
                slot = self._insert(key, group, start + row + 1)
                if slot >= 0:
                    slots.append(slot)
                    placed.append(row)
        self.store.write_each(slots, batch, placed)

    def _insert_each(
        self, batch: Batch, rows: list[int], keys: list[float], groups: list[int]
    ) -> None:
        slots, placed, start = [], [], self.seen
        for row, key, group in zip(rows, keys, groups):  # noqa: B905 - strict= costs a third here
            if key < self.groups.threshold[group]:
                slot = self._insert(key, group, start + row + 1)
                if slot >= 0:
                    slots.append(slot)
                    placed.append(row)
        self.store.write_each(slots, batch, placed)

    def _insert(self, key: float, group: int, at: int) -> int:
        """Return a slot for a row whose key is below its group's threshold; -1 if it is dropped."""
        if self.groups.count[group] >= self.groups.cap[group]:
            slot = self._replace(key, group, at)
            if slot < 0:
                return slot
        elif self.size < self.store.max_size:
            slot = self.size
            self.size += 1
            self.group[slot] = group
            self.groups.change(group, 1)
        else:
            victim = self.groups.choose_victim(group)
            if victim == group:
                slot = self._replace(key, group, at)
                if slot < 0:
                    return slot
            else:
                slot = self._move(victim, group, at)
        self.key[slot] = key
        largest = self._largest[group]
        if largest and (key, slot) > largest[0]:
            insort(largest, (key, slot))
        return slot

    def _replace(self, key: float, group: int, at: int) -> int:
        """Evict a group's largest key for a smaller one; return its slot, -1 to drop the new."""
        if not self.groups.count[group]:  # more groups than slots, and this one owns none
            self.groups.start_again(group, at)
            return -1
        largest = self._largest[group] or self._find_largest(group)
        if key > largest[-1][0]:
            self.groups.threshold[group] = key
            return -1
        self.groups.threshold[group], slot = largest.pop()
        return slot

    def _move(self, victim: int, group: int, at: int) -> int:
        """Evict a row of one group, give its slot to another group, and return the slot."""
        evicted, slot = (self._largest[victim] or self._find_largest(victim)).pop()
        self.groups.change(victim, -1)
        self.groups.change(group, 1)
        self.groups.threshold[victim] = evicted
        if not self.groups.count[victim]:
            self.groups.start_again(victim, at)
        self.group[slot] = group
        return slot

    def _find_largest(self, group: int) -> list[tuple[float, int]]:
        """Return the largest keys of a group and their slots, ascending.

        Only these are kept sorted, and found again when they are used up: constant cost a row,
        without a heap of Python objects over all of memory, and no long pause for one row. How many
        are found makes no difference to which rows are evicted.
        """
        alone = len(self.groups) == 1
        slots = None if alone else self.slots_of(group)
        keys = self.key[: self.size] if slots is None else self.key[slots]
        top = find_largest(keys)
        places = top if slots is None else slots[top]
        largest = self._largest[group]
        largest.extend(zip(keys[top].tolist(), places.tolist(), strict=True))
        return largest

    def _update_many(self, batch: Batch, keys: Floats, group_ids: Ints) -> bool:
        """Offer many rows; return False and do nothing if they must be taken one by one."""
        most, start = self.store.max_size, self.seen
        groups = self.groups.number_all(group_ids, most, start)
        if groups is None:
            return False
        self.groups.offer(np.bincount(groups, minlength=len(self.groups)))
        rows = np.flatnonzero(keys < np.array(self.groups.threshold)[groups])
        keys, groups = keys[rows], groups[rows]
        if self._worth_merging(len(rows)) or self.groups.over_cap:
            self.keep_smallest(batch, rows, keys, groups)
        else:
            self._insert_each(batch, rows.tolist(), keys.tolist(), groups.tolist())
        return True

    def _worth_merging(self, candidates: int) -> bool:
        """Return whether one pass over all stored keys costs less than inserting each row."""
        return candidates > _FEW + self.size // 64

    def keep_smallest(self, batch: Batch, rows: Ints, keys: Floats, groups: Ints) -> None:
        """Store what inserting the rows one by one would: the same rows, in other slots."""
        if self._window is not None:
            self._window.forget()
        offered = np.bincount(groups, minlength=len(self.groups))
        counts = np.array(self.groups.count, np.int64)
        quotas = self.groups.deal(counts + offered)
        new, free = [], [np.empty(0, np.int64)]
        for group in np.flatnonzero((offered > 0) | (quotas < counts)).tolist():
            mine = np.flatnonzero(groups == group)
            stays, leaves = self._cut(group, int(quotas[group]), keys[mine])
            new.append(mine[stays])
            free.append(leaves)
        taken = np.sort(np.concatenate([np.empty(0, np.int64), *new]))
        _, left = self._place(batch, rows[taken], keys[taken], groups[taken], np.concatenate(free))
        self._close(left, quotas)

    def _cut(self, group: int, quota: int, keys: Floats) -> tuple[Ints, Ints]:
        """Choose a group's ``quota`` smallest keys among stored and offered ones.

        Returns which offered ones stay (positions in ``keys``) and which slots are freed.
        """
        self._largest[group] = []
        if self.groups.count[group] + len(keys) <= quota:
            return np.arange(len(keys)), np.empty(0, np.int64)
        slots = self.slots_of(group)
        both = np.concatenate([self.key[slots], keys])
        order = np.argpartition(both, quota)
        self.groups.threshold[group] = float(both[order[quota]])
        leaves = order[quota:]
        stays = np.ones(len(both), np.bool_)
        stays[leaves] = False
        return np.flatnonzero(stays[len(slots) :]), slots[leaves[leaves < len(slots)]]


def find_largest(keys: Floats) -> Ints:
    """Return the places of about the largest sixteenth of the keys, smallest of them first.

    Of equal keys the one in the last place comes last.

    >>> find_largest(np.array([0.5, 0.9, 0.1, 0.9])).tolist()
    [2, 0, 1, 3]
    """
    n = len(keys)
    k = min(max(32, n // 16), _MOST)
    top = np.arange(n)
    if k < n:
        few = keys[:: 1 + n // _SAMPLED]  # enough to tell where the largest k begin, nearly
        more = max(1, len(few) * k // n)
        top = np.flatnonzero(keys >= np.partition(few, len(few) - more)[len(few) - more])
    order = np.argsort(keys[top], kind="stable")[-k:]
    return top[order]
