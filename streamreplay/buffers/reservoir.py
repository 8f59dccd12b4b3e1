"""Reservoirs by random keys: which rows stay, and who makes room.

Every row gets a random key, and a group keeps the rows with the smallest keys it has seen. Uniform
keys make that a uniform sample of the group's whole stream, equal in law to Algorithm R (Vitter
1985; keys as in Efraimidis and Spirakis 2006, with equal weights); other laws make it another
sample (see `laws`). Unlike Algorithm R's slots, keys stay right when a group must shrink, and the
rows that stay are a function of the rows seen and their keys alone, so that it does not matter how
the stream was cut into batches.

A new row in a full buffer evicts from the group with the largest (count, priority): the greedy
balancing of class-balancing reservoir sampling (Chrysakis and Moens 2020, Algorithm 1).
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from math import inf
from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.grouping import BufferGroups
from streamreplay.buffers.key_rules import KeyLaw, UniformKeys, WindowKeys
from streamreplay.buffers.random_keys import KeyStream
from streamreplay.buffers.slots import SLOT_COLUMNS, GroupedSlots
from streamreplay.buffers.storage import ColumnStore
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.state import State

__all__ = ["KeyedReservoir"]

_UNKNOWN, _SCATTERED = -1, -2
_FEW = 32  # batches up to this size are taken row by row: numpy's calls would cost more

_MOST = 1 << 15  # largest keys of a group that are kept sorted
_SAMPLED = 1 << 16  # keys looked at to tell where the largest begin


@final
class KeyedReservoir(GroupedSlots):
    """The rows with the smallest keys of each group.

    Parameters
    ----------
    store : ColumnStore
    groups : Groups
    seed : int or numpy.random.SeedSequence
    law : KeyLaw, optional
        How keys are made; uniform by default.
    """

    def __init__(
        self, store: ColumnStore, groups: BufferGroups, seed: Seed, law: KeyLaw | None = None
    ) -> None:
        super().__init__(store, groups)
        self.law = law or UniformKeys()
        self._uniform = isinstance(self.law, UniformKeys)
        # where rows expire one by one, they do not stay in the order of their arrival
        self._cyclic = isinstance(self.law, WindowKeys) and not store.keeps("stamp")
        self._keys = KeyStream(spawn_seed(seed, "keys"))
        self._largest: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)  # derived
        self._oldest = _UNKNOWN  # derived: the slot whose row a full window gives up next

    @property
    def acceptance(self) -> float | None:
        """Chance that a row is stored whose group is as likely as so far; None where unknown."""
        if not self.seen:
            return None
        if not self.store.max_size:
            return 0.0
        now = self.clock.now(by_time=self.law.by_time)
        chances = [self.law.acceptance(each, now) for each in self.groups.threshold]
        if self._size == self.store.max_size:
            for group in np.flatnonzero(self.groups.shut_out).tolist():
                chances[group] = 0.0
        known = [chance for chance in chances if chance is not None]
        if len(known) < len(chances):
            return None
        return float(np.average(known, weights=self.groups.seen)) if known else 0.0

    def resize(self, max_size: int, *, refill: bool = False) -> None:
        """Change the number of slots.

        Shrinking evicts the largest keys, hence uniformly, down to the new quotas. After growing, a
        group that has turned rows away takes those with keys below its largest: with k of n rows
        stored that is the k-th smallest of n keys, k / (n + 1) in mean, so the group grows as
        slowly as it must to stay a uniform sample of its whole stream. With ``refill`` it takes all
        that comes instead, until the buffer is full.
        """
        if max_size > self.store.max_size:
            for group in range(len(self.groups)):
                self._tighten(group)
        super().resize(max_size)
        if refill and self._size < max_size:
            for group in range(len(self.groups)):
                self.groups.loosen(group, inf, self.seen)

    def delete(self, slots: NDArray[np.int64]) -> None:
        """Delete rows; as after growing, rows that come are then no likelier to stay than those."""
        if len(slots):
            full = self._size == self.store.max_size
            for group, count in enumerate(self.groups.count):
                if full or count == self.groups.cap[group]:
                    self._tighten(group)
            self.remove(slots)

    def takes_all(self, n: int) -> bool:
        """Tell whether the next n rows will all be stored, whatever their groups and keys."""
        groups = self.groups
        return (
            self._size + n <= self.store.max_size
            and not groups.capped
            and min(groups.threshold, default=inf) == inf
        )

    def loosen(self) -> None:
        """Let in about twice as many rows as before, since much of the room is empty."""
        for group, threshold in enumerate(self.groups.threshold):
            self.groups.loosen(group, self.law.loosen(threshold), self.seen)

    def merge(self, other: KeyedReservoir) -> None:
        """Take in another reservoir, of the same law but other keys, over other rows.

        A group of both keeps the smallest keys of the two, up to the lower threshold: what one of
        them would have kept of both streams. Where keys know of row numbers, both streams end at
        the same one.
        """
        if not other.store.beside:  # it has not seen a row
            return
        beside = {name: column[: other._size] for name, column in other.store.beside.items()}
        rest = {name: beside[name] for name in beside.keys() - SLOT_COLUMNS.keys()}
        self._fit(other.store.batch, rest)  # first of all, as it is what can fail
        ours, theirs = self.groups, other.groups
        shift = self.law.shift(self.clock.rows - other.clock.rows)
        numbers = np.array([ours.number.get(each, -1) for each in theirs.ids], np.int64)
        for number, group_id in enumerate(theirs.ids):
            if numbers[number] < 0:
                numbers[number] = ours.add(group_id, self.seen + 1)
            ours.join(int(numbers[number]), theirs, number, self.seen, shift)
        self.seen += other.seen
        self.clock.latest = max(self.clock.latest, other.clock.latest)
        limits = np.array(ours.threshold)
        self._leave_below(limits)
        keys, groups = other._key[: other._size] + shift, numbers[other._group[: other._size]]
        rows = np.flatnonzero(keys <= limits[groups])  # a grown group's largest key is its limit
        self._merge(other.store.batch, rows, keys[rows], groups[rows])
        for group, count in enumerate(ours.count):
            if not count and ours.threshold[group] < inf:
                ours.begin_anew(group, self.seen)

    def _leave_below(self, limits: NDArray[np.float64]) -> None:
        """Delete rows with keys above their group's limit; no group begins anew by that."""
        groups = self.groups
        since, sound = groups.since.copy(), groups.sound.copy()
        self.remove(np.flatnonzero(self._key[: self._size] > limits[self._group[: self._size]]))
        groups.threshold, groups.since, groups.sound = limits.tolist(), since, sound

    def state_dict(self) -> State:
        """Return the key stream, the law and the groups; keys and rows are the store's."""
        return {
            **super().state_dict(),
            "law": self.law.state_dict(),
            "keys": self._keys.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state; the store's rows must have been loaded before."""
        super().load_state_dict(state)
        self.law.load_state_dict(state["law"])
        self._keys.load_state_dict(state["keys"])

    def _forget_derived(self) -> None:
        self._largest.clear()
        self._oldest = _UNKNOWN

    def _offer(self, batch: Batch, group_ids: NDArray[np.int64] | None) -> None:
        n = len(batch)
        if group_ids is None and self._uniform:
            self._update_ungrouped(batch, n)
            return
        room = self.store.max_size - self._size
        cyclic = self._cyclic and group_ids is None
        if cyclic and self._size and not room and self._turn_over(batch):
            return
        keys = self._keys.take(n) if self._uniform else self._make_keys(batch)
        if cyclic and 0 < room < n:
            self._fill_up(batch, room, keys)
        elif group_ids is None:
            self._update_ungrouped(batch, n, keys)
        elif n <= _FEW or not self._update_many(batch, keys, group_ids):
            self._update_each(batch, keys, group_ids)

    def _make_keys(self, batch: Batch) -> NDArray[np.float64]:
        stamps = self.clock.stamps(batch, by_time=self.law.by_time)
        if not self.law.draws:
            return self.law.make_keys(batch, stamps, stamps)
        before = self._keys.state_dict()
        try:
            return self.law.make_keys(batch, self._keys.take(len(batch)), stamps)
        except BaseException:  # a user's strategy may raise: the buffer is as it was
            self._keys.load_state_dict(before)
            raise

    def _tighten(self, group: int) -> None:
        """Take the largest stored key of a group that has turned rows away for its threshold.

        The threshold was the key of a row that is not stored: to go on with it where there is room
        would let new rows in more often than old ones were, by one in so many as are stored.
        """
        if self.groups.threshold[group] < inf and self.groups.count[group]:
            self.groups.threshold[group] = float(self._key[self.slots_of(group)].max())

    # -- one group -------------------------------------------------------------------------------

    def _update_ungrouped(
        self, batch: Batch, n: int, keys: NDArray[np.float64] | None = None
    ) -> None:
        """Offer rows of one group; without ``keys`` they are uniform, and searched in blocks."""
        if not len(self.groups):
            self.groups.add(0, self.seen + 1)
        self.groups.seen[0] += n
        if not self.store.max_size:
            if keys is None:
                self._keys.take(n)
            self.groups.begin_anew(0, self.seen + n)
            return
        threshold = self.groups.threshold[0]
        takes = keys is None or keys.max() < inf  # no key is inf but that of a row without time
        if takes and threshold == inf and self._size + n <= self.store.max_size:
            self._append(batch, n, self._keys.take(n) if keys is None else keys)
            return
        if keys is None:
            rows, small = self._keys.below(n, threshold)
        else:
            found = np.flatnonzero(keys < threshold)
            rows, small = found.tolist(), keys[found].tolist()
        if self._worth_merging(len(rows)):
            groups = np.zeros(len(rows), np.int64)
            self._merge(batch, np.array(rows), np.array(small), groups)
        elif rows and self._size == self.store.max_size:
            self._replace_each(batch, rows, small)
        elif rows:
            self._insert_each(batch, rows, small, [0] * len(rows))

    def _replace_each(self, batch: Batch, rows: list[int], keys: list[float]) -> None:
        """Do as `_insert_each` does for one group and a full buffer, in less than half the time."""
        threshold, largest, column = self.groups.threshold[0], self._largest[0], self._key
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

    def _fill_up(self, batch: Batch, room: int, keys: NDArray[np.float64]) -> None:
        """Fill the room of a window first: then rows lie in the order of their arrival."""
        self._update_ungrouped(batch.take(slice(0, room)), room, keys[:room])
        if not self._turn_over(batch, room):
            rest = batch.take(slice(room, len(batch)))
            self.store.fit(rest)  # whose notes are those to be written now
            self._update_ungrouped(rest, len(rest), keys[room:])

    def _turn_over(self, batch: Batch, start: int = 0) -> bool:
        """Overwrite the oldest rows of a full window, which lie one behind the other.

        ``start`` is the first row of the batch that is still to be stored. False, and nothing done,
        where rows lie in no order, since some were deleted in between.
        """
        if self._oldest == _UNKNOWN:
            self._oldest = self._find_oldest()
        if self._oldest == _SCATTERED:
            return False
        size, n, now = self._size, len(batch) - start, self.clock.rows + start + 1
        gone = max(0, n - size)  # rows that will have been overwritten by the end
        self.groups.seen[0] += n
        # as everywhere, the key of the row that was the last to go
        last = self._key[(self._oldest + n - 1) % size]
        self.groups.threshold[0] = float(1 - now - gone if gone else last)
        row, slot = gone, (self._oldest + gone) % size
        while row < n:
            k = min(n - row, size - slot)
            self._key[slot : slot + k] = -now - row if k == 1 else -np.arange(row, row + k) - now
            self.store.write_run(slot, batch, start + row, k)
            row, slot = row + k, 0
        self._oldest = (self._oldest + n) % size
        return True

    def _find_oldest(self) -> int:
        keys = self._key[: self._size]
        oldest = int(keys.argmax())
        falling = np.diff(np.roll(keys, -oldest)) < 0
        return oldest if falling.all() else _SCATTERED

    def _append(self, batch: Batch, n: int, keys: NDArray[np.float64]) -> None:
        """Store all rows, while there is room."""
        end = self._size + n
        self._key[self._size : end] = keys
        self._group[self._size : end] = 0
        self.groups.change(0, n)
        self._size = end
        self.store.append(batch)

    # -- one row at a time -----------------------------------------------------------------------

    def _update_each(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> None:
        written = _Written(self.store, batch)
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
                    written.flush()
                    group = self._make_room(group)
                    number, seen, threshold = groups.number, groups.seen, groups.threshold
            seen[group] += 1
            if len(number) > max_size:
                groups.draw_lots(group, start + row + 1)
            if key < threshold[group]:
                slot = self._insert(key, group, start + row + 1)
                if slot >= 0:
                    written.add(slot, row)
        written.flush()

    def _make_room(self, group: int) -> int:
        """Let groups give what a new one of the announced may have; forget groups of old.

        Returns the new group's number, which may have changed.
        """
        groups = self.groups
        for each, (count, cap) in enumerate(zip(groups.count, groups.cap, strict=True)):
            if count > cap:
                slots = self.slots_of(each)
                self.remove(np.setdiff1d(slots, self._smallest(each, cap), assume_unique=True))
        if groups.too_many:
            return int(self._forget_groups()[group])  # it drew last, and stays
        return group

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
        """Find a slot for a row whose key is below its group's threshold; -1 if it has to go."""
        if self.groups.count[group] >= self.groups.cap[group]:
            slot = self._replace(key, group, at)
            if slot < 0:
                return slot
        elif self._size < self.store.max_size:
            slot = self._size
            self._size += 1
            self._group[slot] = group
            self.groups.change(group, 1)
        else:
            victim = self.groups.choose_victim(group)
            if victim == group:
                slot = self._replace(key, group, at)
                if slot < 0:
                    return slot
            else:
                slot = self._move(victim, group, at)
        self._key[slot] = key
        largest = self._largest[group]
        if largest and (key, slot) > largest[0]:
            insort(largest, (key, slot))
        return slot

    def _replace(self, key: float, group: int, at: int) -> int:
        """Evict a group's largest key for a smaller one; return its slot, -1 if the new goes."""
        if not self.groups.count[group]:  # more groups than slots, and this is none of the owners
            self.groups.begin_anew(group, at)
            return -1
        largest = self._largest[group] or self._find_largest(group)
        if key > largest[-1][0]:
            self.groups.threshold[group] = key
            return -1
        self.groups.threshold[group], slot = largest.pop()
        return slot

    def _move(self, victim: int, group: int, at: int) -> int:
        """Evict a row of one group and give its slot to another; return it."""
        evicted, slot = (self._largest[victim] or self._find_largest(victim)).pop()
        self.groups.change(victim, -1)
        self.groups.change(group, 1)
        self.groups.threshold[victim] = evicted
        if not self.groups.count[victim]:
            self.groups.begin_anew(victim, at)
        self._group[slot] = group
        return slot

    def _find_largest(self, group: int) -> list[tuple[float, int]]:
        """Return the largest keys of a group and their slots, ascending.

        About the largest sixteenth of a group's keys, or `_MOST`, is kept sorted, and found anew
        when it is used up: constant cost a row, without a heap of Python objects over all of
        memory, and no long pause for one. How many are found makes no difference to what is
        evicted: of equal keys it is the one in the last slot.
        """
        alone = len(self.groups) == 1
        slots = None if alone else self.slots_of(group)
        keys = self._key[: self._size] if slots is None else self._key[slots]
        n = len(keys)
        k = min(max(32, n // 16), _MOST)
        top = np.arange(n)
        if k < n:
            few = keys[:: 1 + n // _SAMPLED]  # enough to tell where the largest k begin, nearly
            more = max(1, len(few) * k // n)
            top = np.flatnonzero(keys >= np.partition(few, len(few) - more)[len(few) - more])
        order = np.argsort(keys[top], kind="stable")[-k:]
        top = top[order]
        largest = self._largest[group]
        places = top if slots is None else slots[top]
        largest.extend(zip(keys[top].tolist(), places.tolist(), strict=True))
        return largest

    # -- many rows at once -----------------------------------------------------------------------

    def _update_many(
        self, batch: Batch, keys: NDArray[np.float64], group_ids: NDArray[np.int64]
    ) -> bool:
        """Offer many rows; False, and nothing done, where they must be taken one by one."""
        most, start = self.store.max_size, self.seen
        groups = self.groups.number_all(group_ids, most, start)
        if groups is None:
            return False
        self.groups.offer(np.bincount(groups, minlength=len(self.groups)))
        rows = np.flatnonzero(keys < np.array(self.groups.threshold)[groups])
        keys, groups = keys[rows], groups[rows]
        if self._worth_merging(len(rows)) or self.groups.over_cap:
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
        self._oldest = _UNKNOWN  # rows lie elsewhere, perhaps in the order of their arrival now
        offered = np.bincount(groups, minlength=len(self.groups))
        counts = np.array(self.groups.count, np.int64)
        quotas = self.groups.deal(counts + offered, self.store.max_size)
        new, free = [], [np.empty(0, np.int64)]
        for group in np.flatnonzero((offered > 0) | (quotas < counts)).tolist():
            mine = np.flatnonzero(groups == group)
            stays, leaves = self._cut(group, int(quotas[group]), keys[mine])
            new.append(mine[stays])
            free.append(leaves)
        taken = np.sort(np.concatenate([np.empty(0, np.int64), *new]))
        _, left = self._place(batch, rows[taken], keys[taken], groups[taken], np.concatenate(free))
        self._close(left, quotas)

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


class _Written:
    """Rows of a batch that have found a slot, to be copied together."""

    def __init__(self, store: ColumnStore, batch: Batch) -> None:
        self._store, self._batch = store, batch
        self._slots: list[int] = []
        self._rows: list[int] = []

    def add(self, slot: int, row: int) -> None:
        self._slots.append(slot)
        self._rows.append(row)

    def flush(self) -> None:
        self._store.write_each(self._slots, self._batch, self._rows)
        self._slots.clear()
        self._rows.clear()
