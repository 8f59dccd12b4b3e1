"""The groups of a buffer: their ids, how many rows each has, and which one gives up a row."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.columns import Floats, Ints
from streamreplay.randomness import Seed, spawn_seed
from streamreplay.state import GROWN, SETTING, Fields, Kind, State

_TABLE = 4096  # group ids up to here are looked up in an array
_NO_CAP = 1 << 62
_REMEMBERED = 4096  # groups without rows that are remembered at most
_PRIORITY_BITS = 20  # so few that count + priority is exact in float64
_INTEGERS = Kind(partial(np.array, dtype=np.int64), lambda _name, _live, saved: saved.tolist())
_NUMBERS = Kind(partial(np.array, dtype=np.float64), lambda _name, _live, saved: saved.tolist())


def deal_slots(available: Ints, priority: Floats, max_size: int) -> Ints:
    """Deal slots to groups in rounds; return each group's quota: int64[groups].

    In each round the group with the lowest priority comes first; of equal ones the later group,
    since it is the first to give up a row when rows are stored one at a time.

    >>> deal_slots(np.array([1000, 3]), np.array([0.5, 0.1]), 100).tolist()
    [97, 3]
    >>> deal_slots(np.array([9, 9, 9]), np.array([0.5, 0.1, 0.9]), 10).tolist()
    [3, 4, 3]
    """
    if available.sum() <= max_size:
        return available.copy()
    order = np.sort(available)
    # rounds that all fit: the largest level with sum(min(available, level)) <= max_size
    below = np.cumsum(order) - order
    fits = below + order * np.arange(len(order), 0, -1) <= max_size
    full = int(np.count_nonzero(fits))  # the smallest groups, which get all they have
    given = int(below[full]) if full < len(order) else int(order.sum())
    level = (max_size - given) // (len(order) - full)
    quotas = np.minimum(available, level)
    more = np.flatnonzero(available > level)[::-1]
    extra = max_size - int(quotas.sum())
    quotas[more[np.argsort(priority[more], kind="stable")[:extra]]] += 1
    return quotas


class BufferGroups:
    """Groups by number, in order of first appearance.

    Parameters
    ----------
    store : ColumnStore
        Its ``max_size`` slots are those to share.
    seed : int or numpy.random.SeedSequence
        For the lottery that ranks groups of equal size.
    column : str or None
        The column of a batch that has the group of each row; None puts all rows into one.
    announced : int or None
        How many groups will come: from the beginning each gets at most an equal share, which is
        reserved for it. If more come, all get equal shares of the slots.

    Attributes
    ----------
    ids : list of int [groups]
        The group ids.
    seen, count : list of int [groups]
        Rows offered, rows stored.
    threshold : list of float [groups]
        Keys from here on are not stored; inf until the group has had to turn a row away.
    cap : list of int [groups]
        Rows that a group may store at most.
    since : list of int [groups]
        Rows that had been offered to all groups when this one's sample began; 0 if it is a sample
        of all the group's rows.
    sound : list of float [groups]
        Once the threshold is not above this, the group is a sample of all its rows again.
    """

    STATE = Fields(
        _announced=SETTING,
        lottery=int,
        ids=_INTEGERS,
        seen=_INTEGERS,
        _level=GROWN,
        threshold=_NUMBERS,
        since=_INTEGERS,
        sound=_NUMBERS,
        _born=int,
        _serial=_INTEGERS,
        _draws=_INTEGERS,
        _drawn_at=_INTEGERS,
    )

    def __init__(
        self, store: ColumnStore, seed: Seed, column: str | None, announced: int | None
    ) -> None:
        self.column = column
        self.ids: list[int] = []
        self.seen: list[int] = []
        self.count: list[int] = []
        self.threshold: list[float] = []
        self.cap: list[int] = []
        self.since: list[int] = []
        self.sound: list[float] = []
        self.number: dict[int, int] = {}
        """Group id -> group number."""
        self.lottery = int(spawn_seed(seed, "lottery").generate_state(1, np.uint64)[0])
        self._announced = announced
        self._store = store
        self._table = np.empty(0, np.int64)  # the same for small ids, -1 where there is none
        self._level = np.empty(0)  # float64[groups], count + priority
        self._to_come: list[float] = []  # derived: first priorities of the announced groups
        self._born = 0  # groups ever added
        self._serial: list[int] = []  # how many had been added before each group
        self._draws: list[int] = []  # how often each group drew its priority again
        self._drawn_at: list[int] = []  # rows that had been offered when it last did

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def capped(self) -> bool:
        """Return whether a group may have to turn rows away while there is room."""
        return self._announced is not None

    @property
    def room(self) -> int:
        """The number of rows that all groups together may store."""
        return min(self._store.max_size, sum(self.cap)) if self.capped else self._store.max_size

    @property
    def over_cap(self) -> bool:
        """Return whether a group stores more than it may, since others have come."""
        return self.capped and any(map(int.__gt__, self.count, self.cap))

    def add(self, group_id: int, at: int) -> int:
        """Add a group that the row with number ``at`` is the first of; return its number."""
        number = len(self.ids)
        self.ids.append(group_id)
        self.number[group_id] = number
        self._tabulate(group_id, number)
        self.seen.append(0)
        self.count.append(0)
        self.threshold.append(np.inf)
        self.cap.append(_NO_CAP)
        self.since.append(0)
        self.sound.append(np.inf)
        self._serial.append(self._born)
        self._draws.append(0)
        self._drawn_at.append(at)
        self._level = np.append(self._level, self._draw_priority(self._born, 0))
        self._born += 1
        if self._announced is not None:
            self.set_caps()
        return number

    def number_all(self, ids: Ints, most: int, start: int) -> Ints | None:
        """Return each row's group number, adding groups in order of appearance: int64[n].

        The rows have the numbers from ``start`` + 1 on. None, and nothing added, if there would be
        more than ``most`` groups.
        """
        if len(self.ids) <= most and ids.min() >= 0 and ids.max() < len(self._table):
            numbers: Ints = self._table[ids]
            if numbers.min() >= 0:
                return numbers
        found, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        new = [i for i in np.argsort(first).tolist() if int(found[i]) not in self.number]
        if len(self.ids) + len(new) > most:
            return None
        for i in new:
            self.add(int(found[i]), start + int(first[i]) + 1)
        return np.array([self.number[i] for i in found.tolist()], np.int64)[inverse]

    def offer(self, rows: Ints) -> None:
        """Count rows that were offered to each group: int64[groups]."""
        self.seen = [a + b for a, b in zip(self.seen, rows.tolist(), strict=True)]

    def change(self, group: int, rows: int) -> None:
        """Count rows that a group has gained, or lost."""
        self.count[group] += rows
        self._level[group] += rows

    def set_counts(self, counts: Ints, at: int) -> None:
        """Set how many rows each group has, int64[groups], after ``at`` rows."""
        self._level = self._level % 1.0 + counts
        before, self.count = self.count, counts.tolist()
        for group, count in enumerate(self.count):
            # one that never turned a row away has all that were not deleted: still a fair sample
            if before[group] and not count and self.threshold[group] < np.inf:
                self.start_again(group, at)

    def start_again(self, group: int, at: int) -> None:
        """Reset a group that has no rows left after ``at`` rows: it accepts every new row."""
        self.threshold[group], self.sound[group] = np.inf, -np.inf
        self.since[group] = at

    def loosen(self, group: int, threshold: float, at: int) -> None:
        """Raise a group's threshold after ``at`` rows, so that more of the next rows are stored."""
        if self.threshold[group] < threshold:
            if self.is_sound(group):
                self.sound[group] = self.threshold[group]
            self.threshold[group] = threshold
            self.since[group] = at

    def merge(self, group: int, other: BufferGroups, number: int, at: int, shift: float) -> None:
        """Merge the statistics of the same group in another reservoir, over other rows.

        Those rows count as coming after ``at`` rows of this one, and their keys are shifted.
        """
        self.seen[group] += other.seen[number]
        if other.begun(number):
            self.since[group] = at + other.since[number]
        self.sound[group] = min(self.sound[group], other.sound[number] + shift)
        self.threshold[group] = min(self.threshold[group], other.threshold[number] + shift)

    def is_sound(self, group: int) -> bool:
        """Return whether rows from before and after the threshold was raised are stored alike."""
        return self.threshold[group] <= self.sound[group]

    def begun(self, group: int) -> int:
        """Return how many rows had been offered when the group's sample began."""
        return 0 if self.is_sound(group) else self.since[group]

    def deal(self, available: Ints) -> Ints:
        """Deal slots to groups that have so many rows to give; return quotas: int64[groups]."""
        if self._announced is not None:
            available = np.minimum(available, self.cap)
        return deal_slots(available, self._level % 1.0, self._store.max_size)

    def choose_victim(self, group: int) -> int:
        """Return the group that gives a row so that another can have one more."""
        if len(self.ids) == 1:
            return group
        level = self._level
        level[group] += 1.0
        victim = int(level.argmax())
        level[group] -= 1.0
        return victim

    def mean_chance(self, chances: list[float | None], *, full: bool) -> float | None:
        """Return the chance that a row is stored, given each group's; None if one is unknown.

        In a full buffer it is 0 for groups that have no row and would get no slot.
        """
        if full:
            for group in np.flatnonzero(self._shut_out()).tolist():
                chances[group] = 0.0
        known = [chance for chance in chances if chance is not None]
        if len(known) < len(chances):
            return None
        return float(np.average(known, weights=self.seen)) if known else 0.0

    def _shut_out(self) -> NDArray[np.bool_]:
        """Return which groups have no row and would get no slot of a full buffer: bool[groups]."""
        level = self._level
        top = int(level.argmax())
        wins: NDArray[np.bool_] = level + 1.0 > level[top]
        wins |= (level + 1.0 == level[top]) & (np.arange(len(level)) <= top)
        wins &= np.array(self.count) == 0
        return wins

    def draw_lots(self, group: int, at: int) -> None:
        """Draw again which groups own a slot, if groups are more than slots; called for each row.

        The groups with the lowest priorities own the slots: a fair lottery, whatever their ids and
        whenever they came. A group that still gets rows when the stream is twice as long as at its
        last draw draws again, so that no group goes without a slot for ever; a group that came and
        went draws once.
        """
        if at >= 2 * self._drawn_at[group]:
            self._drawn_at[group] = at
            self._draws[group] += 1
            priority = self._draw_priority(self._serial[group], self._draws[group])
            self._level[group] = self.count[group] + priority

    @property
    def too_many(self) -> bool:
        """Return whether groups without rows must be forgotten, so that memory stays bounded."""
        return len(self.ids) > _REMEMBERED + 4 * self._store.max_size

    def forget_oldest(self) -> Ints:
        """Forget most groups without rows, in the order in which they last drew.

        One that comes again draws as if it came for the first time. Returns each group's new
        number, int64[groups], -1 for those forgotten.
        """
        empty = np.flatnonzero(np.array(self.count) == 0)
        order = np.argsort(np.array(self._drawn_at)[empty], kind="stable")
        gone = empty[order[: max(0, len(empty) - _REMEMBERED // 4)]]
        stays = np.ones(len(self.ids), np.bool_)
        stays[gone] = False
        new = np.where(stays, np.cumsum(stays) - 1, -1)
        state = self.state_dict()
        for name, column in state.items():
            if isinstance(column, np.ndarray):
                state[name] = column[stays]
        self.load_state_dict(state)
        return new

    def state_dict(self) -> State:
        """Return everything that cannot be worked out from the rest."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state, and work out the rest."""
        self.STATE.load(self, state)
        self._to_come = []
        self.number = {group_id: number for number, group_id in enumerate(self.ids)}
        self._table = np.empty(0, np.int64)
        for group_id, number in self.number.items():
            self._tabulate(group_id, number)
        self.count = self._level.astype(np.int64).tolist()
        self.cap = [_NO_CAP] * len(self.ids)
        self.set_caps()

    def set_caps(self) -> None:
        """Work out `cap` for the groups there are and the store's ``max_size``."""
        if self._announced is None:
            return
        groups, max_size = max(self._announced, len(self.ids)), self._store.max_size
        if not self._to_come:  # once: each draw is a hash, and this is done for each new group
            self._to_come = [self._draw_priority(number, 0) for number in range(self._announced)]
        priority = np.append(self._level % 1.0, self._to_come[len(self.ids) :])
        shares = deal_slots(np.full(groups, max_size), priority, max_size)
        # with more groups than slots the lottery gives out slots: a cap of 0 would override it
        self.cap = np.maximum(shares, 1)[: len(self.ids)].tolist()

    def _tabulate(self, group_id: int, number: int) -> None:
        if 0 <= group_id < _TABLE:
            new = group_id + 1 - len(self._table)
            if new > 0:
                self._table = np.append(self._table, np.full(new, -1))
            self._table[group_id] = number

    def _draw_priority(self, serial: int, draw: int) -> float:
        """Return the priority that a group has after a number of draws."""
        bits = np.random.SeedSequence((self.lottery, serial, draw)).generate_state(1)[0]
        return float(bits >> (32 - _PRIORITY_BITS)) / (1 << _PRIORITY_BITS)
