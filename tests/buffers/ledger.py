"""The rules of buffers as prose has them: slow, obvious, one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf, isnan, log, log1p

__all__ = ["Group", "Law", "Ledger", "Row", "decayed", "latest", "uniform"]

Law = Callable[[float, float], float]
"""Given a random number and when a row comes, its key."""


def uniform(u: float, _: float) -> float:
    return u


def latest(_: float, stamp: float) -> float:
    return -stamp


def decayed(half_life: float) -> Law:
    return lambda u, stamp: log(max(-log1p(-u), 5e-324)) - stamp * log(2) / half_life


@dataclass
class Row:
    """A row that was offered."""

    t: int
    group: int
    key: float
    stamp: float
    number: int
    """Which of the rows offered it was, from 1."""


@dataclass
class Group:
    """What is known of a group."""

    serial: int
    priority: float
    drawn_at: int
    threshold: float = inf
    draws: int = 0
    rows: list[Row] = field(default_factory=list)


class Ledger:
    """A buffer in pure Python.

    Parameters
    ----------
    max_size : int
    keys : iterator of float
        Random numbers, one for each row offered.
    priority : callable
        Given which group it is, by order of appearance, and how often it drew before.
    law : Law
    announced, ttl : optional
        As a buffer has them; ``ttl`` in whatever stamps count.
    """

    def __init__(
        self,
        max_size: int,
        keys: Iterator[float],
        priority: Callable[[int, int], float],
        *,
        law: Law = uniform,
        announced: int | None = None,
        ttl: float | None = None,
    ) -> None:
        self.max_size = max_size
        self.keys = keys
        self.priority = priority
        self.law = law
        self.announced = announced
        self.ttl = ttl
        self.groups: dict[int, Group] = {}
        self.offered: list[Row] = []
        """All rows that still count: neither expired nor forgotten."""
        self.seen = 0
        self.rows = 0
        """As `seen`, without those of other ledgers."""
        self.now = -inf
        self.loosened = -inf

    def offer(self, t: int, group: int, stamp: float | None = None) -> None:
        """Offer a row that comes at a stamp: by default its number; NaN for the latest stamp."""
        if stamp is None:
            stamp = float(self.rows + 1)
        if isnan(stamp):
            stamp = self.now
        self.now = max(self.now, stamp)
        if self.ttl is not None:
            if not stamp > self.now - self.ttl:
                return  # it comes too late
            self.expire()
        self.seen += 1
        self.rows += 1
        row = Row(t, group, self.law(next(self.keys), stamp), stamp, self.seen)
        self.offered.append(row)
        if group not in self.groups:
            self.add(group, self.seen)
        its = self.groups[group]
        if len(self.groups) > self.max_size and self.seen >= 2 * its.drawn_at:
            its.drawn_at = self.seen
            its.draws += 1
            its.priority = self.priority(its.serial, its.draws)
        if row.key < its.threshold:
            its.rows.append(row)
            self.fit()

    def add(self, group: int, at: int) -> None:
        serial = len(self.groups)
        self.groups[group] = Group(serial, self.priority(serial, 0), at)
        self.fit()

    @property
    def size(self) -> int:
        return sum(len(group.rows) for group in self.groups.values())

    def caps(self) -> dict[int, int]:
        """Rows that each group may have, in rounds, the lowest priority first."""
        if self.announced is None:
            return dict.fromkeys(self.groups, 1 << 60)
        known = [(g.priority, -g.serial, name) for name, g in self.groups.items()]
        number = max(self.announced, len(known))
        coming = [(self.priority(n, 0), -n, None) for n in range(len(known), number)]
        order = [name for _, _, name in sorted([*known, *coming], key=lambda each: each[:2])]
        caps = dict.fromkeys(self.groups, 0)
        for slot in range(self.max_size):
            name = order[slot % number]
            if name is not None:
                caps[name] += 1
        return {name: max(cap, 1) for name, cap in caps.items()}

    def fit(self) -> None:
        """Let the largest groups give their largest keys until all have what they may have."""
        if self.announced is not None:
            for name, cap in self.caps().items():
                while len(self.groups[name].rows) > cap:
                    self.evict(self.groups[name])
        while self.size > self.max_size:
            self.evict(max(self.groups.values(), key=lambda g: (len(g.rows), g.priority)))

    def evict(self, group: Group) -> None:
        largest = max(group.rows, key=lambda row: row.key)
        group.rows.remove(largest)
        group.threshold = largest.key if group.rows else inf

    def expire(self) -> None:
        if self.ttl is None:
            return
        gone = self.delete(lambda row: row.stamp <= self.now - (self.ttl or 0))
        if (
            gone
            and 2 * self.size < self.max_size
            and self.now >= self.loosened + self.ttl
            and any(group.threshold < inf for group in self.groups.values())
        ):
            self.loosened = self.now
            if self.law is uniform:
                for group in self.groups.values():
                    group.threshold = 2 * group.threshold if group.threshold < 0.5 else inf

    def delete(self, where: Callable[[Row], bool]) -> int:
        """Delete rows; one that was not stored counts no longer either."""
        self.offered = [row for row in self.offered if not where(row)]
        gone = 0
        for group in self.groups.values():
            stays = [row for row in group.rows if not where(row)]
            if len(stays) < len(group.rows):
                gone += len(group.rows) - len(stays)
                group.rows = stays
                group.threshold = group.threshold if stays else inf
        return gone

    def forget(self, where: Callable[[Row], bool]) -> int:
        """Delete rows; where there is room again, rows come in as after growing."""
        if any(where(row) for group in self.groups.values() for row in group.rows):
            for name, cap in self.caps().items():
                group = self.groups[name]
                if self.size == self.max_size or len(group.rows) == cap:
                    self.tighten(group)
        return self.delete(where)

    def tighten(self, group: Group) -> None:
        if group.threshold < inf:
            group.threshold = max(row.key for row in group.rows)

    def resize(self, max_size: int, *, refill: bool) -> None:
        if max_size > self.max_size:
            for group in self.groups.values():
                self.tighten(group)
        self.max_size = max_size
        self.fit()
        if refill and self.size < max_size:
            for group in self.groups.values():
                group.threshold = inf

    def merge(self, other: Ledger) -> None:
        """Take in all rows of another ledger as if they came after these.

        Where stamps count rows, both parts end at the same stamp.
        """
        shift = self.rows - other.rows
        theirs = {
            name: (
                self.shifted(group.threshold, shift),
                [self.moved(row, shift) for row in group.rows],
            )
            for name, group in other.groups.items()
        }
        for place, (name, (threshold, _)) in enumerate(theirs.items()):
            if name not in self.groups:
                serial = len(self.groups)
                self.groups[name] = Group(serial, self.priority(serial, 0), self.seen + place + 1)
            mine = self.groups[name]
            mine.threshold = min(mine.threshold, threshold)
        for name, group in self.groups.items():
            rows = [*group.rows, *theirs.get(name, (inf, []))[1]]
            group.rows = [row for row in rows if row.key <= group.threshold]
            if not group.rows:
                group.threshold = inf
        self.offered += [self.moved(row, shift) for row in other.offered]
        self.seen += other.seen
        self.now = max(self.now, other.now)
        self.fit()

    def shifted(self, key: float, shift: float) -> float:
        """Return the key that a row would have had that much later, where keys know of time."""
        if self.law is uniform:
            return key
        return key + self.law(0.5, shift) - self.law(0.5, 0.0)

    def moved(self, row: Row, shift: float) -> Row:
        key = self.shifted(row.key, shift)
        return Row(row.t, row.group, key, row.stamp, row.number + self.seen)

    def stored(self) -> list[int]:
        return sorted(row.t for group in self.groups.values() for row in group.rows)
