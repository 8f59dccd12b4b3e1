"""A budget of rehearsal, under a clock that the tests move."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal
from tests.contract.digest import plain


@dataclass
class World:
    """A learner whose passes take ``fixed`` + ``row`` times their rows, in seconds.

    Waiting for a batch, and all that is no training, is ``wait``.
    """

    fixed: float = 0.001
    row: float = 0.0001
    now: float = 100.0
    done: list[tuple[float, float, int]] = field(default_factory=list)
    """For each batch: when it was finished, seconds of rehearsal, memory rows learned from."""
    budget: ReplayBudget | None = None

    def use(self, budget: ReplayBudget) -> World:
        self.budget = budget
        return self

    def clock(self) -> float:
        return self.now

    def learn(
        self, batches: int = 1, *, n: int = 10, steps: int = 1, k: int = 10, wait: float = 0.0
    ) -> list[tuple[int, int]]:
        assert self.budget is not None
        plans = []
        for _ in range(batches):
            self.now += wait
            passes, rows = self.budget.plan(n, steps, k)
            assert passes == 1 or rows == k
            assert 1 <= passes <= steps
            assert 0 <= rows <= k
            of_pass = self.fixed + self.row * (n + rows)
            self.now += of_pass * passes
            self.budget.done()
            rehearsal = of_pass * rows / (n + rows) + of_pass * (passes - 1)
            self.done.append((self.now, rehearsal, passes * rows))
            plans.append((passes, rows))
        return plans

    def share(self, last: int) -> float:
        """Return the share of rehearsal in the time of the last batches."""
        since = self.done[-last - 1][0]
        return sum(seconds for _, seconds, _ in self.done[-last:]) / (self.now - since)


def test_a_slow_stream_gets_all_its_rehearsal() -> None:
    world = World()
    world.use(ReplayBudget(0.05, clock=world.clock))
    assert world.learn(wait=1.0, steps=3) == [(1, 0)]  # nothing is known of costs yet
    assert world.learn(200, wait=1.0, steps=3) == [(3, 10)] * 200


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.45])
def test_a_fast_stream_is_throttled_to_the_share(share: float) -> None:
    world = World()
    world.use(ReplayBudget(share, clock=world.clock))
    world.learn(2000)  # unthrottled, half of the time would be rehearsal
    assert world.share(1000) == pytest.approx(share, rel=0.02)
    rows = [k for _, k in world.learn(200)]
    assert max(rows) - min(rows) <= 1  # evenly, and not now all and then nothing


def test_passes_go_before_rows() -> None:
    plans = {}
    for share in (0.05, 0.2, 0.45, 0.6, 0.7, 0.8, 0.9):
        world = World()
        world.use(ReplayBudget(share, clock=world.clock))
        world.learn(2000, steps=4)
        plans[share] = world.learn(500, steps=4)
        assert world.share(500) == pytest.approx(min(share, 0.875), rel=0.05)
        if share == 0.7:  # passes of one size, of which the price is known
            assert world.budget is not None
            for _ in range(20):
                world.learn(steps=4)
                assert world.budget.credit > -1e-9
    taken = [sum(passes * rows for passes, rows in plan) for plan in plans.values()]
    assert taken == sorted(taken)
    assert {passes for passes, _ in plans[0.2]} == {1}
    assert {rows for _, rows in plans[0.7]} == {10}
    assert plans[0.9] == [(4, 10)] * 500


def test_a_burst_uses_what_was_left_and_is_throttled_then() -> None:
    world = World()
    world.use(ReplayBudget(0.1, horizon=5.0, clock=world.clock))
    world.learn(20, wait=1.0)
    burst = [k for _, k in world.learn(3000)]
    full = burst.index(next(k for k in burst if k < 10))
    # a batch of 10 + 10 takes 3 ms and half of it is rehearsal: 1.5 ms are spent, 0.3 ms come in
    assert full == pytest.approx(0.5 / 0.0012, rel=0.02)
    assert world.share(1000) == pytest.approx(0.1, rel=0.02)
    assert world.learn(5, wait=1.0)[1:] == [(1, 10)] * 4


def test_follows_the_cost_of_a_row() -> None:
    world = World()
    world.use(ReplayBudget(0.3, clock=world.clock))
    world.learn(1000, wait=0.001)
    before = world.learn(100, wait=0.001)
    world.row *= 20
    world.learn(1000, wait=0.001)
    assert world.share(500) == pytest.approx(0.3, rel=0.02)
    dearer = world.learn(100, wait=0.001)
    assert sum(k for _, k in dearer) < sum(k for _, k in before)
    world.row /= 20
    world.learn(1000, wait=0.001)
    after = world.learn(100, wait=0.001)
    assert abs(sum(k for _, k in after) - sum(k for _, k in before)) <= 3


def test_one_long_batch_is_paid_off_first() -> None:
    world = World()
    world.use(ReplayBudget(0.25, clock=world.clock))
    world.learn(300)
    row, world.row = world.row, 1.0
    world.learn()
    world.row = row
    spent = world.done[-1][1]
    assert spent > 1
    still = world.learn(200)
    assert still == [(1, 0)] * 200
    while world.learn() == [(1, 0)]:
        pass
    assert sum(s for t, s, _ in world.done if t > 0) / (world.now - 100) < 0.26


STREAMS = st.lists(
    st.tuples(
        st.sampled_from([1, 40]),  # batches
        st.integers(1, 20),  # n
        st.integers(1, 3),  # steps
        st.integers(0, 30),  # k
        st.sampled_from([0.0, 1e-4, 0.01, 2.0, 100.0]),  # wait
    ),
    min_size=2,
    max_size=12,
)


@given(STREAMS, st.sampled_from([0.01, 0.3, 0.9]), st.sampled_from([0.1, 10.0]))
def test_over_any_stretch_the_share_is_kept(
    stream: list[tuple[int, int, int, int, float]], share: float, horizon: float
) -> None:
    world = World()
    world.use(ReplayBudget(share, horizon=horizon, clock=world.clock))
    for batches, n, steps, k, wait in stream:
        world.learn(batches, n=n, steps=steps, k=k, wait=wait)
    times = np.array([t for t, _, _ in world.done])
    spent = np.cumsum([seconds for _, seconds, _ in world.done])
    most = max(seconds for _, seconds, _ in world.done)
    for i in range(len(times)):
        stretch = times[i:] - times[i]
        assert (spent[i:] - spent[i] <= share * (stretch + horizon) + most + 1e-9).all()


@given(STREAMS, st.sampled_from([0.5, 100.0, 1e5]), st.sampled_from([0.1, 10.0]))
def test_over_any_stretch_the_rows_per_second_are_kept(
    stream: list[tuple[int, int, int, int, float]], rate: float, horizon: float
) -> None:
    world = World()
    world.use(ReplayBudget(rows_per_second=rate, horizon=horizon, clock=world.clock))
    for batches, n, steps, k, wait in stream:
        world.learn(batches, n=n, steps=steps, k=k, wait=wait)
    times = np.array([t for t, _, _ in world.done])
    rows = np.cumsum([r for _, _, r in world.done])
    for i in range(len(times)):
        stretch = times[i:] - times[i]
        longest = np.diff(times, prepend=100.0).max()  # a decision was at the batch's beginning
        assert (rows[i:] - rows[i] <= rate * (stretch + horizon + longest) + 1e-6).all()


def test_rows_per_second() -> None:
    world = World(fixed=0.01, row=0.0)
    world.use(ReplayBudget(rows_per_second=450.0, clock=world.clock))
    assert world.learn() == [(1, 0)]
    rows = [k for _, k in world.learn(1000)]  # 100 batches a second
    assert set(rows) == {4, 5}
    assert sum(rows) == pytest.approx(4500, abs=5)
    assert world.learn(3, k=0, steps=4) == [(4, 0)] * 3  # in which there is nothing to count
    world.now += 1.0
    assert world.learn(3, k=100, steps=4) == [(4, 100), (1, 100), (1, 31)]


def test_cuts_what_was_drawn() -> None:
    now = [0.0]
    budget = ReplayBudget(rows_per_second=1.0, horizon=100.0, clock=lambda: now[0])
    incoming = Batch.from_arrays([[1.0]], [0])
    memory = Batch.from_arrays([[2.0], [3.0], [4.0]], [1, 1, 1])
    rows, group = np.array([[0, 1], [2, 1], [1, 0]]), np.array([[5, 6], [7, 8], [9, 4]])
    drawn = Rehearsal(incoming, FixedMemory(memory), rows=rows, group=group)
    shapes = []
    for seconds in (0, 1, 4, 100):
        now[0] += seconds
        allowed, throttled = budget.allow(drawn)
        assert throttled == 6 - allowed.rows.size
        assert allowed.incoming is incoming
        assert plain(allowed.rows) == plain(rows[: len(allowed.rows), : allowed.rows.shape[1]])
        assert plain(allowed.group) == plain(group[: len(allowed.rows), : allowed.rows.shape[1]])
        shapes.append(allowed.rows.shape)
        budget.done()
    assert shapes == [(1, 0), (1, 1), (2, 2), (3, 2)]
    assert rows.shape == (3, 2)


def test_cuts_candidates_in_proportion() -> None:
    now = [0.0]
    budget = ReplayBudget(rows_per_second=1.0, horizon=100.0, clock=lambda: now[0])
    memory = Batch.from_arrays(np.arange(20.0)[:, None], [0] * 20)
    incoming, wide = memory.take(slice(0, 1)), np.arange(20).reshape(2, 10)
    rows = wide[:, :4]
    drawn = Rehearsal(incoming, FixedMemory(memory), rows, rows, candidates=wide)
    found = []
    for seconds in (0, 1, 3, 6, 8):
        now[0] += seconds
        allowed, throttled = budget.allow(drawn)
        assert allowed.candidates is not None
        assert plain(allowed.rows) == plain(rows[: len(allowed.rows), : allowed.rows.shape[1]])
        found.append((allowed.candidates.shape, allowed.rows.shape[1], throttled))
        budget.done()
    assert found == [
        ((1, 0), 0, 8),
        ((1, 2), 1, 7),
        ((1, 7), 3, 5),
        ((1, 10), 4, 4),
        ((2, 10), 4, 0),
    ]


def test_what_was_done_before_a_batch_is_trained_on_is_no_rehearsal() -> None:
    now = [0.0]
    budget = ReplayBudget(0.5, clock=lambda: now[0])
    for _ in range(2):
        now[0] += 3.0
        budget.plan(1, 1, 1)
        now[0] += 2.0  # in which the rows are predicted
        budget.begin()
        now[0] += 1.0
        budget.done()
    assert budget.credit == 0.5 * 6.0 - 0.5


@pytest.mark.parametrize("cut", [0, 1, 50, 199])
@pytest.mark.parametrize("timed", [True, False])
def test_goes_on_from_a_state(cut: int, timed: bool) -> None:
    def budget(world: World) -> World:
        if timed:
            return world.use(ReplayBudget(0.2, clock=world.clock))
        return world.use(ReplayBudget(rows_per_second=900.0, clock=world.clock))

    first = budget(World())
    first.learn(100, wait=0.01)
    first.learn(cut)
    assert first.budget is not None
    state = first.budget.state_dict()
    assert plain(first.budget.state_dict()) == plain(state)
    resumed = budget(World(now=1e6))  # another process, another clock
    assert resumed.budget is not None
    resumed.budget.load_state_dict(state)
    assert plain(resumed.budget.state_dict()) == plain(state)
    assert first.budget.credit == resumed.budget.credit
    first.budget.load_state_dict(state)  # which forgets when credit came in last
    assert resumed.learn() == first.learn()
    went_on, had_gone_on = (sum(k for _, k in w.learn(100)) for w in (resumed, first))
    assert went_on == pytest.approx(had_gone_on, abs=1)  # a clock of other digits


def test_the_time_between_saving_and_loading_earns_nothing() -> None:
    world = World()
    world.use(ReplayBudget(rows_per_second=100.0, clock=world.clock)).learn(20)
    assert world.budget is not None
    state = world.budget.state_dict()
    world.now += 1000.0
    world.budget.load_state_dict(state)
    world.learn(k=0)
    assert world.budget.credit == state["credit"]


def test_a_state_of_the_other_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="timed: saved True, this pipeline has False"):
        ReplayBudget(rows_per_second=1).load_state_dict(ReplayBudget(0.5).state_dict())


def test_a_state_of_more_credit_than_there_can_be_is_cut() -> None:
    world = World()
    world.use(ReplayBudget(0.5, horizon=100.0, clock=world.clock)).learn(3, wait=1000.0)
    assert world.budget is not None
    shorter = ReplayBudget(0.1, horizon=1.0)
    shorter.load_state_dict(world.budget.state_dict())
    assert shorter.credit == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "a budget is either share or rows_per_second, got share=None, rows_per_second=None"),
        ({"share": 0.5, "rows_per_second": 2.0}, "got share=0.5, rows_per_second=2.0"),
        ({"share": 0.0}, "share must be above 0 and below 1, got 0.0"),
        ({"share": 1.0}, "share must be above 0 and below 1, got 1.0"),
        ({"rows_per_second": 0.0}, "rows_per_second must be above 0 and finite, got 0.0"),
        ({"share": 0.5, "horizon": float("nan")}, "horizon must be above 0 and finite, got nan"),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ReplayBudget(**arguments)
