import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.buffers.sampling.groups import deal_slots


def deal_in_rounds(available: list[int], priority: list[float], max_size: int) -> list[int]:
    quotas = [0] * len(available)
    order = sorted(range(len(available)), key=lambda g: (priority[g], -g))
    while max_size and quotas != available:
        for group in order:
            if max_size and quotas[group] < available[group]:
                quotas[group] += 1
                max_size -= 1
    return quotas


groups = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([0.1, 0.25, 0.5, 0.75])), max_size=12
)


@given(groups, st.integers(0, 100))
def test_deals_as_one_would_by_hand(groups: list[tuple[int, float]], max_size: int) -> None:
    available = [rows for rows, _ in groups]
    priority = [p for _, p in groups]
    counts = np.array(available, np.int64)
    quotas = deal_slots(counts, np.array(priority), max_size)
    assert quotas.tolist() == deal_in_rounds(available, priority, max_size)
    assert counts.tolist() == available  # its input is not written to
    assert quotas is not counts


@given(groups, st.integers(0, 100))
def test_uses_all_slots_and_differs_by_one(groups: list[tuple[int, float]], max_size: int) -> None:
    available = np.array([rows for rows, _ in groups], np.int64)
    quotas = deal_slots(available, np.array([p for _, p in groups]), max_size)
    assert quotas.sum() == min(available.sum(), max_size)
    short = quotas < available
    if short.any():
        assert quotas.max() - quotas[short].min() <= 1
