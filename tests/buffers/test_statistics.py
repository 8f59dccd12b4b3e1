"""Whose rows are kept: laws, tested with fixed seeds.

Each test fails a correct program once in 10,000 choices of seeds at most, unless it says otherwise.
"""

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.buffers import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    TaskBalancedBuffer,
)
from streamreplay.buffers.selection import RandomExemplarsSelectionStrategy
from tests.buffers.sampling import FALSE_ALARM, feed, p_value

RUNS = range(200)


def test_p_value_sees_forgetting() -> None:
    recent = [t for t in range(500) for _ in range(10 + t // 100)]
    assert p_value(recent, 500, 10) < FALSE_ALARM
    assert p_value([*range(500)] * 10, 500, 10) > 0.99


@pytest.mark.parametrize("chunk", [1, 7, 500])
@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
def test_uniform_over_time(kind: Any, chunk: int) -> None:
    ages: list[int] = []
    for run in RUNS:
        buffer = kind(20, 1000 * chunk + run)
        ages += feed(buffer, np.zeros(500, np.int64), chunk).buffer.t.tolist()
    assert len(ages) == 20 * len(RUNS)
    assert p_value(ages, 500, 10, share=20 / 500) > FALSE_ALARM


@pytest.mark.parametrize("chunk", [1, 4])
def test_every_subset_is_equally_likely(chunk: int) -> None:
    """Pairwise inclusion, and all else: the 20 subsets of 3 rows out of 6."""
    runs = 1000
    found = Counter(
        tuple(sorted(feed(ReservoirSamplingBuffer(3, run), np.zeros(6, int), chunk).buffer.t))
        for run in range(runs)
    )
    counts = np.array([found[subset] for subset in combinations(range(6), 3)])
    assert counts.sum() == runs
    statistic = ((counts - runs / 20) ** 2).sum() / (runs / 20)
    assert chi2.sf(statistic, 19) > FALSE_ALARM


@pytest.mark.parametrize("chunk", [7, 100])
def test_uniform_within_each_class_when_classes_recur(chunk: int) -> None:
    # class 2 has 100 rows, the others 250; in every hundred rows all appear
    labels = np.tile([0, 1, 0, 1, 2, 0, 1, 0, 1, 0, 1, 2], 50)
    rank = np.zeros(len(labels), int)
    for label in range(3):
        rank[labels == label] = np.arange((labels == label).sum())
    ages: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for run in RUNS:
        memory = feed(ClassBalancedBuffer(30, run), labels, chunk).buffer
        assert np.bincount(memory.y).tolist() == [10, 10, 10]
        for label in ages:
            ages[label] += rank[memory.t[memory.y == label]].tolist()
    for label, n in ((0, 250), (1, 250), (2, 100)):
        # one of three tests at a third of the rate
        assert p_value(ages[label], n, 5, share=10 / n) > FALSE_ALARM / 3


@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
def test_uniform_after_shrinking(kind: Any) -> None:
    at_once: list[int] = []
    later: list[int] = []
    labels = np.zeros(200, int)
    for run in RUNS:
        buffer = feed(kind(40, run), labels, 23)
        buffer.resize(10)
        at_once += buffer.buffer.t.tolist()
        later += feed(buffer, labels, 23, start=200).buffer.t.tolist()
    assert len(at_once) == len(later) == 10 * len(RUNS)
    assert p_value(at_once, 200, 10, share=10 / 200) > FALSE_ALARM
    assert p_value(later, 400, 10, share=10 / 400) > FALSE_ALARM


@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
@pytest.mark.parametrize("chunk", [9, 100])
def test_growing_accepts_new_rows_no_more_often_than_old_ones(kind: Any, chunk: int) -> None:
    """5 of 50 rows are stored, a tenth; a new one then gets in by 5/51, not by chance of room.

    A row is taken in where its key is below the fifth smallest of 50: Beta(5, 46) in mean 5/51 and
    standard deviation 0.0413. With 100 rows a run, the mean over 600 runs is in error by less than
    4 x 0.0021 but for once in 10,000.
    """
    taken = []
    for run in range(600):
        buffer = feed(kind(5, run), np.zeros(50, int), 50)
        buffer.resize(200)
        t = feed(buffer, np.zeros(100, int), chunk, start=50).buffer.t
        assert (t < 50).sum() == 5
        taken.append((t >= 50).mean() * len(t) / 100)
    assert abs(np.mean(taken) - 5 / 51) < 4 * 0.0021


def test_uniform_over_time_while_growing_again_and_again() -> None:
    # sizes differ from run to run, so no share is taken off: the test is on the careful side
    ages: list[int] = []
    for run in RUNS:
        buffer: ExemplarsBuffer = ReservoirSamplingBuffer(30, run)
        for turn, size in enumerate((40, 60, 30, 90, 50)):
            feed(buffer, np.zeros(100, int), 13, start=100 * turn)
            buffer.resize(size)
        ages += buffer.buffer.t.tolist()
    assert p_value(ages, 500, 5) > FALSE_ALARM


def fixed(size: int, seed: int) -> ExemplarsBuffer:
    return ClassBalancedBuffer(size, seed, adaptive_size=False, total_num_classes=2)


def surprised(size: int, seed: int) -> ExemplarsBuffer:
    return ClassBalancedBuffer(size, seed, adaptive_size=False, total_num_classes=1)


def random_of_classes(size: int, seed: int) -> ExemplarsBuffer:
    return ParametricBuffer(size, "class", RandomExemplarsSelectionStrategy(), seed)


def random_of_all(size: int, seed: int) -> ExemplarsBuffer:
    return ParametricBuffer(size, None, RandomExemplarsSelectionStrategy(), seed)


@pytest.mark.parametrize("chunk", [3, 50])
@pytest.mark.parametrize(
    "kind",
    [
        ClassBalancedBuffer,
        TaskBalancedBuffer,
        ExperienceBalancedBuffer,
        fixed,
        surprised,
        random_of_classes,
        random_of_all,
    ],
)
def test_uniform_over_time_in_every_group_of_every_kind(kind: Any, chunk: int) -> None:
    """Two groups that take turns; the second one comes late, after 60 rows of the first."""
    group = np.concatenate([np.zeros(60, np.int64), np.arange(240) % 2])
    ages: dict[int, list[int]] = {0: [], 1: []}
    n = {0: 180, 1: 120}
    rank = np.where(group == 0, np.cumsum(group == 0) - 1, np.cumsum(group) - 1)
    for run in range(120):
        buffer = feed(kind(20, run), group, chunk, task=group, experience=group)
        stored = buffer.buffer
        assert len(stored) == 20
        for each in ages:
            ages[each] += rank[stored.t[stored.y == each]].tolist()
    if kind is random_of_all:
        assert p_value([*ages[0], *[180 + r for r in ages[1]]], 300, 10, 20 / 300) > FALSE_ALARM
    else:
        assert len(ages[0]) == len(ages[1]) == 10 * 120
    for each, found in ages.items():
        assert p_value(found, n[each], 10, share=10 / n[each]) > FALSE_ALARM / 2


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_each_fifth_of_the_stream_has_its_share(chunk: int) -> None:
    """M = 20 and 5 x 100 rows over 300 runs: shares within 4 standard errors of a fifth.

    4 standard errors, on 5 shares: a correct program fails in 3 of 10,000 choices of seeds.
    """
    stored = [
        feed(ReservoirSamplingBuffer(20, 7000 + run), np.zeros(500, int), chunk).buffer.t // 100
        for run in range(300)
    ]
    shares = np.bincount(np.concatenate(stored), minlength=5) / (20 * 300)
    error = np.sqrt(0.2 * 0.8 * (1 - 20 / 500) / (20 * 300))
    assert np.abs(shares - 0.2).max() < 4 * error


@pytest.mark.parametrize("chunk", [1, 7, 500])
@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer, fixed, surprised])
def test_the_cut_does_not_matter_at_all(kind: Any, chunk: int) -> None:
    """Not a law but rows: the same ones, whatever the chunk."""
    labels = np.random.default_rng(0).integers(0, 3, 500)
    whole, cut = feed(kind(20, 3), labels, 500), feed(kind(20, 3), labels, chunk)
    assert sorted(whole.buffer.t) == sorted(cut.buffer.t)


def test_pairwise_inclusion() -> None:
    """P(i and j stored) = M(M-1) / n(n-1): 10 of 30 rows, 400 runs, pairs near and far.

    Means over all pairs of one distance, where a sum of 400 x (30 - d) pairs is off by 4.5
    standard errors (taken as if pairs were independent, and once as wide again for safety) less
    than once in 10,000.
    """
    runs, n, m = 400, 30, 10
    expected = m * (m - 1) / (n * (n - 1))
    together = np.zeros((n, n))
    for run in range(runs):
        t = feed(ReservoirSamplingBuffer(m, run), np.zeros(n, int), 4).buffer.t
        together[np.ix_(t, t)] += 1
    for distance in range(1, 25):
        pairs = np.diag(together, distance)
        error = np.sqrt(expected * (1 - expected) / (runs * len(pairs)))
        assert abs(pairs.mean() / runs - expected) < 6 * error


def test_refill_says_from_where_on_it_is_fair_and_when_it_is_again() -> None:
    """After 300 rows the room is filled with whatever comes: rows since then are a fair sample.

    Once the newer ones are as sparse as the older ones all are, and `uniform_since` is 0.
    """
    since: list[int] = []
    later: list[int] = []
    returned: list[int] = []
    for run in RUNS:
        buffer = feed(ReservoirSamplingBuffer(10, run), np.zeros(300, int), 50)
        buffer.resize(30, refill=True)
        feed(buffer, np.zeros(60, int), 13, start=300)
        assert len(buffer) == 30
        assert buffer.uniform_since == 300
        t = buffer.buffer.t
        assert len(t[t >= 300]) >= 20
        since += (t[t >= 300] - 300).tolist()
        start = 360
        while start < 1800:
            feed(buffer, np.zeros(60, int), 13, start=start)
            start += 60
            if not buffer.uniform_since and len(returned) == run:
                returned.append(start)
        if not buffer.uniform_since:
            later += buffer.buffer.t.tolist()
        if len(returned) == run:
            returned.append(1860)
    assert p_value(since, 60, 6, share=20 / 60) > FALSE_ALARM / 2
    assert p_value(later, 1800, 10) > FALSE_ALARM / 2
    # 30 of n are as sparse as 10 of 300 at n = 900
    assert 800 < np.median(returned) < 1050
