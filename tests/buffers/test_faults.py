"""What goes wrong in the middle, and what must not make a difference."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.buffers import (
    ClassBalancedBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
)
from streamreplay.buffers.selection import (
    Candidates,
    ExemplarsSelectionStrategy,
    OnlineSelectionStrategy,
)
from tests.contract.digest import plain


def rows(n: int, start: int = 0, classes: int = 3, **columns: Any) -> Batch:
    t = np.arange(start, start + n)
    return Batch.from_arrays(t[:, None].astype(np.float32), t % classes, start=start, **columns)


class Fussy(ExemplarsSelectionStrategy):
    """Raises for class 1, once it is told to."""

    def __init__(self) -> None:
        self.refuses = False

    def make_sorted_indices(self, candidates: Candidates, k: int) -> NDArray[np.int64]:
        if self.refuses and candidates.rows.y[0] == 1:
            raise RuntimeError("not this one")
        return np.argsort(-candidates.rows.x[:, 0], kind="stable")[:k]


class FussyKeys(OnlineSelectionStrategy):
    def __init__(self) -> None:
        self.refuses = False

    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.refuses:
            raise RuntimeError("not this one")
        return uniform + 0 * rows.y


@pytest.mark.parametrize("strategy", [Fussy(), FussyKeys()])
def test_a_strategy_that_raises_leaves_the_buffer_as_it_was(strategy: Any) -> None:
    buffer = ParametricBuffer(12, "class", strategy)
    buffer.update(rows(60))
    before = plain(copy.deepcopy(buffer.state_dict()))
    strategy.refuses = True
    with pytest.raises(RuntimeError, match="not this one"):
        buffer.update(rows(30, 60))
    assert plain(buffer.state_dict()) == before
    strategy.refuses = False
    buffer.update(rows(30, 60))
    other = ParametricBuffer(12, "class", type(strategy)())
    other.update(rows(60))
    other.update(rows(30, 60))
    assert plain(buffer.state_dict()) == plain(other.state_dict())


class Steps(OnlineSelectionStrategy):
    """Gives many rows the same key; keys fall, so that rows are evicted all along."""

    def make_keys(self, rows: Batch, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.floor(uniform * 4) - rows.t // 400


def drained(buffer: ExemplarsBuffer, start: int, size: int = 5) -> list[list[int]]:
    found = []
    for a in range(start, start + 40 * size, size):
        buffer.update(rows(size, a))
        found.append(buffer.buffer.t.tolist())
    return found


@pytest.mark.parametrize("groupby", [None, "class"])
def test_of_equal_keys_a_resumed_buffer_evicts_the_same(groupby: Any) -> None:
    """Stopped often, so that keys kept sorted are found anew at many places."""
    whole = ParametricBuffer(200, groupby, Steps())
    stopped = ParametricBuffer(200, groupby, Steps())
    for start in range(0, 4000, 200):
        resumed = ParametricBuffer(200, groupby, Steps())
        resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
        stopped = resumed
        assert drained(stopped, start) == drained(whole, start)


@pytest.mark.parametrize("large", [3, 40, 100])
@pytest.mark.parametrize("size", [5, 35])
def test_a_window_whose_rows_lie_scattered_is_resumed_as_it_is(large: int, size: int) -> None:
    whole = SlidingWindowBuffer(40)
    drained(whole, 0)
    whole.forget(where=lambda stored: stored.t % 7 == 0)
    whole.update(rows(50, 200))
    whole.update(rows(large, 250))
    resumed = SlidingWindowBuffer(40)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert drained(resumed, 400, size) == drained(whole, 400, size)


def test_a_merge_that_cannot_be_leaves_both_as_they_were() -> None:
    buffer, other = ReservoirSamplingBuffer(20, 0), ReservoirSamplingBuffer(20, 1)
    buffer.update(rows(50))
    other.update(Batch.from_arrays(np.zeros((50, 2)), np.zeros(50, int)))
    before = [plain(copy.deepcopy(each.state_dict())) for each in (buffer, other)]
    with pytest.raises(ValueError, match=r"^x: stored rows are float32"):
        buffer.merge(other)
    assert [plain(each.state_dict()) for each in (buffer, other)] == before


def test_more_groups_than_are_remembered_can_be_merged() -> None:
    buffers = [ExperienceBalancedBuffer(5, seed) for seed in range(2)]
    for shard, buffer in enumerate(buffers):
        experience = np.arange(3000) + 3000 * shard
        buffer.update(rows(3000, 3000 * shard, experience=experience))
    buffers[0].merge(buffers[1])
    buffers[0].update(rows(2000, 6000, experience=np.arange(2000) + 6000))
    assert len(buffers[0]) == 5
    assert len(buffers[0]._reservoir.groups) <= 4096 + 4 * 5 + 1


def test_groups_of_the_past_do_not_pile_up() -> None:
    buffer = ExperienceBalancedBuffer(20)
    for start in range(0, 20_000, 100):
        buffer.update(rows(100, start, experience=np.arange(start, start + 100)))
        assert len(buffer._reservoir.groups) <= 4096 + 4 * 20 + 1
    assert len(buffer) == len(set(buffer.buffer.experience.tolist())) == 20


def test_ids_are_compared_as_what_they_are() -> None:
    large = 2**53
    ids = np.array([large, large + 1, -1, 7])
    buffer = ReservoirSamplingBuffer(10)
    buffer.update(rows(4, id=ids))
    # so many that they are not compared one by one
    assert buffer.forget(ids=np.array([large + 1, *range(100, 150)], np.uint64)) == 1
    assert buffer.buffer.id is not None
    assert sorted(buffer.buffer.id.tolist()) == ["-1", "7", str(large)]
    assert buffer.forget(ids=["7"]) == 1
    for wrong in ({7}, [7.5], [True]):
        with pytest.raises(TypeError, match=r"^ids must be integers or strings, got "):
            buffer.forget(ids=wrong)  # type: ignore[arg-type]


def test_a_time_without_end_is_no_time() -> None:
    buffer = ReservoirSamplingBuffer(10, ttl=timedelta(seconds=5))
    buffer.update(rows(4, time=[1.0, np.inf, 2.0, np.nan]))
    buffer.update(rows(2, 4, time=[3.0, 6.5]))
    assert sorted(buffer.buffer.t.tolist()) == [2, 3, 4, 5]


def test_fixed_shares_are_no_policy_of_adaptive_ones() -> None:
    fixed = ClassBalancedBuffer(10, 0, adaptive_size=False, total_num_classes=3)
    with pytest.raises(ValueError, match="policies must be the same"):
        fixed.merge(ClassBalancedBuffer(10, 1))
