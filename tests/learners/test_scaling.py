"""The scaler against NumPy's mean and standard deviation over all rows so far."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.learners import TorchLearner, linear
from streamreplay.learners.scaling import Normalize, Scaler
from tests.contract.digest import plain
from tests.learners.reference import sgd

ROWS = np.random.default_rng(0).normal(3, [0.1, 1, 1e4], (40, 3)).astype(np.float32)


def scaled(scaler: Scaler, x: NDArray[Any]) -> NDArray[np.float32]:
    out = np.full(x.shape, 99, np.float32)
    scaler.write(x, out)
    return out


def after(x: NDArray[Any], normalize: Normalize = "standard") -> Scaler:
    scaler = Scaler(normalize)
    scaler.update(x)
    return scaler


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(0, 40), max_size=8))
def test_scales_as_numpy_would_over_all_rows_so_far(cuts: list[int]) -> None:
    scaler = Scaler("standard")
    edges = sorted({0, 40, *cuts})
    for start, stop in pairwise(edges):
        scaler.update(ROWS[start:stop])
        so_far = ROWS[:stop].astype(np.float64)
        deviation = so_far.std(0) if stop > 1 else np.ones(3)
        want = np.clip((ROWS - so_far.mean(0)) / deviation, -10, 10)
        # float32 holds the mean of a feature to 1e-7 of itself: some 1e-6 deviations of the first
        np.testing.assert_allclose(scaled(scaler, ROWS), want, atol=1e-3, rtol=1e-5)
    assert scaler.count == 40


def test_images_of_any_rank_are_scaled_by_feature() -> None:
    images = ROWS.reshape(10, 2, 2, 3)
    want = (images - images.mean(0, np.float64)) / images.std(0, np.float64)
    np.testing.assert_allclose(scaled(after(images), images), want, atol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (4, 4), (2, 4, 4)])
def test_a_new_scaler_takes_the_state_of_rows_of_any_rank(shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).normal(2, 3, (50, *shape)).astype(np.float32)
    scaler, loaded = Scaler("standard"), Scaler("standard")
    scaler.update(rows)
    loaded.load_state_dict(scaler.state_dict())
    assert np.array_equal(scaled(loaded, rows), scaled(scaler, rows))
    wrong = {**scaler.state_dict(), "squares": np.zeros(7)}
    with pytest.raises(CheckpointError, match=r"squares: saved \(7,\)"):
        Scaler("standard").load_state_dict(wrong)


def test_nothing_is_done_before_the_first_row() -> None:
    assert (scaled(Scaler("standard"), ROWS) == ROWS).all()


def test_none_leaves_features_alone() -> None:
    assert (scaled(after(ROWS, "none"), ROWS) == ROWS).all()


@pytest.mark.parametrize("value", [0.0, 1e6 / 3, -1e-20, 3e38])
def test_a_constant_feature_becomes_zero_and_keeps_its_scale(value: float) -> None:
    x = np.full((7, 2), value, np.float32)
    scaler = Scaler("standard")
    for part in (x[:3], x[3:4], x[4:]):
        scaler.update(part)
    assert not scaled(scaler, x).any()
    if abs(value) < 1e9:
        np.testing.assert_allclose(scaled(scaler, x + np.float32(0.5)), 0.5, rtol=0.1)


def test_far_values_are_cut() -> None:
    far = np.array([[1e9, -1e9, 1e30]], np.float32)
    assert scaled(after(ROWS), far).tolist() == [[10, -10, 10]]


def test_values_at_the_end_of_float32_are_cut() -> None:
    scaler = after(np.array([[1.0, -3e38], [1.001, -3e38]], np.float32))
    assert scaled(scaler, np.array([[3e38, 3e38]], np.float32)).tolist() == [[10, 10]]


@pytest.mark.parametrize("normalize", ["auto", "none"])
def test_uint8_is_divided_by_255(normalize: Normalize) -> None:
    x = np.array([[0, 51, 255]], np.uint8)
    np.testing.assert_allclose(scaled(after(x, normalize), x), [[0, 0.2, 1]], rtol=1e-6)


def test_uint8_can_be_standardised() -> None:
    x = np.random.default_rng(1).integers(0, 256, (30, 4), np.uint8)
    want = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(scaled(after(x), x), want, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_do_not_spoil_the_others(bad: float) -> None:
    """Otherwise a single one would end all learning, also with on_divergence = skip."""
    spoiled = np.insert(ROWS, [5, 20], np.array([[bad, 1, 2], [3, -bad, bad]]), 0)
    scaler = Scaler("standard")
    for part in np.split(spoiled, [3, 6, 30]):
        scaler.update(part)
    assert scaler.count == 40
    np.testing.assert_allclose(scaled(scaler, ROWS), scaled(after(ROWS), ROWS), atol=1e-5)
    scaler = Scaler("standard")
    scaler.update(np.full((2, 3), bad, np.float32))
    assert plain(scaler.state_dict()) == plain(Scaler("standard").state_dict())


def test_a_state_is_exact_and_twice_the_same() -> None:
    whole, first = Scaler("standard"), Scaler("standard")
    for part in (ROWS[:7], ROWS[7:20]):
        whole.update(part)
        first.update(part)
    state = first.state_dict()
    saved = plain(state)
    whole.update(ROWS[20:])
    for _ in range(2):
        second = Scaler("standard")
        second.load_state_dict(state)
        assert plain(second.state_dict()) == saved
        second.update(ROWS[20:])
        assert plain(state) == saved
        assert plain(second.state_dict()) == plain(whole.state_dict())
        assert plain(scaled(second, ROWS)) == plain(scaled(whole, ROWS))


def test_a_state_of_another_mode_is_refused() -> None:
    message = "normalize: saved standard, this pipeline has none"
    with pytest.raises(CheckpointError, match=message):
        Scaler("none").load_state_dict(after(ROWS).state_dict())


def test_the_learner_scales_by_the_rows_before() -> None:
    """Of incoming rows, labelled or not, only the first batch is scaled by itself."""
    seen: list[NDArray[np.float32]] = []
    learner = TorchLearner(linear(), sgd())
    parts = np.split(ROWS, [4, 5, 20])
    for i, part in enumerate(parts):
        list(learner([Batch.from_arrays(part, [-1 if i == 2 else 0] * len(part))]))
        seen.append(learner._staging.x[: len(part)].numpy().copy())
    for i, part in enumerate(parts):
        past = np.concatenate(parts[: max(i, 1)])
        np.testing.assert_array_equal(seen[i], scaled(after(past), part))
