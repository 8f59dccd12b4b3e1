"""Rows in slots, split into groups, which all policies share; and a window that needs no search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.groups import BufferGroups
from streamreplay.buffers.sampling.keys import StreamClock
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.buffers.storage.columns import Extra
from streamreplay.columns import Floats, Ints
from streamreplay.errors import CheckpointError
from streamreplay.state import State, load_state, save_state, whole

SLOT_COLUMNS: Extra = {"key": (np.float64, ()), "group": (np.int32, ())}
"""The columns that a policy stores with each row: its key, and the number of its group."""

_UNKNOWN, _SCATTERED = -1, -2  # where the oldest row of a window is


class GroupedSlots(ABC):
    """Groups of rows in a `ColumnStore`; each keeps the rows with its smallest keys.

    Slots are dealt in rounds. In round k every group that has seen k rows gets its k-th slot, in
    the order of a random priority, until all slots are dealt: quotas differ by one at most where
    groups have rows to give, and what a small group leaves goes to the others (water-filling).
    While ``max_size`` stays the same a group's quota only shrinks, so no deleted row is needed
    again.

    Parameters
    ----------
    store : ColumnStore
        Made with `SLOT_COLUMNS` among its extra columns.
    groups : BufferGroups
    """

    def __init__(self, store: ColumnStore, groups: BufferGroups) -> None:
        self.store = store
        self.groups = groups
        self.clock = StreamClock()
        self.seen = 0  # labelled rows offered
        self.size = 0
        """Rows stored: as the store's, but ahead of it within an update."""
        self._bind()

    @property
    @abstractmethod
    def acceptance(self) -> float | None:
        """Chance that the next row is stored, if groups go on as so far; None if unknown."""

    @property
    def uniform_since(self) -> int:
        """Rows that had been offered when the sample of the latest group began."""
        counts = enumerate(self.groups.count)
        return max((self.groups.begun(group) for group, count in counts if count), default=0)

    def slots_of(self, group: int) -> Ints:
        """Return the slots of a group's rows by its number, ascending: int64[count]."""
        if len(self.groups) == 1:
            return np.arange(self.size)
        return np.flatnonzero(self.group[: self.size] == group)

    def update(self, batch: Batch, extra: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Offer labelled rows.

        Parameters
        ----------
        batch : Batch
        extra : mapping, optional
            The values of extra columns for these rows: [n, ...] by name.
        """
        self.fit(batch, extra or {})
        column = self.groups.column
        self._offer(batch, None if column is None else getattr(batch, column))
        self.seen += len(batch)
        self.clock.advance(batch)

    @abstractmethod
    def _offer(self, batch: Batch, group_ids: Ints | None) -> None:
        """Store the rows that belong in the buffer."""

    def remove(self, slots: Ints) -> None:
        """Delete rows by their slots."""
        if not len(slots):
            return
        lost = np.bincount(self.group[slots], minlength=len(self.groups))
        self.store.remove(slots)
        self.size -= len(slots)
        self.groups.set_counts(np.array(self.groups.count, np.int64) - lost, self.seen)
        self._forget_derived()

    def delete(self, slots: Ints) -> None:
        """Delete rows that are to be forgotten."""
        self.remove(slots)

    def resize(self, max_size: int, *, refill: bool = False) -> None:
        """Change the number of slots; shrinking evicts the largest keys of each group.

        With ``refill``, rows that would be turned away fill the new room.
        """
        del refill  # ranked rows fill it in any case
        self.store.max_size = max_size
        self.groups.set_caps()
        quotas = self.groups.deal(np.array(self.groups.count, np.int64))
        kept = [self._smallest(group, quota) for group, quota in enumerate(quotas.tolist())]
        keep = np.sort(np.concatenate([np.empty(0, np.int64), *kept]))
        self.groups.set_counts(quotas, self.seen)
        self.size = len(keep)
        self.store.keep(keep)
        self._bind()
        self._forget_derived()

    def state_dict(self) -> State:
        """Return the groups and the counts; keys and group numbers are the store's."""
        return {
            "seen": self.seen,
            "clock": save_state(self.clock),
            "groups": self.groups.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the store's rows must have been loaded before."""
        self.seen, self.size = whole("seen", state["seen"]), self.store.size
        load_state(self.clock, state["clock"])
        self.groups.load_state_dict(state["groups"])
        if sum(self.groups.count) != self.size:
            raise CheckpointError(
                f"groups: saved groups of {sum(self.groups.count)} rows in all for {self.size}"
            )
        self._bind()
        self._forget_derived()

    def fit(self, batch: Batch, extra: Mapping[str, NDArray[Any]]) -> None:
        """Check that rows of a batch can be stored, and allocate columns for the first ones."""
        allocated = bool(self.store.extra)
        self.store.fit(batch, extra)
        if not allocated:
            self._bind()

    def _bind(self) -> None:
        """Read what the store has allocated: its columns, and how many slots there are."""
        self.key: Floats = self.store.extra.get("key", np.empty(0))
        self.group: NDArray[np.int32] = self.store.extra.get("group", np.empty(0, np.int32))
        self.groups.set_caps()

    def _forget_groups(self) -> Ints:
        """Forget groups without rows; return each group's new number, -1 for those forgotten."""
        renumbered = self.groups.forget_oldest()
        self.group[: self.size] = renumbered[self.group[: self.size]]
        self._forget_derived()
        return renumbered

    def _append(self, batch: Batch, n: int, keys: Floats) -> None:
        """Store all rows, while there is room."""
        end = self.size + n
        self.key[self.size : end] = keys
        self.group[self.size : end] = 0
        self.groups.change(0, n)
        self.size = end
        self.store.append(batch)

    def _make_room(self, group: int) -> int:
        """Make room for a new group: shrink those above their cap, and forget old empty groups.

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

    def _place(
        self,
        batch: Batch,
        rows: Ints,
        keys: Floats,
        groups: Ints,
        freed: Ints,
    ) -> tuple[Ints, Ints]:
        """Write rows of a batch into freed slots, lowest first, and after the stored rows.

        ``keys`` and ``groups`` are those of ``rows``. Returns the slots written to and those freed
        ones that are left over, which `_close` then closes up.
        """
        freed = np.sort(freed)
        more = np.arange(self.size, self.size + max(0, len(rows) - len(freed)))
        slots = np.concatenate([freed[: len(rows)], more])
        self.key[slots], self.group[slots] = keys, groups
        self.size += len(more)
        self.store.write(slots, batch, rows)
        return slots, freed[len(rows) :]

    def _close(self, left: Ints, counts: Ints) -> None:
        """Close up freed slots, and set how many rows each group has now."""
        if len(left):
            self.store.remove(left)
            self.size -= len(left)
            self._forget_derived()
        self.groups.set_counts(counts, self.seen)

    @abstractmethod
    def _forget_derived(self) -> None:
        """Drop what was worked out from slots that have changed."""

    def _smallest(self, group: int, quota: int) -> Ints:
        """Return the slots of a group's ``quota`` smallest keys; the next key is its threshold."""
        slots = self.slots_of(group)
        if len(slots) <= quota:
            return slots
        order = np.argpartition(self.key[slots], quota)
        self.groups.threshold[group] = float(self.key[slots[order[quota]]])
        return slots[order[:quota]]


@final
class CyclicWindow:
    """Overwrites the oldest rows of a full window, as long as rows lie in the order they came in.

    Parameters
    ----------
    slots : GroupedSlots
        One group; a row's key is minus its number.
    """

    def __init__(self, slots: GroupedSlots) -> None:
        self._slots = slots
        self._oldest = _UNKNOWN  # the slot whose row the window gives up next

    def forget(self) -> None:
        """Find the oldest row again at the next call: rows have moved."""
        self._oldest = _UNKNOWN

    def turn_over(self, batch: Batch, start: int = 0) -> bool:
        """Overwrite the oldest rows with those of a batch from ``start`` on.

        Returns False and does nothing if rows lie in no order, since some were deleted in between.
        """
        if self._oldest == _UNKNOWN:
            self._oldest = self._find_oldest()
        if self._oldest == _SCATTERED:
            return False
        slots, key = self._slots, self._slots.key
        size, n, now = slots.size, len(batch) - start, slots.clock.rows + start + 1
        gone = max(0, n - size)  # rows that will have been overwritten by the end
        slots.groups.seen[0] += n
        # as everywhere, the key of the row that was the last to go
        last = key[(self._oldest + n - 1) % size]
        slots.groups.threshold[0] = float(1 - now - gone if gone else last)
        row, slot = gone, (self._oldest + gone) % size
        while row < n:
            k = min(n - row, size - slot)
            key[slot : slot + k] = -now - row if k == 1 else -np.arange(row, row + k) - now
            slots.store.write_run(slot, batch, start + row, k)
            row, slot = row + k, 0
        self._oldest = (self._oldest + n) % size
        return True

    def _find_oldest(self) -> int:
        keys = self._slots.key[: self._slots.size]
        oldest = int(keys.argmax())
        falling = np.diff(np.roll(keys, -oldest)) < 0
        return oldest if falling.all() else _SCATTERED
