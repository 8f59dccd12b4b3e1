"""How a class-balanced buffer shares its slots out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    TaskBalancedBuffer,
)


def rows(labels: NDArray[np.int64] | list[int], start: int = 0) -> Batch:
    return Batch.from_arrays(np.zeros((len(labels), 1), np.float32), labels, start=start)


def sizes(buffer: ExemplarsBuffer) -> dict[int, int]:
    return {label: len(group) for label, group in buffer.buffer_groups.items()}


def owners(labels: NDArray[np.int64], max_size: int, seed: int) -> list[int]:
    buffer = ClassBalancedBuffer(max_size, seed)
    buffer.update(rows(labels))
    assert len(buffer) == max_size
    return sorted(sizes(buffer))


@pytest.mark.parametrize("chunk", [1, 10, 1003])
@pytest.mark.parametrize("rare_first", [False, True])
def test_what_a_rare_class_leaves_goes_to_the_others(chunk: int, rare_first: bool) -> None:
    labels = np.repeat([1, 0] if rare_first else [0, 1], [3, 1000] if rare_first else [1000, 3])
    buffer = ClassBalancedBuffer(100)
    for a in range(0, len(labels), chunk):
        buffer.update(rows(labels[a : a + chunk]))
    assert sizes(buffer) == {0: 97, 1: 3}


@pytest.mark.parametrize("chunk", [1, 40])
def test_a_class_gives_back_what_another_needs(chunk: int) -> None:
    buffer = ClassBalancedBuffer(100)
    buffer.update(rows([0] * 1000))
    offered = 0
    while offered < 80:
        buffer.update(rows([1] * chunk))
        offered += chunk
        assert sizes(buffer) == {0: 100 - min(offered, 50), 1: min(offered, 50)}
    buffer.update(rows([2] * 2))
    assert sizes(buffer) == {0: 49, 1: 49, 2: 2}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=150), st.integers(7, 60), st.integers(1, 40))
def test_quotas_differ_by_one_and_use_every_slot(
    labels: list[int], max_size: int, chunk: int
) -> None:
    buffer = ClassBalancedBuffer(max_size)
    for a in range(0, len(labels), chunk):
        buffer.update(rows(labels[a : a + chunk]))
        offered = np.bincount(labels[: a + chunk], minlength=7)
        held = np.array([sizes(buffer).get(label, 0) for label in range(7)])
        assert held.sum() == len(buffer) == min(offered.sum(), max_size)
        short = held < offered
        assert not short.any() or held.max() - held[short].min() <= 1


def test_the_odd_slots_are_drawn_and_not_read_off_the_labels() -> None:
    """10 slots for 4 classes, 2 odd ones: each class gets one in half of the runs.

    A correct program fails in one of 10,000 choices of seeds.
    """
    runs = 300
    odd = np.zeros(4)
    for seed in range(runs):
        buffer = ClassBalancedBuffer(10, seed)
        buffer.update(rows(np.tile(np.arange(4), 20)))
        odd += [sizes(buffer)[label] == 3 for label in range(4)]
    assert odd.sum() == 2 * runs
    statistic = ((odd - runs / 2) ** 2).sum() / (runs / 4) * 3 / 4
    assert chi2.sf(statistic, 3) > 1e-4


orders = {
    "in turn": np.tile(np.arange(10), 20),
    "shuffled": np.random.default_rng(0).permutation(np.repeat(np.arange(10), 20)),
    "one row each, one after the other": np.arange(10),
}


@pytest.mark.parametrize("order", orders)
def test_more_classes_than_slots_own_them_by_a_fair_lottery(order: str) -> None:
    """5 of 10 classes: each in half of the runs, also the first to come and the last.

    A correct program fails in one of 10,000 choices of seeds.
    """
    runs = 250
    owned = np.zeros(10)
    for seed in range(runs):
        owned[owners(orders[order], 5, seed)] += 1
    assert owned.sum() == 5 * runs
    statistic = ((owned - runs / 2) ** 2).sum() / (runs / 4) * 9 / 10
    assert chi2.sf(statistic, 9) > 1e-4


def test_classes_that_came_and_went_are_not_forgotten_for_later_ones() -> None:
    """10 classes, one after the other, for 5 slots: the old ones share what the last one leaves.

    A class owns a slot in about 0.45 of the runs, with a standard error of 0.03: a correct program
    fails in one of 10,000 choices of seeds.
    """
    runs = 250
    owned = np.zeros(10)
    for seed in range(runs):
        owned[owners(np.repeat(np.arange(10), 20), 5, seed)] += 1
    assert (np.abs(owned[:9] / runs - 4.0 / 9) < 0.15).all()


@pytest.mark.parametrize("order", orders)
def test_owners_do_not_depend_on_label_values(order: str) -> None:
    labels = orders[order]
    names = np.random.default_rng(1).permutation(10_000)[:10]
    for seed in range(10):
        same = sorted(names[owners(labels, 5, seed)].tolist())
        assert owners(names[labels], 5, seed) == same


def test_no_class_is_starved_for_ever() -> None:
    """In each doubling of the stream 5 of 8 classes own a slot, drawn anew.

    A class that misses all 11 draws would be seen once in 6,000 choices of the seed.
    """
    buffer = ClassBalancedBuffer(5, seed=0)
    had = set()
    for _ in range(2048 // 16):
        buffer.update(rows(np.tile(np.arange(8), 16)))
        had |= set(sizes(buffer))
    assert had == set(range(8))


def test_the_oldest_and_the_newest_of_a_thousand_experiences_are_both_kept() -> None:
    """200 slots for 1,000 experiences of 10 rows; a tenth expects 20 of them.

    Hypergeometric with 3.8 standard deviations below the mean at 5: once in 10,000 seeds.
    """
    buffer = ParametricBuffer(200, "experience", seed=0)
    for experience in range(1000):
        x = np.zeros((10, 1), np.float32)
        buffer.update(Batch.from_arrays(x, [0] * 10, experience=experience, start=10 * experience))
    kept = buffer.buffer.experience
    assert len(kept) == len(set(kept.tolist())) == 200
    assert (kept < 100).sum() > 5
    assert (kept >= 900).sum() > 5


@pytest.mark.parametrize("by", ["class", "task", "experience"])
def test_shares_out_by_the_column_asked_for(by: str) -> None:
    buffer = ParametricBuffer(12, by, seed=0)  # type: ignore[arg-type]
    t = np.arange(60)
    buffer.update(Batch.from_arrays(np.zeros((60, 1)), t % 2, task=t % 3, experience=7))
    expected = {"class": {0: 6, 1: 6}, "task": {0: 4, 1: 4, 2: 4}, "experience": {7: 12}}[by]
    assert sizes(buffer) == expected


def experiences(seed: int, size: int = 200) -> NDArray[np.int64]:
    """Feed 1,000 experiences of 10 rows; return which of them own a slot."""
    buffer = ExperienceBalancedBuffer(size, seed)
    experience = np.repeat(np.arange(1000), 10)
    for start in range(0, 10_000, 500):
        part = slice(start, start + 500)
        x = np.zeros((500, 1), np.float32)
        buffer.update(Batch.from_arrays(x, [0] * 500, experience=experience[part], start=start))
    owners = buffer.buffer.experience
    assert len(owners) == len(set(owners.tolist())) == size
    return owners


def test_a_thousand_experiences_own_slots_alike_by_tenths() -> None:
    """200 of 1,000 in 20 runs, by tenths: uniform, and the newest tenth no better off.

    The last experience is served as it arrives and can own a slot only by lot like all others. A
    correct program fails in one of 10,000 choices of seeds.
    """
    runs = 20
    owners = np.concatenate([experiences(seed) for seed in range(runs)])
    found = np.bincount(owners // 100, minlength=10)
    mean = 20 * runs
    # without replacement: the variance is 0.8 of that of independent draws
    assert chi2.sf(((found - mean) ** 2).sum() / mean / 0.8, 9) > 1e-4
    assert abs(found[-1] - mean) < 4 * np.sqrt(0.8 * 0.9 * mean)  # once in 15,000


@pytest.mark.parametrize("names", [list(range(12)), [901, 5, 77, 3, 44, 10**9, 2, 8, -7, 6, 1, 0]])
def test_recurring_classes_all_own_a_slot_at_some_time(names: list[int]) -> None:
    """4 slots for 12 classes over 8 doublings, 20 runs: each class owns a slot in a third of them.

    At the end of each doubling 4 of 12 own one: a class is missed 9 times in a row in
    (2/3)^9 = 2.6 % of cases, 6.2 of 240 expected; more than 18 less than once in 10,000.
    """
    tasks = np.array(names)
    missed = 0
    owned = np.zeros(12)
    for seed in range(20):
        buffer = TaskBalancedBuffer(4, seed)
        had: set[int] = set()
        done = 0
        for total in [24 * 2**k for k in range(9)]:
            task = tasks[np.arange(done, total) % 12]
            x = np.zeros((total - done, 1), np.float32)
            buffer.update(Batch.from_arrays(x, [0] * len(x), task=task, start=done))
            had |= set(buffer.buffer_groups)
            done = total
        missed += 12 - len(had)
        owned += [name in buffer.buffer_groups for name in names]
    assert missed <= 18
    assert owned.sum() == 80
    # 4 of 12: a variance of 2/9 a run
    assert chi2.sf(((owned - 80 / 12) ** 2).sum() / (20 * 2 / 9) * 11 / 12, 11) > 1e-4
