"""Rows that are the rarer the older they are.

Each test fails a correct program once in 10,000 choices of seeds.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.buffers import DecayedReservoirBuffer
from tests.buffers.sampling import FALSE_ALARM, feed, share_p_value


def test_half_as_many_for_each_half_life() -> None:
    """5 slots against half-lives of 500 rows: chances to be stored are as the weights are."""
    counts = np.zeros(5)
    for run in range(500):
        buffer = feed(DecayedReservoirBuffer(5, 500, run), np.zeros(5000, np.int64), 500)
        lives = (4999 - buffer.buffer.t) // 500
        counts += np.bincount(np.minimum(lives, 4), minlength=5)
    expected = counts.sum() * np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])
    assert share_p_value(counts, expected) > FALSE_ALARM


def test_half_lives_of_event_time() -> None:
    """Rows that come in bursts: a burst an hour, half as many of each hour before."""
    counts = np.zeros(5)
    time = np.repeat(3600.0 * np.arange(10), 300)
    for run in range(400):
        buffer = DecayedReservoirBuffer(5, timedelta(hours=1), run)
        feed(buffer, np.zeros(3000, np.int64), 300, time=time)
        counts += np.bincount(np.minimum((2999 - buffer.buffer.t) // 300, 4), minlength=5)
    expected = counts.sum() * np.array([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16])
    assert share_p_value(counts, expected) > FALSE_ALARM


def draw_one_after_the_other(rng: np.random.Generator, weights: list[float], k: int) -> list[int]:
    """Draw k different rows: each time one of those left, with chances in proportion."""
    left = list(enumerate(weights))
    drawn = []
    for _ in range(k):
        limit = rng.random() * sum(weight for _, weight in left)
        so_far = np.cumsum([weight for _, weight in left])
        row, _ = left.pop(int(np.searchsorted(so_far, limit, side="right")))
        drawn.append(row)
    return drawn


def test_the_law_is_that_of_drawing_rows_one_after_the_other() -> None:
    """10 slots for half-lives of 8 rows, where chances are far from the weights."""
    runs, n = 500, 60
    weights = [2 ** (row / 8) for row in range(n)]
    rng = np.random.default_rng(0)
    counts = np.zeros((2, n))
    for run in range(runs):
        counts[0, feed(DecayedReservoirBuffer(10, 8, run), np.zeros(n, int), 7).buffer.t] += 1
        counts[1, draw_one_after_the_other(rng, weights, 10)] += 1
    counts = counts[:, ::-1].reshape(2, 12, 5).sum(2)[:, :6]  # by age; the rest is never stored
    mean = counts.mean(0)
    assert mean.min() > 5
    # inclusions of one row vary by p (1 - p): counted as if by p, the test is on the careful side
    assert chi2.sf(((counts - mean) ** 2 / mean).sum(), 6) > FALSE_ALARM


def test_a_stream_longer_than_weights_can_be() -> None:
    """2 to the power of 30,000 is no number: keys are logarithms."""
    buffer = feed(DecayedReservoirBuffer(5, 1, 0), np.zeros(30_000, int), 1000)
    assert buffer.buffer.t.min() > 29_960
