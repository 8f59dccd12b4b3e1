from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.reading.bootstrap import (
    Units,
    block_length,
    choose_blocks,
    resampled_means,
)
from streamreplay.reading.estimates import mean_of_stream

Floats = NDArray[np.float64]


def autoregressive(n: int, rho: float, seed: int) -> Floats:
    noise = np.random.default_rng(seed).normal(size=n + 500)
    for i in range(1, len(noise)):
        noise[i] += rho * noise[i - 1]
    return noise[500:]


def ones(values: Floats) -> Units:
    return Units(np.asarray(values, np.float64), np.ones(len(values)))


def slow_block_length(x: Floats) -> tuple[float, bool]:
    """Politis and White (2004), section 3.2, corrected (2009), word by word."""
    n = len(x)
    k_n = max(5, math.ceil(math.log10(n)))
    longest = min(math.ceil(math.sqrt(n)) + k_n, n - 1)
    mean = sum(x) / n

    def r(lag: int) -> float:
        return float(sum((x[i] - mean) * (x[i + lag] - mean) for i in range(n - lag)) / n)

    bound = 2 * math.sqrt(math.log10(n) / n)
    covariances = [r(lag) for lag in range(longest + 1)]
    m = None
    for start in range(longest - k_n + 1):
        if all(abs(covariances[start + k] / covariances[0]) < bound for k in range(1, k_n + 1)):
            m = start
            break
    big = min(2 * max(1, longest if m is None else m), longest)
    g = spectrum = 0.0
    for lag in range(-big, big + 1):
        t = abs(lag) / big
        window = 1 if t <= 0.5 else 2 * (1 - t)
        g += window * abs(lag) * covariances[abs(lag)]
        spectrum += window * covariances[abs(lag)]
    if spectrum <= 0:
        return 1.0, m is None
    d = 2 * spectrum**2
    length = (2 * g**2 / d) ** (1 / 3) * n ** (1 / 3)
    return min(max(1.0, length), math.ceil(min(3 * math.sqrt(n), n / 3))), m is None


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [12, 150, 900])
def test_block_length_is_that_of_the_papers(rho: float, n: int) -> None:
    x = autoregressive(n, rho, seed=n)
    length, far = block_length(x)
    expected, expected_far = slow_block_length(x)
    assert length == pytest.approx(expected, rel=1e-9)
    assert far == expected_far


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [0.0] * 50, [0.25] * 50])
def test_series_that_say_nothing_have_blocks_of_one(values: list[float]) -> None:
    assert block_length(np.array(values)) == (1.0, False)


def slow_variance(x: Floats, p: float) -> float:
    """Variance of a resampled mean: Politis and Romano (1994), lemma 1, for circular series."""
    n = len(x)
    centred = x - x.mean()
    total = float(centred @ centred) / n
    for lag in range(1, n):
        covariance = float(centred @ np.roll(centred, -lag)) / n
        total += 2 * (1 - lag / n) * (1 - p) ** lag * covariance
    return total / n


@pytest.mark.parametrize("length", [1.0, 3.0, 40.0, 250.0])
def test_resampled_means_vary_as_the_paper_says(length: float) -> None:
    x = autoregressive(250, 0.8, seed=3)
    resamples = 20_000
    means = resampled_means(ones(x), length, resamples, np.random.default_rng(1))
    error = math.sqrt(slow_variance(x, 1 / length))
    # both within 5 standard errors: a right program fails once in a million times
    assert abs(means.mean() - x.mean()) < 5 * error / math.sqrt(resamples)
    assert means.std() / error == pytest.approx(1, abs=5 / math.sqrt(2 * resamples))


def test_steps_of_other_sizes_count_by_their_rows() -> None:
    rng = np.random.default_rng(2)
    rows = rng.integers(1, 9, 400).astype(np.float64)
    sums = rng.binomial(rows.astype(int), 0.3).astype(np.float64)
    units = Units(sums, rows)
    means = resampled_means(units, 1.0, 20_000, rng)
    # the ratio of two means, to first order
    error = math.sqrt(float(np.var(sums - units.mean * rows)) / 400) / rows.mean()
    assert units.mean == pytest.approx(sums.sum() / rows.sum())
    assert means.std() / error == pytest.approx(1, abs=0.03)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 9))
def test_joining_keeps_sums_and_rows(n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    units = Units(rng.normal(size=n), rng.integers(1, 5, n).astype(np.float64))
    joined = units.joined(size)
    assert len(joined) == math.ceil(n / size)
    assert joined.mean == pytest.approx(units.mean)
    for i in range(len(joined)):
        part = slice(i * size, (i + 1) * size)
        assert joined.sums[i] == pytest.approx(units.sums[part].sum())
        assert joined.rows[i] == units.rows[part].sum()


def test_long_series_are_resampled_in_pieces_with_the_same_error() -> None:
    x = autoregressive(50_000, 0.5, seed=4)
    blocks = choose_blocks(ones(x))
    assert blocks.length >= 3  # pieces of 3: at most 20,000
    assert blocks.length * blocks.number == pytest.approx(50_000)
    means = resampled_means(ones(x), blocks.length, 2000, np.random.default_rng(0))
    assert means.std() / (2 / math.sqrt(50_000)) == pytest.approx(1, abs=0.15)


def test_the_seed_alone_decides() -> None:
    x = ones(autoregressive(300, 0.5, seed=5))
    a, b, c = (mean_of_stream(x, 200, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a == b
    assert a != c


def test_a_drift_leaves_too_few_blocks() -> None:
    noise = autoregressive(8000, 0.0, seed=6)
    for pieces in (2, 4, 8):
        drifting = noise + np.repeat(np.arange(pieces) % 2, 8000 // pieces)
        assert choose_blocks(ones(drifting)).number < 20
    assert choose_blocks(ones(noise)).number > 2000


def test_a_trend_is_seen_to_have_no_end() -> None:
    blocks = choose_blocks(ones(np.linspace(0, 1, 40) + autoregressive(40, 0, 7) / 100))
    assert blocks.far or blocks.number < 20


def covered(rho: float, n: int, trials: int) -> tuple[float, float]:
    """Return how often the interval holds the true mean, and one for independent rows does."""
    ours = naive = 0
    rng = np.random.default_rng(8)
    for seed in range(trials):
        x = autoregressive(n, rho, seed)
        low, high = mean_of_stream(ones(x), 300, rng)[0].interval
        ours += low <= 0 <= high
        naive += abs(x.mean()) <= 1.96 * x.std() / math.sqrt(n)
    return ours / trials, naive / trials


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "n"), [(0.0, 400), (0.6, 1500)])
def test_intervals_hold_the_mean_as_often_as_they_say(rho: float, n: int) -> None:
    ours, naive = covered(rho, n, 400)
    # were they to hold it 95 times in 100, fewer than 364 of 400 would in 3 of 10,000 such tests
    assert 0.91 <= ours <= 0.985
    assert naive >= 0.91 if rho == 0 else naive < 0.75
