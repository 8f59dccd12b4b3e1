"""Two buffers over two parts of a stream, joined: the law of one buffer over both.

Each test fails a correct program once in 10,000 choices of seeds at most, unless it says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
)
from streamreplay.buffers.selection import HerdingSelectionStrategy
from tests.buffers.sampling import FALSE_ALARM, feed, p_value, share_p_value

RUNS = 300


def part(n: int, seed: int, start: int, size: int = 20) -> ReservoirSamplingBuffer:
    return feed(ReservoirSamplingBuffer(size, seed), np.zeros(n, np.int64), 40, start=start)


@pytest.mark.parametrize(("n", "more"), [(200, 200), (40, 360), (360, 40), (10, 390), (390, 10)])
def test_uniform_over_both_streams_and_over_what_follows(n: int, more: int) -> None:
    """Also where one part is so short that none of its rows was turned away."""
    at_once: list[int] = []
    later: list[int] = []
    for run in range(RUNS):
        buffer = part(n, 2 * run, 0)
        buffer.merge(part(more, 2 * run + 1, n))
        assert (buffer.seen, buffer.uniform_since) == (400, 0)
        at_once += buffer.buffer.t.tolist()
        later += feed(buffer, np.zeros(200, np.int64), 30, start=400).buffer.t.tolist()
    assert len(at_once) >= 0.9 * 20 * RUNS
    assert p_value(at_once, 400, 10, share=20 / 400) > FALSE_ALARM / 2
    assert p_value(later, 600, 10, share=20 / 600) > FALSE_ALARM / 2


def test_shares_of_the_two_streams_are_hypergeometric() -> None:
    """20 of 400 rows, 120 of them of the first part: mean 6, variance 20 x .3 x .7 x 380 / 399.

    Both within 4.5 standard errors: each fails once in 100,000 seeds.
    """
    runs = 600
    found = []
    for run in range(runs):
        buffer = part(120, 2 * run, 0)
        buffer.merge(part(280, 2 * run + 1, 120))
        found.append((buffer.buffer.t < 120).sum())
        assert len(buffer) == 20
    variance = 20 * 0.3 * 0.7 * 380 / 399
    assert abs(np.mean(found) - 6) < 4.5 * np.sqrt(variance / runs)
    # of a law near to normal, the variance has the standard error sqrt(2 / runs) of itself
    assert abs(np.var(found) / variance - 1) < 4.5 * np.sqrt(2 / runs)


def test_uniform_in_each_class() -> None:
    """Class 0 mostly in the first part, class 1 mostly in the second."""
    first = np.repeat([0, 1], [180, 20])[np.random.default_rng(0).permutation(200)]
    labels = np.concatenate([first, 1 - first])
    rank = np.where(labels == 0, np.cumsum(labels == 0) - 1, np.cumsum(labels) - 1)
    ages: dict[int, list[int]] = {0: [], 1: []}
    for run in range(RUNS):
        buffer = feed(ClassBalancedBuffer(20, 2 * run), first, 33)
        buffer.merge(feed(ClassBalancedBuffer(20, 2 * run + 1), 1 - first, 33, start=200))
        memory = buffer.buffer
        assert np.bincount(memory.y).tolist() == [10, 10]
        for label in ages:
            ages[label] += rank[memory.t[memory.y == label]].tolist()
    for found in ages.values():
        assert p_value(found, 200, 10, share=10 / 200) > FALSE_ALARM / 2


@pytest.mark.parametrize("sizes", [(40, 20), (12, 30)])
def test_buffers_that_have_grown_or_shrunk(sizes: tuple[int, int]) -> None:
    """Sizes differ from run to run, so no share is taken off: the test is on the careful side."""
    ages: list[int] = []
    for run in range(RUNS):
        buffer, other = part(200, 2 * run, 0), part(200, 2 * run + 1, 200)
        for each, size in zip((buffer, other), sizes, strict=True):
            each.resize(size)
        feed(other, np.zeros(100, np.int64), 30, start=400)
        buffer.merge(other)
        assert buffer.uniform_since == 0
        ages += buffer.buffer.t.tolist()
    assert p_value(ages, 500, 10) > FALSE_ALARM


def test_three_parts_in_any_order() -> None:
    """(a + b) + c and a + (b + c): uniform over all, and the same law."""
    found = np.zeros((2, 6))
    for run in range(RUNS):
        for order in range(2):
            seeds = 6 * run + 3 * order
            a, b, c = (
                part(n, seeds + place, start)
                for place, (n, start) in enumerate([(100, 0), (50, 100), (150, 150)])
            )
            if order:
                b.merge(c)
                a.merge(b)
            else:
                a.merge(b)
                a.merge(c)
            assert (len(a), a.seen) == (20, 300)
            found[order] += np.bincount(a.buffer.t // 50, minlength=6)
    for each in found:
        assert share_p_value(each, np.full(6, each.mean())) > FALSE_ALARM / 3
    mean = found.mean(0)
    assert chi2.sf(((found - mean) ** 2 / mean).sum(), 5) > FALSE_ALARM / 3


def test_the_halves_of_a_decayed_stream_count_ages_from_its_end() -> None:
    """Two parts of other lengths: rows of one age are equally likely, whichever part they are of.

    200 rows of the second part against the last 200 of the first, by fifties of age.
    """
    counts = np.zeros((2, 4))
    for run in range(RUNS):
        zeros = np.zeros(500, np.int64)
        buffer = feed(DecayedReservoirBuffer(20, 100, 2 * run), zeros, 100)
        other = DecayedReservoirBuffer(20, 100, 2 * run + 1)
        buffer.merge(feed(other, zeros[:200], 50, start=1000))
        t = buffer.buffer.t
        ages = (499 - t[t < 500], 1199 - t[t >= 1000])
        for place, age in enumerate(ages):
            counts[place] += np.bincount(age[age < 200] // 50, minlength=4)
    mean = counts.mean(0)
    assert mean.min() > 100
    assert chi2.sf(((counts - mean) ** 2 / mean).sum(), 4) > FALSE_ALARM


def test_more_classes_than_slots_and_those_without_one_are_not_shut_out() -> None:
    """After a join that leaves 4 of 8 classes without a slot, all draw alike for 3 doublings."""
    runs = 120
    owned = np.zeros(8)
    for run in range(runs):
        buffer, other = ClassBalancedBuffer(4, 2 * run), ClassBalancedBuffer(4, 2 * run + 1)
        feed(buffer, np.arange(40) % 4, 40)
        feed(other, 4 + np.arange(40) % 4, 40)
        buffer.merge(other)
        assert len(buffer) == 4
        feed(buffer, np.arange(560) % 8, 560, start=80)
        owned[list(buffer.buffer_groups)] += 1
    assert owned.sum() == 4 * runs
    # 4 of 8 without replacement: the variance of a class is runs / 4
    assert chi2.sf(((owned - runs / 2) ** 2).sum() / (runs / 4) * 7 / 8, 7) > FALSE_ALARM


def test_what_comes_along() -> None:
    """Counts of replays stay with their rows; the other buffer is left as it was."""
    buffer, other = part(15, 0, 0, size=40), part(15, 1, 15, size=40)
    other.sample(500)
    before = other.describe()["replayed"]["total"]
    buffer.merge(other)
    assert buffer.describe()["replayed"]["total"] == before == 500
    assert (len(other), len(buffer)) == (15, 30)
    assert buffer.buffer.id is not None
    assert sorted(map(int, buffer.buffer.id)) == list(range(30))
    empty = ReservoirSamplingBuffer(40, 5)
    empty.merge(other)
    assert sorted(empty.buffer.t) == sorted(other.buffer.t)
    empty.merge(ReservoirSamplingBuffer(40, 6))
    assert (len(empty), empty.seen) == (15, 15)


def _pixels(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (ReservoirSamplingBuffer(5), ReservoirSamplingBuffer(5), "both buffers were built with"),
        (ReservoirSamplingBuffer(5), ClassBalancedBuffer(5, 1), "policies must be the same"),
        (
            DecayedReservoirBuffer(5, 10),
            DecayedReservoirBuffer(5, 20, 1),
            "policies must be the same",
        ),
        (
            ReservoirSamplingBuffer(5, ttl=9),
            ReservoirSamplingBuffer(5, 1, ttl=9),
            "expire by their number cannot be merged, got ReservoirSamplingBuffer .*ttl 9",
        ),
        (
            ParametricBuffer(5, None, HerdingSelectionStrategy(_pixels)),
            ParametricBuffer(5, None, HerdingSelectionStrategy(_pixels), 1),
            "whose rows a strategy ranks cannot be merged, got ParametricBuffer",
        ),
    ],
)
def test_what_has_no_fair_join_is_refused(
    one: ExemplarsBuffer, other: ExemplarsBuffer, message: str
) -> None:
    for buffer in (one, other):
        buffer.update(Batch.from_arrays(np.zeros((9, 1)), [0] * 9))
    with pytest.raises(ValueError, match=message):
        one.merge(other)
    assert one.seen == 9
