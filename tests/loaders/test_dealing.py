"""Dealing in closed form against dealing one row at a time."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, cycle, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.loaders.dealing import Deal, deal_cycled, deal_endless, deal_once, deal_spread
from streamreplay.loaders.plans import Plan, RowGroup

Row = tuple[int, int]  # group, and how many rows it has given before

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any)
KINDS = {"once": deal_once, "cycled": deal_cycled, "endless": deal_endless}


def slowly(kind: str, sizes: list[int], per_batch: int) -> Iterator[list[Row]]:
    """Deal rows like cards, and cut a batch whenever there are enough."""
    players = sorted((g for g, n in enumerate(sizes) if n), key=lambda g: -sizes[g])
    given_by: Counter[int] = Counter()
    batch: list[Row] = []
    largest = max(sizes)
    smaller = [g for g in players if sizes[g] < largest]
    rounds = 0
    while True:
        if kind == "cycled" and rounds == largest:
            players = smaller if batch else []  # they fill the last batch
        for g in players:
            if kind == "once" and given_by[g] == sizes[g]:
                continue
            batch.append((g, given_by[g]))
            given_by[g] += 1
            if len(batch) == per_batch:
                yield batch
                batch = []
                if kind == "cycled" and rounds >= largest:
                    return
        rounds += 1
        if (kind == "once" and rounds > largest) or (kind == "cycled" and not players):
            break
    if batch:
        yield batch


def rows(deal: Deal, numbers: list[int]) -> list[list[Row]]:
    dealt = deal.rows(np.array(numbers))
    batches: list[list[Row]] = [[] for _ in numbers]
    for place, group, turn in zip(dealt.place, dealt.group, dealt.turn, strict=True):
        batches[place].append((int(group), int(turn)))
    return batches


@pytest.mark.parametrize("kind", KINDS)
@given(SIZES, st.integers(1, 20), st.data())
def test_closed_form_is_dealing(
    kind: str, sizes: list[int], size: int, data: st.DataObject
) -> None:
    expected = list(islice(slowly(kind, sizes, size), 40 if kind == "endless" else None))
    deal = KINDS[kind](range(len(sizes)), sizes, size)
    if kind != "endless":
        assert deal.batches == len(expected)
    assert rows(deal, list(range(len(expected)))) == expected
    some = data.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1, max_size=5))
    assert rows(deal, some) == [expected[i] for i in some]


@given(SIZES, st.integers(1, 40))
def test_spreading_gives_no_batch_more_of_a_group_than_it_has(sizes: list[int], size: int) -> None:
    deals = deal_spread(range(len(sizes)), sizes, size)
    total: Counter[int] = Counter()
    for b in range(12):
        shares = Counter(g for deal in deals for g, _ in rows(deal, [b])[0])
        assert sum(shares.values()) == min(size, sum(sizes))
        assert all(shares[g] <= n for g, n in enumerate(sizes))
        level = max(shares.values())
        assert all(shares[g] >= min(n, level - 1) for g, n in enumerate(sizes))
        total += shares
    odd = [total[g] for deal in deals if len(deal.groups) > 1 for g in deal.groups.tolist()]
    assert not odd or max(odd) - min(odd) <= 1


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 7),
    st.booleans(),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_blocks_are_batches_one_at_a_time(
    sizes: list[int], size: int, shuffle: bool, world: int, start: int
) -> None:
    groups = [RowGroup(n, 0, np.arange(n) * 10 + g) for g, n in enumerate(sizes)]
    deal = deal_cycled(range(len(sizes)), sizes, size)

    def plan() -> Plan:
        return Plan(groups, [deal], 3, shuffle=shuffle)

    count = len(plan())
    for rank in range(world):
        found = []
        for block in plan().blocks(2, start, rank, world):
            cuts = np.cumsum(block.sizes)[:-1]
            parts = zip(np.split(block.group, cuts), np.split(block.offset, cuts), strict=True)
            found += [(group.tolist(), offset.tolist()) for group, offset in parts]
        expected = []
        for j in range(start, -(-count // world)):
            alone = plan().block(2, np.array([(j * world + rank) % count]))
            assert alone.group.tolist() == sorted(alone.group.tolist())
            expected.append((alone.group.tolist(), alone.offset.tolist()))
        assert found == expected


@given(st.integers(1, 30), st.integers(1, 7))
def test_each_pass_through_a_group_gives_every_row_once(n: int, size: int) -> None:
    plan = Plan([RowGroup(n, 0)], [deal_endless([0], [n], size)], 1, shuffle=True)
    blocks = chain.from_iterable(block.offset for block in plan.blocks(0, 0))
    offsets = list(islice(blocks, 5 * n))
    for a in range(0, 5 * n, n):
        assert sorted(offsets[a : a + n]) == list(range(n))


def test_passes_and_epochs_and_groups_are_shuffled_apart() -> None:
    n = 50
    groups = [RowGroup(n, 0), RowGroup(n, 0)]
    deals = [deal_endless([0], [n], n), deal_endless([1], [n], n)]
    plan = Plan(groups, deals, 1, shuffle=True)
    orders = [
        tuple(block.offset[a : a + n])
        for epoch in (0, 1)
        for block in [plan.block(epoch, np.arange(100))]
        for a in range(0, 200 * n, n)
    ]
    assert len(set(orders)) == len(orders) == 400


@pytest.mark.parametrize("n", [5, 5000])
def test_orders_are_uniform(n: int) -> None:
    """Which fifth of a group comes first, over 2,000 seeds, for small groups and large ones.

    A correct program fails for one choice of seeds in 10,000.
    """
    found = np.zeros(5, np.int64)
    for seed in range(2000):
        plan = Plan([RowGroup(n, 0)], [deal_once([0], [n], 1)], seed, shuffle=True)
        found[plan.block(0, np.array([0])).offset[0] * 5 // n] += 1
    assert chi2.sf(((found - 400) ** 2).sum() / 400, 4) > 1e-4


def test_a_plan_in_order() -> None:
    plan = Plan([RowGroup(3, 0)], [deal_endless([0], [3], 2)], 1, shuffle=False)
    offsets = next(iter(plan.blocks(0, 0))).offset.tolist()
    assert offsets == list(islice(cycle([0, 1, 2]), len(offsets)))
