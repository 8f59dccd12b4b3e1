"""Herding and closest-to-centre against a slow loop over Algorithm 4, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection import (
    ClosestToCenterSelectionStrategy,
    HerdingSelectionStrategy,
)
from tests.buffers.selection.groups import Group, candidates

Strategy = type[HerdingSelectionStrategy] | type[ClosestToCenterSelectionStrategy]
BOTH: list[Strategy] = [HerdingSelectionStrategy, ClosestToCenterSelectionStrategy]


def same(x: NDArray[Any]) -> NDArray[Any]:
    return x


def never(_: NDArray[Any]) -> NDArray[Any]:
    raise AssertionError("the model was called")


# -- the slow reference: lists of fractions --------------------------------------------------------

Vector = list[Fraction]


def center(features: list[Vector], weight: list[int]) -> Vector:
    total = sum(weight)
    return [
        sum((w * f[j] for w, f in zip(weight, features, strict=True)), Fraction(0)) / total
        for j in range(len(features[0]))
    ]


def distance(a: Vector, b: Vector) -> Fraction:
    return sum(((p - q) ** 2 for p, q in zip(a, b, strict=True)), Fraction(0))


def herd(features: list[Vector], weight: list[int], k: int) -> list[int]:
    mu = center(features, weight)
    chosen: list[int] = []
    while len(chosen) < min(k, len(features)):
        left = [i for i in range(len(features)) if i not in chosen]

        def mean_with(i: int) -> Vector:
            members = [features[j] for j in [*chosen, i]]
            return [sum(column, Fraction(0)) / len(members) for column in zip(*members)]  # noqa: B905

        chosen.append(min(left, key=lambda i: (distance(mu, mean_with(i)), i)))
    return chosen


def nearest(features: list[Vector], weight: list[int], k: int) -> list[int]:
    mu = center(features, weight)
    return sorted(range(len(features)), key=lambda i: (distance(mu, features[i]), i))[:k]


# Sums and means of these are exact in float64, so ties are ties: weights sum to a power of two.
whole_numbers = st.sampled_from([1, 2, 4, 8, 16]).flatmap(
    lambda n: st.lists(st.tuples(*[st.integers(-8, 8)] * 3), min_size=n, max_size=n)
)


@given(rows=whole_numbers, k=st.integers(1, 20))
def test_equal_to_the_reference_with_ties(rows: list[tuple[int, ...]], k: int) -> None:
    exact = [[Fraction(v) for v in row] for row in rows]
    given_rows, ones = candidates(np.array(rows)), [1] * len(rows)
    kept = HerdingSelectionStrategy(same).make_sorted_indices(given_rows, k)
    assert kept.dtype == np.int64
    assert kept.tolist() == herd(exact, ones, k)
    kept = ClosestToCenterSelectionStrategy(same).make_sorted_indices(given_rows, k)
    assert kept.dtype == np.int64
    assert kept.tolist() == nearest(exact, ones, k)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 25), k=st.integers(1, 30))
def test_equal_to_the_reference_with_weights(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    weight = rng.integers(1, 50, n)
    exact = [[Fraction(v) for v in row] for row in x.tolist()]
    given_rows = candidates(x, weight)
    herded = HerdingSelectionStrategy(same, batch_size=7).make_sorted_indices(given_rows, k)
    assert herded.tolist() == herd(exact, weight.tolist(), k)
    close = ClosestToCenterSelectionStrategy(same).make_sorted_indices(given_rows, k)
    assert close.tolist() == nearest(exact, weight.tolist(), k)


def test_27_orders_of_the_reference() -> None:
    rows = candidates([0, 4, 5])
    assert HerdingSelectionStrategy(same).make_sorted_indices(rows, 3).tolist() == [1, 0, 2]
    assert ClosestToCenterSelectionStrategy(same).make_sorted_indices(rows, 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize("kind", BOTH)
def test_27_no_call_to_the_model_without_slots_or_rows(kind: Strategy) -> None:
    assert kind(never).make_sorted_indices(candidates([1, 2]), 0).tolist() == []
    assert kind(never).make_sorted_indices(candidates(np.empty((0, 1))), 3).tolist() == []
    with pytest.raises(AssertionError, match="was called"):
        kind(never).make_sorted_indices(candidates([1, 2]), 1)


@pytest.mark.parametrize("kind", BOTH)
def test_the_center_stays_that_of_the_whole_stream(kind: Strategy) -> None:
    """400 rows around 0, then 20 around 8: a mean over stored and new rows would be near 5."""
    rng = np.random.default_rng(0)
    group = Group(kind(same), 10)
    for start, mean in [*[(20 * i, 0.0) for i in range(20)], (400, 8.0)]:
        group.offer(Batch.from_arrays(rng.normal(mean, 1, (20, 1)), start=start))
    assert group.rows is not None
    assert abs(group.rows.x[0, 0] - 8 / 21) < 1
    assert group.rows.x.mean() < 2


def test_herding_keeps_the_center_and_closest_does_not() -> None:
    """Of skewed rows: the mean of what herding keeps is nearer by far, as Welling 2009 shows."""
    x = np.random.default_rng(0).exponential(1, (500, 8)).astype(np.float32)
    rows = candidates(x)
    mu = x.mean(0)
    herded = x[HerdingSelectionStrategy(same).make_sorted_indices(rows, 20)].mean(0)
    close = x[ClosestToCenterSelectionStrategy(same).make_sorted_indices(rows, 20)].mean(0)
    assert np.linalg.norm(herded - mu) < 0.3 * np.linalg.norm(close - mu)


def test_a_shorter_ranking_is_the_beginning_of_a_longer_one() -> None:
    rows = candidates(np.random.default_rng(1).standard_normal((40, 3)))
    for kind in BOTH:
        longest = kind(same).make_sorted_indices(rows, 40).tolist()
        assert sorted(longest) == list(range(40))
        assert kind(same).make_sorted_indices(rows, 9).tolist() == longest[:9]


@pytest.mark.parametrize("kind", BOTH)
def test_normalized_features_only_have_a_direction(kind: Strategy) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 4))
    length = rng.uniform(0.1, 50, (30, 1))
    raw, scaled = candidates(x), candidates(x * length)
    strategy = kind(same, normalize=True)
    want = strategy.make_sorted_indices(raw, 10).tolist()
    assert strategy.make_sorted_indices(scaled, 10).tolist() == want
    assert kind(same).make_sorted_indices(scaled, 10).tolist() != want
    zeros = candidates(np.zeros((3, 2)))
    assert strategy.make_sorted_indices(zeros, 2).tolist() == [0, 1]
