import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamreplay.groups import GroupIndex, share_out

small = st.integers(0, 9)
huge = st.integers(-(2**63), 2**63 - 1)
counts_lists = st.lists(st.integers(1, 30), min_size=1, max_size=10)
edge = st.sampled_from([0, 65535, 65536, -1])


@given(st.one_of([st.lists(ids, max_size=60) for ids in (small, st.integers(-5, 5), huge, edge)]))
@example([])
@example([65535, 0, 65535])
@example([65536, 0, 65536])
@example([-1])
def test_is_a_dict_of_lists(values: list[int]) -> None:
    oracle: dict[int, list[int]] = {}
    for row, value in enumerate(values):
        oracle.setdefault(value, []).append(row)
    column = np.array(values, np.int64)
    index = GroupIndex.of(column)
    assert len(index) == len(oracle)
    assert index.ids.tolist() == sorted(oracle)
    assert index.counts.tolist() == [len(oracle[value]) for value in sorted(oracle)]
    rows = {value: index.rows(place).tolist() for place, value in enumerate(index.ids.tolist())}
    assert rows == oracle
    assert index.order.tolist() == [row for value in sorted(oracle) for row in oracle[value]]
    assert column.tolist() == values  # its input is not written to


@pytest.mark.parametrize("values", [[], [3, 1], [-4, 70_000]])
def test_types(values: list[int]) -> None:
    index = GroupIndex.of(np.array(values, np.int64))
    for column in (index.ids, index.counts, index.starts, index.order):
        assert column.dtype == np.int64


def test_the_source_may_change_afterwards() -> None:
    column = np.array([1, 0, 1])
    index = GroupIndex.of(column)
    column[:] = 5
    assert index.rows(1).tolist() == [0, 2]


def deal_one_by_one(counts: list[int], k: int, turn: int, *, replacement: bool) -> list[int]:
    """Deal full rounds to all groups with rows left; what is left goes to some of them in turn."""
    shares = [0] * len(counts)
    while True:
        room = [g for g, n in enumerate(counts) if replacement or shares[g] < n]
        if k < len(room) or not room:
            break
        for group in room:
            shares[group] += 1
            k -= 1
    for i in range(k if room else 0):
        shares[room[(turn + i) % len(room)]] += 1
    return shares


@given(counts_lists, st.integers(0, 80), st.integers(0, 1000), st.booleans())
def test_deals_as_one_would_by_hand(
    counts: list[int], k: int, turn: int, replacement: bool
) -> None:
    column = np.array(counts)
    shares, odd = share_out(column, k, turn, replacement=replacement)
    assert shares.tolist() == deal_one_by_one(counts, k, turn, replacement=replacement)
    assert column.tolist() == counts
    assert 0 <= odd < len(counts)


@given(counts_lists, st.integers(0, 80), st.integers(0, 1000), st.booleans())
def test_shares_differ_by_one_and_sum_to_what_there_is(
    counts: list[int], k: int, turn: int, replacement: bool
) -> None:
    shares, _ = share_out(np.array(counts), k, turn, replacement=replacement)
    if replacement:
        assert shares.sum() == k
        assert shares.max() - shares.min() <= 1
        return
    assert shares.sum() == min(k, sum(counts))
    assert (shares <= counts).all()
    short = shares < counts
    assert not short.any() or shares.max() - shares[short].min() <= 1


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(
    ("counts", "k"), [([10, 4, 2], 8), ([9] * 7, 3), ([50, 50, 1], 8), ([50, 50, 1], 7), ([3], 2)]
)
def test_the_odd_ones_go_round(counts: list[int], k: int, replacement: bool) -> None:
    turn, total = 0, np.zeros(len(counts), np.int64)
    for _ in range(40):
        shares, odd = share_out(np.array(counts), k, turn, replacement=replacement)
        turn += odd
        total += shares
        alike = total[np.array(counts) > k // len(counts)] if not replacement else total
        assert alike.max() - alike.min() <= 1
