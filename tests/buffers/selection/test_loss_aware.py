"""A weighted reservoir by loss, against successive weighted draws.

The statistical tests fail a correct program once in 10,000 choices of seeds at most.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2  # type: ignore[import-untyped]

from streamreplay.batch import Batch
from streamreplay.buffers.selection import (
    LossAwareSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)

FALSE_ALARM = 1e-4
LAST_UNIFORM = 1 - 2.0**-53


def rows(losses: ArrayLike) -> Batch:
    """Make rows whose loss is their only feature."""
    return Batch.from_arrays(np.asarray(losses, np.float32)[:, None])


def loss_of(batch: Batch) -> NDArray[Any]:
    return batch.x[:, 0]


def keep(
    strategy: LossAwareSelectionStrategy, batch: Batch, k: int, seed: int
) -> NDArray[np.int64]:
    uniform = np.random.default_rng(seed).random(len(batch))
    return strategy.make_keys(batch, uniform).argsort()[:k]


def law(weights: list[float], k: int) -> dict[tuple[int, ...], float]:
    """Return how likely each outcome of k draws is: each row by its share of what is left."""
    outcomes = {}
    for order in permutations(range(len(weights)), k):
        probability, left = 1.0, sum(weights)
        for i in order:
            probability *= weights[i] / left
            left -= weights[i]
        outcomes[order] = probability
    return outcomes


@pytest.mark.parametrize("power", [1.0, 2.0, 0.0])
def test_rows_are_kept_as_if_drawn_one_after_the_other(power: float) -> None:
    losses = [0.5, 0.8, 1.0, 1.6, 2.5]
    runs = 20_000
    strategy = LossAwareSelectionStrategy(loss_of, power)
    keys = strategy.make_keys(rows(losses * runs), np.random.default_rng(0).random(5 * runs))
    pairs = keys.reshape(runs, 5).argsort(1)[:, :2]
    expected = {pair: p * runs for pair, p in law([loss**power for loss in losses], 2).items()}
    found = dict.fromkeys(expected, 0)
    for pair in map(tuple, pairs.tolist()):
        found[pair] += 1
    statistic = sum((found[pair] - e) ** 2 / e for pair, e in expected.items())
    assert min(expected.values()) > 5
    assert chi2.sf(statistic, len(expected) - 1) > FALSE_ALARM


def test_keys_are_those_of_the_paper_in_reverse() -> None:
    rng = np.random.default_rng(1)
    losses, u = rng.uniform(0.1, 4, 300), rng.random(300)
    keys = LossAwareSelectionStrategy(loss_of, 1.5).make_keys(rows(losses), u)
    largest = (1 - u) ** (1 / losses.astype(np.float32).astype(float) ** 1.5)
    assert keys.argsort().tolist() == largest.argsort()[::-1].tolist()


@given(
    losses=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=9),
    power=st.floats(0, 1000),
    u=st.sampled_from([0.0, 2.0**-53, 0.5, LAST_UNIFORM]),
)
def test_keys_are_finite_whatever_the_loss(losses: list[float], power: float, u: float) -> None:
    strategy = LossAwareSelectionStrategy(loss_of, power, min_loss=1e-300, max_loss=1e300)
    keys = strategy.make_keys(rows(losses), np.full(len(losses), u))
    assert keys.shape == (len(losses),)
    assert keys.dtype == np.float64
    assert np.isfinite(keys).all()


def test_what_is_no_loss_has_a_place() -> None:
    """NaN and what is below the range count as the least, infinity as the most."""
    strategy = LossAwareSelectionStrategy(loss_of)
    same_u = np.full(7, 0.5)
    nan, minus, zero, low, high, inf, one = strategy.make_keys(
        rows([np.nan, -3, 0, 0.05, 5.0, np.inf, 1.0]), same_u
    ).round(6)
    assert nan == minus == zero == low > one > high == inf


def test_no_flood_of_outliers() -> None:
    """A tenth of the rows has an endless loss: it can take a share, but not the memory.

    By weights it is 0.1 * 5 of 0.1 * 5 + 0.9 * 1, 36 %; 1,000 of 100,000 rows are kept, standard
    deviation 0.015. Without the limit it would be all of them.
    """
    losses = np.where(np.arange(100_000) % 10 == 0, 1e6, 1.0)
    batch = rows(losses)
    share = (keep(LossAwareSelectionStrategy(loss_of), batch, 1000, 0) % 10 == 0).mean()
    assert abs(share - 0.357) < 4 * 0.016
    unlimited = LossAwareSelectionStrategy(loss_of, max_loss=1e6)
    assert (keep(unlimited, batch, 1000, 0) % 10 == 0).mean() > 0.99


def test_keys_do_not_depend_on_the_cut() -> None:
    rng = np.random.default_rng(3)
    batch, u = rows(rng.uniform(0, 6, 50)), rng.random(50)
    strategy = LossAwareSelectionStrategy(loss_of, 2.0)
    parts = [strategy.make_keys(batch.take(slice(i, i + 7)), u[i : i + 7]) for i in range(0, 50, 7)]
    assert np.concatenate(parts).tolist() == strategy.make_keys(batch, u).tolist()


def test_no_rows_no_question() -> None:
    def never(_: Batch) -> NDArray[Any]:
        raise AssertionError("was asked")

    assert LossAwareSelectionStrategy(never).make_keys(rows([]), np.empty(0)).shape == (0,)


@pytest.mark.parametrize("made", [lambda b: b.x, lambda b: b.x[1:, 0], lambda _: 0.5])
def test_a_loss_that_is_not_one_number_a_row_is_refused(made: Any) -> None:
    with pytest.raises(ValueError, match=r"loss must give \[3\] for 3 rows, got \("):
        LossAwareSelectionStrategy(made).make_keys(rows([1, 2, 3]), np.full(3, 0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"power": -1}, "power must be at least 0, got -1"),
        ({"power": float("nan")}, "power must be at least 0, got nan"),
        ({"min_loss": 0}, "got 0 and 5.0"),
        ({"min_loss": 2, "max_loss": 1}, "got 2 and 1"),
        ({"max_loss": float("inf")}, "got 0.05 and inf"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossAwareSelectionStrategy(loss_of, **arguments)


def test_random_keys_are_the_uniform_numbers() -> None:
    u = np.random.default_rng(0).random(9)
    strategy = RandomExemplarsSelectionStrategy()
    assert strategy.make_keys(rows([1.0] * 9), u).tolist() == u.tolist()
    assert strategy.state_dict() == {}
