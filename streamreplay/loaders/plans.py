"""Plans: which rows make up each batch of each epoch, and the groups of rows they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from streamreplay.columns import Ints
from streamreplay.groups import GroupIndex
from streamreplay.loaders.data import LoaderData, open_source
from streamreplay.loaders.dealing import Deal
from streamreplay.randomness import Seed

_BLOCK = 1 << 13  # rows planned at a time
_SMALL = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class RowGroup:
    """Rows that are dealt together.

    Attributes
    ----------
    size : int
    source : int
        Number of the dataset they are in.
    rows : int64[size] or None
        Which rows of it; None for all, in order.
    label : int
        What provenance calls the group.
    is_memory : bool
    """

    size: int
    source: int
    rows: Ints | None = None
    label: int = -1
    is_memory: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The rows of some batches, batch by batch, and within a batch by group.

    Attributes
    ----------
    sizes : int64[m]
        Rows in each batch.
    group : int64[k]
        Number of each row's group in the plan.
    offset : int64[k]
        Its place in the group's dataset.
    """

    sizes: Ints
    group: Ints
    offset: Ints


@final
class Plan:
    """The batches of every epoch, each a function of the seed, the epoch and its number.

    Parameters
    ----------
    groups : sequence of Group
    deals : sequence of Deal
        What each batch is put together from.
    seed : int or numpy.random.SeedSequence
    shuffle : bool
        Whether a group's rows come in a new random order each time it is gone through.
    drop_last : bool
        Whether an epoch leaves a short last batch out.

    Attributes
    ----------
    batches : int or None
        In an epoch: until the deals that have an end are dealt. None if no deal has one.
    words : list of int
        The seed as four words of 32 bits, which fit into any state.

    Raises
    ------
    ValueError
        ``drop_last`` leaves no batch.
    """

    def __init__(
        self,
        groups: Sequence[RowGroup],
        deals: Sequence[Deal],
        seed: Seed,
        *,
        shuffle: bool,
        drop_last: bool = False,
    ) -> None:
        self.groups = tuple(groups)
        self.deals = tuple(deals)
        self.batches = _count_batches(deals, drop_last=drop_last)
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.words = [int(word) for word in root.generate_state(4)]
        self.shuffle = shuffle
        self.rows_per_batch = max(1, sum(deal.per_batch for deal in deals))
        # Passes of tiny groups are drawn many at a time, within what all groups together may hold.
        self._at_once = max(1, min(1 << 12, (1 << 20) // max(1, len(self.groups))))
        self._drawn: dict[int, tuple[int, int, Ints]] = {}  # group: epoch, chunk, its offsets

    def __len__(self) -> int:
        if self.batches is None:
            raise TypeError("this loader has no end, and so no len()")
        return self.batches

    def reseed(self, words: list[int]) -> None:
        """Continue with another seed."""
        self.words = words
        self._drawn.clear()

    def blocks(self, epoch: int, start: int, rank: int = 0, world: int = 1) -> Iterator[Block]:
        """Plan an epoch from batch ``start`` of a rank on.

        Ranks take batches in turn; those that would go without at the end of the epoch take its
        first batches again, so that all have the same number.
        """
        some = max(1, _BLOCK // self.rows_per_batch)
        end = None if self.batches is None else -(-self.batches // world)
        while end is None or start < end:
            stop = start + some if end is None else min(start + some, end)
            numbers = np.arange(start, stop) * world + rank
            yield self.block(epoch, numbers if self.batches is None else numbers % self.batches)
            start = stop

    def block(self, epoch: int, numbers: Ints) -> Block:
        """Return the batches with these numbers, int64[m]."""
        dealt = [deal.rows(numbers) for deal in self.deals]
        place = np.concatenate([part.place for part in dealt])
        group = np.concatenate([part.group for part in dealt])
        turn = np.concatenate([part.turn for part in dealt])
        order = _stable_order(place * len(self.groups) + group, len(numbers) * len(self.groups))
        group = group[order]
        return Block(
            np.bincount(place, minlength=len(numbers)),
            group,
            self._offsets(epoch, group, turn[order]),
        )

    def _offsets(self, epoch: int, group: Ints, turn: Ints) -> Ints:
        """Return the next row of a group, given how many rows it has given."""
        order = _stable_order(group, len(self.groups))
        counts = np.bincount(group, minlength=len(self.groups))
        ends = np.cumsum(counts)
        offsets = np.empty_like(turn)
        for g in np.flatnonzero(counts).tolist():
            where = order[ends[g] - counts[g] : ends[g]]
            places = self._places(epoch, g, turn[where])
            rows = self.groups[g].rows
            offsets[where] = places if rows is None else rows[places]
        return offsets

    def _places(self, epoch: int, g: int, turn: Ints) -> Ints:
        n = self.groups[g].size
        if not self.shuffle:
            return turn % n
        chunk, within = np.divmod(turn, n * max(1, self._at_once // n))
        low, high = int(chunk.min()), int(chunk.max())
        if low == high:
            return self._chunk(epoch, g, low)[within]
        places = np.empty_like(turn)
        for c in np.unique(chunk).tolist():
            there = chunk == c
            places[there] = self._chunk(epoch, g, c)[within[there]]
        return places

    def _chunk(self, epoch: int, g: int, chunk: int) -> Ints:
        """Return the order of some passes through a group, one after the other."""
        drawn = self._drawn.get(g)
        if drawn is None or drawn[:2] != (epoch, chunk):
            n = self.groups[g].size
            seed = np.random.SeedSequence(self.words, spawn_key=(epoch, g, chunk))
            rng = np.random.Generator(np.random.PCG64(seed))
            passes = max(1, self._at_once // n)
            if passes == 1:
                order = rng.permutation(n)
            else:
                order = rng.permuted(np.tile(np.arange(n), (passes, 1)), axis=1).ravel()
            drawn = self._drawn[g] = (epoch, chunk, order)
        return drawn[2]


def _count_batches(deals: Sequence[Deal], *, drop_last: bool) -> int | None:
    """Return the batches of an epoch of the deals that have an end; None if none has."""
    rows = [(deal.length, deal.per_batch) for deal in deals if deal.length is not None]
    if not rows:
        return None
    batches = max(length // size if drop_last else -(-length // size) for length, size in rows)
    if not batches:
        raise ValueError(
            f"drop_last leaves no batch: {max(n for n, _ in rows)} rows are fewer than a batch of "
            f"{min(size for _, size in rows)}"
        )
    return batches


def open_datasets(datasets: Sequence[Any]) -> tuple[list[LoaderData], list[RowGroup]]:
    """Open datasets, and make a group of each that has rows."""
    opened = [open_source(f"datasets[{i}]", each) for i, each in enumerate(datasets)]
    if not any(source.size for source in opened):
        raise ValueError(f"datasets must have rows, got {len(opened)} without any")
    there = [(label, source) for label, source in enumerate(opened) if source.size]
    groups = [RowGroup(source.size, i, label=label) for i, (label, source) in enumerate(there)]
    return [source for _, source in there], groups


def by_task(source: LoaderData, tasks: Ints) -> list[RowGroup]:
    """Make a group of the rows of each task."""
    if not source.size:
        raise ValueError(f"{source.name} must have rows, got none")
    index = GroupIndex.of(tasks)
    return [
        RowGroup(int(index.counts[i]), 0, index.rows(i), label=int(task))
        for i, task in enumerate(index.ids)
    ]


def numbered(groups: Sequence[RowGroup], first: int = 0) -> tuple[list[int], list[int]]:
    """Return the numbers of groups in their plan, and their sizes."""
    return list(range(first, first + len(groups))), [group.size for group in groups]


def positive(name: str, value: int) -> int:
    """Return a count of at least 1; raise ValueError naming the parameter otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def _stable_order(keys: Ints, above: int) -> Ints:
    # numpy sorts 16-bit integers by radix: several times faster
    small = keys.astype(np.uint16) if above <= _SMALL else keys
    return np.argsort(small, kind="stable")
