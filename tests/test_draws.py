import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.groups import share_out

counts_lists = st.lists(st.integers(1, 30), min_size=1, max_size=10)


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
    given = np.array(counts)
    shares, odd = share_out(given, k, turn, replacement=replacement)
    assert shares.tolist() == deal_one_by_one(counts, k, turn, replacement=replacement)
    assert given.tolist() == counts
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
