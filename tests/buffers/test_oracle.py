"""The vectorised reservoir against slow ones that take a row at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import inf
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers import ExemplarsBuffer, ParametricBuffer
from streamreplay.buffers.sampling import groups as grouping_module
from streamreplay.buffers.sampling import keyed_reservoir as reservoir_module
from streamreplay.buffers.sampling import keys as keys_module
from streamreplay.buffers.storage import column_store as storage_module
from streamreplay.randomness import spawn_seed


class Dealer:
    """Each group's smallest keys, as many as dealing slots in rounds gives it; nothing else.

    Looks back at the whole stream, so it knows no threshold, no eviction and no order of rows.
    """

    def __init__(self, max_size: int, priorities: Any) -> None:
        self.max_size = max_size
        self.priority = priorities
        self.rows: dict[int, list[tuple[float, int]]] = {}

    def offer(self, t: int, key: float, group: int) -> None:
        self.rows.setdefault(group, []).append((key, t))

    def stored(self) -> list[int]:
        number = {group: n for n, group in enumerate(self.rows)}
        # of two groups with one priority the later is served first
        order = sorted(self.rows, key=lambda g: (self.priority(number[g], 0), -number[g]))
        quota = dict.fromkeys(order, 0)
        slots = self.max_size
        for turn in range(1, max(map(len, self.rows.values()), default=0) + 1):
            for group in order:
                if slots and len(self.rows[group]) >= turn:
                    quota[group] += 1
                    slots -= 1
        return sorted(t for g, rows in self.rows.items() for _, t in sorted(rows)[: quota[g]])


class Scribe:
    """The rules as prose has them, for one row at a time, also for more groups than slots."""

    def __init__(self, max_size: int, priorities: Any) -> None:
        self.max_size = max_size
        self.draw = priorities
        self.rows: dict[int, list[tuple[float, int]]] = {}
        self.total = 0
        self.drawn_at: dict[int, int] = {}
        self.draws: dict[int, int] = {}
        self.priority: dict[int, float] = {}
        self.threshold: dict[int, float] = {}

    def offer(self, t: int, key: float, group: int) -> None:
        self.total += 1
        if group not in self.rows:
            self.priority[group] = self.draw(len(self.rows), 0)
            self.rows[group], self.threshold[group] = [], inf
            self.drawn_at[group], self.draws[group] = self.total, 0
        if len(self.rows) > self.max_size and self.total >= 2 * self.drawn_at[group]:
            self.drawn_at[group] = self.total
            self.draws[group] += 1
            self.priority[group] = self.draw(list(self.rows).index(group), self.draws[group])
        if key >= self.threshold[group]:
            return
        self.rows[group].append((key, t))
        if sum(map(len, self.rows.values())) > self.max_size:
            self.evict(max(self.rows, key=lambda g: (len(self.rows[g]), self.priority[g])))

    def evict(self, group: int) -> None:
        largest = max(self.rows[group])
        self.rows[group].remove(largest)
        self.threshold[group] = largest[0] if self.rows[group] else inf

    def resize(self, max_size: int) -> None:
        if max_size > self.max_size:
            for group, threshold in self.threshold.items():
                self.threshold[group] = inf if threshold == inf else max(self.rows[group])[0]
        self.max_size = max_size
        while sum(map(len, self.rows.values())) > max_size:
            self.evict(max(self.rows, key=lambda g: (len(self.rows[g]), self.priority[g])))

    def stored(self) -> list[int]:
        return sorted(t for rows in self.rows.values() for _, t in rows)


@contextmanager
def limits(few: int, block: int) -> Iterator[None]:
    """Move the points from which whole batches are taken at once, so that small tests pass them."""
    with (
        mock.patch.object(reservoir_module, "_FEW", few),
        mock.patch.object(storage_module, "_FEW", min(few, 8)),
        mock.patch.object(storage_module, "_BLOCK", 5),
        mock.patch.object(keys_module, "_BLOCK", block),
    ):
        yield


def build(max_size: int, by: GroupBy | None, seed: int) -> tuple[ExemplarsBuffer, Any]:
    buffer = ParametricBuffer(max_size, by, seed=seed)
    return buffer, buffer._reservoir.groups._draw_priority


def true_keys(seed: int, n: int) -> list[float]:
    root = spawn_seed(spawn_seed(seed, "reservoir"), "keys")
    keys: list[float] = np.random.Generator(np.random.PCG64(root)).random(n).tolist()
    return keys


def batches(groups: list[int], cuts: list[int]) -> Iterator[Batch]:
    """Cut a stream; a row's feature is its position, so that content can be told from address."""
    edges = sorted({0, len(groups), *(c for c in cuts if c < len(groups))})
    for a, b in pairwise(edges):
        yield Batch.from_arrays(np.arange(a, b, dtype=np.float32)[:, None], groups[a:b], start=a)


def stored(buffer: ExemplarsBuffer) -> list[int]:
    """Return the stored positions, having checked that each slot's columns belong together."""
    if not buffer.seen:
        return []
    memory = buffer.buffer
    np.testing.assert_array_equal(memory.x[:, 0], memory.t)
    reservoir = buffer._reservoir
    numbers = [reservoir.groups.ids.index(y if buffer.by else 0) for y in memory.y.tolist()]
    assert reservoir.group[: len(memory)].tolist() == numbers
    assert reservoir.groups.count == np.bincount(numbers, minlength=len(reservoir.groups)).tolist()
    np.testing.assert_array_equal(np.floor(reservoir.groups._level), reservoir.groups.count)
    index = buffer._store.groups("class")
    assert index.ids.tolist() == sorted(set(memory.y.tolist()))
    for place, label in enumerate(index.ids.tolist()):
        assert index.rows(place).tolist() == np.flatnonzero(memory.y == label).tolist()
    return sorted(memory.t.tolist())


few = st.sampled_from([0, 3, 32])
blocks = st.sampled_from([16, 4096])
cut_lists = st.lists(st.integers(1, 200), max_size=25)


@settings(max_examples=150, deadline=None)
@given(
    groups=st.lists(st.integers(0, 4), max_size=200),
    cuts=cut_lists,
    max_size=st.integers(5, 40),
    few=few,
    block=blocks,
    by=st.sampled_from([None, "class"]),
)
def test_keeps_the_smallest_keys_under_quotas_dealt_in_rounds(
    groups: list[int], cuts: list[int], max_size: int, few: int, block: int, by: GroupBy | None
) -> None:
    with limits(few, block):
        buffer, priorities = build(max_size, by, seed=5)
        oracle = Dealer(max_size, priorities)
        keys = true_keys(5, len(groups))
        for batch in batches(groups, cuts):
            buffer.update(batch)
            for t, group in zip(batch.t.tolist(), batch.y.tolist(), strict=True):
                oracle.offer(t, keys[t], group if by else 0)
            assert stored(buffer) == oracle.stored()


@settings(max_examples=150, deadline=None)
@given(
    groups=st.lists(st.integers(0, 15), max_size=200),
    cuts=cut_lists,
    max_size=st.integers(0, 12),
    few=few,
    seed=st.integers(0, 3),
)
@example(groups=list(range(10)) * 20, cuts=[3, 50, 51], max_size=4, few=0, seed=0)
def test_more_groups_than_slots_follow_the_rules_row_by_row(
    groups: list[int], cuts: list[int], max_size: int, few: int, seed: int
) -> None:
    with limits(few, 16):
        buffer, priorities = build(max_size, "class", seed)
        oracle = Scribe(max_size, priorities)
        keys = true_keys(seed, len(groups))
        for batch in batches(groups, cuts):
            buffer.update(batch)
            for t, group in zip(batch.t.tolist(), batch.y.tolist(), strict=True):
                oracle.offer(t, keys[t], group)
            assert stored(buffer) == oracle.stored()


@settings(max_examples=200, deadline=None)
@given(
    groups=st.lists(st.integers(0, 5), min_size=30, max_size=200),
    cuts=cut_lists,
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    few=few,
    by=st.sampled_from([None, "class"]),
    seed=st.integers(0, 3),
)
@example(groups=[0] * 29 + [1], cuts=[1, 2], sizes=[0, 1], few=0, by="class", seed=0)
def test_resizing_between_batches_follows_the_rules_row_by_row(
    groups: list[int],
    cuts: list[int],
    sizes: list[int],
    few: int,
    by: GroupBy | None,
    seed: int,
) -> None:
    with limits(few, 64):
        buffer, priorities = build(20, by, seed)
        oracle = Scribe(20, priorities)
        keys = true_keys(seed, len(groups))
        for turn, batch in enumerate(batches(groups, cuts)):
            buffer.update(batch)
            for t, group in zip(batch.t.tolist(), batch.y.tolist(), strict=True):
                oracle.offer(t, keys[t], group if by else 0)
            assert stored(buffer) == oracle.stored()
            if turn < len(sizes):
                buffer.resize(sizes[turn])
                oracle.resize(sizes[turn])
                assert stored(buffer) == oracle.stored()


@pytest.mark.parametrize("by", [None, "class"])
def test_a_grown_buffer_takes_no_key_above_its_threshold(by: GroupBy | None) -> None:
    """Places found for a higher limit in the same block of keys must not come back after growth."""
    buffer, priorities = build(200, by, seed=0)
    oracle = Scribe(200, priorities)
    keys = true_keys(0, 1500)
    for start in range(0, 1500, 100):
        if start == 500:
            buffer.resize(900)
            oracle.resize(900)
        x = np.arange(start, start + 100, dtype=np.float32)[:, None]
        batch = Batch.from_arrays(x, [0] * 100, start=start)
        buffer.update(batch)
        for t in range(start, start + 100):
            oracle.offer(t, keys[t], 0)
        assert stored(buffer) == oracle.stored()


@pytest.mark.parametrize("by", [None, "class"])
@pytest.mark.parametrize("few", [2, 32])
def test_small_and_large_batches_in_turn(by: GroupBy | None, few: int) -> None:
    """Single rows, whole blocks and changes of size, with keys of what came before kept sorted."""
    rng = np.random.default_rng(few)
    labels = rng.integers(0, 1 + np.arange(4000) // 700).tolist()
    with limits(few, 512):
        buffer, priorities = build(50, by, seed=few)
        oracle = Scribe(50, priorities)
        keys = true_keys(few, len(labels))
        steps = np.cumsum(rng.choice([1, 1, 1, 2, 40, 150], 120))
        for turn, batch in enumerate(batches(labels, steps.tolist())):
            buffer.update(batch)
            for t, group in zip(batch.t.tolist(), batch.y.tolist(), strict=True):
                oracle.offer(t, keys[t], group if by else 0)
            if turn % 11 == 10:
                size = int(rng.integers(20, 80))
                buffer.resize(size)
                oracle.resize(size)
            assert stored(buffer) == oracle.stored()


@pytest.mark.parametrize("few", [0, 32])
@pytest.mark.parametrize("seed", range(4))
def test_groups_with_one_priority_are_told_apart_alike_in_both_ways(few: int, seed: int) -> None:
    labels = (np.arange(600) * 7 % 11).tolist()
    with limits(few, 64), mock.patch.object(grouping_module, "_PRIORITY_BITS", 1):
        buffer, priorities = build(35, "class", seed)
        oracle = Dealer(35, priorities)
        keys = true_keys(seed, len(labels))
        for batch in batches(labels, list(range(0, 600, 45))):
            buffer.update(batch)
            for t, group in zip(batch.t.tolist(), batch.y.tolist(), strict=True):
                oracle.offer(t, keys[t], group)
            assert stored(buffer) == oracle.stored()


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 9), min_size=1, max_size=150),
    one=cut_lists,
    other=cut_lists,
    max_size=st.integers(0, 30),
    by=st.sampled_from([None, "class"]),
)
def test_cuts_do_not_matter(
    groups: list[int], one: list[int], other: list[int], max_size: int, by: GroupBy | None
) -> None:
    with limits(2, 32):
        ends = []
        for cuts in (one, other):
            buffer, _ = build(max_size, by, seed=1)
            for batch in batches(groups, cuts):
                buffer.update(batch)
            ends.append(
                (stored(buffer), buffer._reservoir.groups.threshold, buffer._reservoir.groups.seen)
            )
    assert ends[0] == ends[1]
