"""Groups whose rows a strategy ranks, stored and new ones together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.grouped_slots import GroupedSlots
from streamreplay.buffers.sampling.groups import BufferGroups
from streamreplay.buffers.selection.base import Candidates, ExemplarsSelectionStrategy
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.columns import Ints, describe_array
from streamreplay.errors import ConfigError
from streamreplay.state import State, expect


@final
class RankedSlots(GroupedSlots):
    """Each group keeps the rows that a strategy ranks first; a row's key is its rank.

    In an update the strategy is called once for each group with new rows, unless the group has no
    slot.

    Parameters
    ----------
    store : ColumnStore
        With a column ``notes`` of the strategy's width, if that is not 0.
    groups : BufferGroups
    strategy : ExemplarsSelectionStrategy
    """

    def __init__(
        self, store: ColumnStore, groups: BufferGroups, strategy: ExemplarsSelectionStrategy
    ) -> None:
        super().__init__(store, groups)
        self.strategy = strategy

    @property
    def acceptance(self) -> None:
        """None: only the strategy knows."""
        return

    def state_dict(self) -> State:
        """Return the groups and the strategy's state; ranks and rows are the store's."""
        return {
            **super().state_dict(),
            "strategy": type(self.strategy).__name__,
            "state": self.strategy.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the store's rows must have been loaded before."""
        expect("strategy", state["strategy"], type(self.strategy).__name__)
        super().load_state_dict(state)
        self.strategy.load_state_dict(state["state"])

    def _forget_derived(self) -> None:
        pass

    def _offer(self, batch: Batch, group_ids: Ints | None) -> None:
        numbers = self._number(len(batch), group_ids)
        counts = np.array(self.groups.count, np.int64)
        offered = np.bincount(numbers, minlength=len(counts))
        quotas = self.groups.deal(counts + offered)
        touched = np.flatnonzero((offered > 0) | (quotas < counts)).tolist()
        # the strategy is called for all groups before anything is written: it may raise
        choices = [
            self._choose(batch, np.flatnonzero(numbers == group), group, int(quotas[group]))
            for group in touched
        ]
        taken, keys, notes, freed = _lists(4)
        for group, choice in zip(touched, choices, strict=True):
            slots, rows, ranks = choice.slots, choice.rows, np.arange(len(choice.stays))
            old = choice.stays < len(slots)
            kept = slots[choice.stays[old]]
            self.key[kept] = ranks[old]
            freed.append(np.setdiff1d(slots, kept, assume_unique=True))
            taken.append(rows[choice.stays[~old] - len(slots)])
            keys.append(ranks[~old])
            if self.strategy.width:
                self.store.extra["notes"][kept] = choice.notes[choice.stays[old]]
                notes.append(choice.notes[choice.stays[~old]])
            if not len(ranks):
                self.groups.start_again(group, self.seen + len(batch))
            elif len(ranks) < len(slots) + len(rows):
                self.groups.threshold[group] = float(len(ranks))
        self.groups.offer(offered)
        new = np.concatenate(taken)
        slots, left = self._place(
            batch, new, np.concatenate(keys), numbers[new], np.concatenate(freed)
        )
        if notes[1:]:
            self.store.extra["notes"][slots] = np.concatenate(notes[1:])
        self._close(left, quotas)

    def _number(self, n: int, group_ids: Ints | None) -> Ints:
        """Return each row's group number, and hold the lottery where groups are too many."""
        groups, start = self.groups, self.seen
        if groups.too_many:
            self._forget_groups()
        ids = np.zeros(n, np.int64) if group_ids is None else group_ids
        numbers = groups.number_all(ids, len(groups) + n, start)
        if numbers is None:
            raise RuntimeError(
                f"groups cannot be more than there were and rows came, got over {len(groups) + n}"
            )
        if len(groups) > self.store.max_size:
            for row, group in enumerate(numbers.tolist()):
                groups.draw_lots(group, start + row + 1)
        return numbers

    def _ranked(self, group: int) -> Ints:
        """Return a group's slots, best first."""
        slots = self.slots_of(group)
        return slots[np.argsort(self.key[slots], kind="stable")]

    def _candidates(self, batch: Batch, rows: Ints, group: int, slots: Ints) -> Candidates:
        new = batch.take(rows)
        weight = np.ones(len(slots) + len(rows))
        notes = np.zeros((len(weight), self.strategy.width), np.float32)
        if not len(slots):
            return Candidates(new, 0, weight, notes)
        weight[: len(slots)] = max(1.0, self.groups.seen[group] / len(slots))
        if self.strategy.width:
            notes[: len(slots)] = self.store.extra["notes"][slots]
        both = Batch.concat(_alike(self.store.batch.take(slots), new))
        return Candidates(both, len(slots), weight, notes)

    def _choose(self, batch: Batch, rows: Ints, group: int, quota: int) -> _Choice:
        """Choose a group's rows, without changing anything."""
        slots = self._ranked(group)
        if not (quota and len(rows)):
            none = np.empty((len(slots), 0), np.float32)
            notes = self.store.extra["notes"][slots] if self.strategy.width else none
            return _Choice(slots, rows, np.arange(min(quota, len(slots))), notes)
        candidates = self._candidates(batch, rows, group, slots)
        return _Choice(slots, rows, self._ask(candidates, quota), candidates.notes)

    def _ask(self, candidates: Candidates, quota: int) -> Ints:
        """Call the strategy, and check what it returns."""
        stays = np.asarray(self.strategy.make_sorted_indices(candidates, quota))
        n, name = len(candidates), f"{type(self.strategy).__name__}.make_sorted_indices"
        if stays.dtype.kind not in "iu" or stays.shape != (min(quota, n),):
            raise ConfigError(
                f"{name} must return int64[{min(quota, n)}], got {describe_array(stays)}"
            )
        if len(np.unique(stays)) < len(stays) or stays.min() < 0 or stays.max() >= n:
            raise ConfigError(f"{name} must name different candidates from 0 to {n - 1}")
        return stays.astype(np.int64, copy=False)


@dataclass(frozen=True)
class _Choice:
    """The rows of a group that stay.

    Attributes
    ----------
    slots : int64[stored]
        Best first.
    rows : int64[new]
        Positions in the batch.
    stays : int64[k]
        Best first; from ``stored`` on they are new.
    notes : float32[stored + new, width]
    """

    slots: Ints
    rows: Ints
    stays: Ints
    notes: NDArray[np.float32]


def _lists(n: int) -> list[list[NDArray[Any]]]:
    return [[np.empty(0, np.int64)] for _ in range(n)]


def _alike(stored: Batch, new: Batch) -> list[Batch]:
    """Return two batches with the same columns: without ids, times and weights if they differ."""
    names_alike = stored.id is None or new.id is None or stored.id.dtype.kind == new.id.dtype.kind
    if names_alike and list(stored.columns()) == list(new.columns()):
        return [stored, new]
    return [replace(batch, id=None, time=None, weight=None) for batch in (stored, new)]
