"""Rows that expire: which are left, how many, and when others are let in.

Each test fails a correct program once in 10,000 choices of seeds at most, unless it says otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
)
from streamreplay.buffers.selection import HerdingSelectionStrategy
from streamreplay.errors import ConfigError
from streamreplay.mixing import Mixer
from tests.buffers.sampling import FALSE_ALARM, feed, p_value

ZEROS = np.zeros(5000, np.int64)


def at(times: list[float | None], start: int = 0) -> Batch:
    """Make rows that come at so many seconds, None at no time."""
    n = len(times)
    seconds = np.array([np.nan if time is None else time for time in times])
    return Batch.from_arrays(np.zeros((n, 1)), [0] * n, start=start, time=seconds)


def _pixels(x: Any) -> Any:
    return x


KINDS: dict[str, Any] = {
    "reservoir": ReservoirSamplingBuffer,
    "classes": ClassBalancedBuffer,
    "window": SlidingWindowBuffer,
    "decayed": lambda size, seed, ttl: DecayedReservoirBuffer(size, 30, seed, ttl=ttl),
    "herding": lambda size, seed, ttl: ParametricBuffer(
        size, "class", HerdingSelectionStrategy(_pixels), seed, ttl=ttl
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 7, 300])
def test_never_a_row_older_than_ttl(kind: str, chunk: int) -> None:
    buffer = KINDS[kind](20, 0, ttl=50)
    for start in range(0, 300, chunk):
        n = min(chunk, 300 - start)
        feed(buffer, np.arange(start, start + n) % 3, n, start=start)
        assert buffer.buffer.t.min() > start + n - 1 - 50
        assert len(buffer) >= min(start + n, 5)
        assert buffer.seen == start + n


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_too_old_is_offered_after_a_gap(kind: str) -> None:
    """The first row after the gap makes the others too old: it must not be mixed with them."""
    buffer = KINDS[kind](20, 0, ttl=timedelta(seconds=10))
    stream = [at([0, 1, 2, 3]), at([4, 5]), at([13, 14], 6), at([500], 8), at([501], 9)]
    found = []
    for mixed in Mixer(8, seed=0)(buffer(stream)):
        assert mixed.memory.stored.time is not None
        now = mixed.incoming.time
        assert now is not None
        assert (mixed.memory.stored.time > now[0] - 10).all()
        found.append(sorted(mixed.drawn().time.tolist()))  # type: ignore[union-attr]
    assert found == [[], [0, 1, 2, 3], [4, 5], [], [500]]


def test_ages_are_uniform_over_the_window() -> None:
    """100 slots, a ttl of 500, 6 windows.

    The newest rows are likelier by about 2 in 100, which adds less than 1 to the statistic: a
    correct program fails in 2 of 10,000 choices of seeds.
    """
    ages: list[int] = []
    for run in range(60):
        buffer = feed(ReservoirSamplingBuffer(100, run, ttl=500), ZEROS[:3000], 250)
        ages += (2999 - buffer.buffer.t).tolist()
    assert len(ages) > 60 * 60
    assert p_value(ages, 500, 10, share=0.15) > FALSE_ALARM


def test_how_full_it_stays() -> None:
    """M = 100, a window of 1,000 rows, 50 windows on: 79 rows in the mean of 12 runs, 60 to 100.

    The limit falls whenever the buffer overflows, and rises only where it is less than half full.
    """
    sizes = [
        len(feed(ReservoirSamplingBuffer(100, run, ttl=1000), np.zeros(50_000, int), 500))
        for run in range(3)
    ]
    assert min(sizes) >= 45
    assert 65 < np.mean(sizes) < 95


def test_no_ttl_longer_than_the_stream_changes_anything() -> None:
    plain = feed(ReservoirSamplingBuffer(20, 1), ZEROS[:400], 30)
    expiring = feed(ReservoirSamplingBuffer(20, 1, ttl=400), ZEROS[:400], 30)
    assert sorted(plain.buffer.t) == sorted(expiring.buffer.t)


def test_a_class_recovers_when_the_others_have_expired() -> None:
    """Ten classes share 100 slots; then nine stop, and the last one may have them all."""
    buffer = ClassBalancedBuffer(100, 0, ttl=500)
    feed(buffer, np.arange(2000) % 10, 100)
    assert {len(rows) // 10 for rows in buffer.buffer_groups.values()} == {0, 1}
    for window in range(8):
        feed(buffer, ZEROS[:500], 50, start=2000 + 500 * window)
        assert list(buffer.buffer_groups) == [0]
        assert len(buffer) >= 45
    assert buffer.uniform_since <= buffer.seen - 500  # older rows are gone: a fair sample again


@pytest.mark.parametrize("kind", [ReservoirSamplingBuffer, ClassBalancedBuffer])
def test_twice_as_many_rows_are_let_in_once_a_ttl_while_it_is_not_half_full(kind: Any) -> None:
    """A stream that slows down 20 times: a tenth of the few rows, a fifth, ..., then all."""
    buffer = kind(100, 0, ttl=timedelta(seconds=1000))
    feed(buffer, ZEROS[:3000], 100, time=np.arange(3000.0))
    limits = [buffer._reservoir.groups.threshold[0]]
    assert limits[0] < 0.1
    for row in range(500):
        time = 3000.0 + 20 * row
        feed(buffer, ZEROS[:1], 1, start=3000 + row, time=np.array([time]))
        limits.append(buffer._reservoir.groups.threshold[0])
    rises = [place for place in range(500) if limits[place + 1] > limits[place]]
    assert all(limits[r + 1] in (2 * limits[r], np.inf) for r in rises)
    assert np.diff(rises).min() >= 50  # a ttl, 1,000 seconds
    assert limits[-1] == np.inf
    assert len(buffer) == 50  # all of the window


def test_event_times_with_late_rows_and_rows_without_one() -> None:
    buffer = ReservoirSamplingBuffer(50, 0, ttl=timedelta(seconds=10))
    buffer.update(at([None, 100, 95, None, 89, 90, 91]))
    # nobody knows when the first one came; 89 and 90 come when they are too old
    assert buffer.buffer.t.tolist() == [1, 2, 3, 6]
    assert buffer.seen == 4
    buffer.update(at([101], 7))  # 91 + 10
    assert sorted(buffer.buffer.t) == [1, 2, 3, 7]
    buffer.update(at([105.5, None], 8))  # 95 goes; the third row counts as of 100
    assert sorted(buffer.buffer.t) == [1, 3, 7, 8, 9]
    buffer.update(at([110], 10))
    assert sorted(buffer.buffer.t) == [7, 8, 9, 10]
    buffer.update(at([115.5], 11))  # the one without a time came with 105.5
    assert sorted(buffer.buffer.t) == [10, 11]


@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_rows_that_come_at_odd_fractions_of_a_second_expire_alike_in_any_cut(chunk: int) -> None:
    """0.1 + 0.2 is not 0.3: the row that makes another too old is told in one way only."""
    time = np.cumsum(np.random.default_rng(0).choice([0.1, 0.2, 0.3, 0.7], 240))
    whole, cut = (
        feed(
            ReservoirSamplingBuffer(9, 0, ttl=timedelta(seconds=3.3)), ZEROS[:240], size, time=time
        )
        for size in (240, chunk)
    )
    assert sorted(whole.buffer.t) == sorted(cut.buffer.t)
    assert whole._reservoir.groups.threshold == cut._reservoir.groups.threshold


def test_joining_deletes_what_is_too_old_by_the_clock_of_the_other() -> None:
    one, other = (ReservoirSamplingBuffer(9, seed, ttl=timedelta(seconds=10)) for seed in (0, 1))
    one.update(at([1, 2, 3]))
    other.update(at([12.5, 13.5], 10))
    one.merge(other)
    assert sorted(one.buffer.t) == [10, 11]


def test_rows_need_event_times_for_a_ttl_in_time() -> None:
    buffer: ExemplarsBuffer = ReservoirSamplingBuffer(5, ttl=timedelta(hours=1))
    with pytest.raises(ConfigError, match=r"rows have no event time for ttl"):
        feed(buffer, ZEROS[:3], 3)


@pytest.mark.parametrize("ttl", [0, -3, timedelta(0)])
def test_a_ttl_is_more_than_0(ttl: Any) -> None:
    with pytest.raises(ValueError, match=r"^ttl must be more than 0, got "):
        ReservoirSamplingBuffer(5, ttl=ttl)
