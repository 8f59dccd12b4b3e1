"""Augmentation, schedules and a budget, inside the learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from math import ceil

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners import OptimizerFactory, TorchLearner, linear, mlp
from streamreplay.learners.methods.catalogue import gdumb, mir
from streamreplay.learners.neural.budget import ReplayBudget
from streamreplay.learners.neural.schedules import Schedule, cosine, inverse_time, warmup
from streamreplay.learners.neural.training import Training
from streamreplay.records import Rehearsal, Scored
from tests.contract.digest import global_randomness, plain
from tests.learners.reference import (
    FEATURES,
    Slow,
    choosing,
    network,
    rehearsals,
    sgd,
    stream,
    weights,
)

LABELS = [[0, 1, 2, 0], *np.random.default_rng(1).integers(0, 3, (11, 4)).tolist()]

# -- augmentation ---------------------------------------------------------------------------------


class Watched(nn.Module):
    """A linear module that remembers what it was given, and whether to learn from it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(FEATURES, 3)
        self.seen: list[tuple[bool, torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((torch.is_grad_enabled(), x.clone()))
        out: torch.Tensor = self.linear(x)
        return out


@pytest.mark.parametrize("incoming", [True, False])
def test_rows_are_changed_for_training_and_not_for_predictions(incoming: bool) -> None:
    given: list[tuple[torch.Tensor, torch.Tensor]] = []

    def augment(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given.append((x.clone(), y.clone()))
        return x + 100

    training = Training(augment=augment, augment_incoming=incoming)
    module = Watched()
    learner = TorchLearner(module, sgd(), training=training, normalize="none")
    for record in rehearsals(LABELS, steps=2):
        module.seen.clear()
        given.clear()
        list(learner([record]))
        n = len(record.incoming)
        predicted = [x.numpy() for learning, x in module.seen if not learning]
        learned = [x.numpy() for learning, x in module.seen if learning]
        assert np.array_equal(predicted[-1], record.incoming.x)
        assert len(learned) == 2
        for step, x in enumerate(learned):
            rows = np.concatenate([record.incoming.x, record.drawn(step).x])
            labels = np.concatenate([record.incoming.y, record.drawn(step).y])
            first = 0 if incoming else n
            assert np.array_equal(x[:first], rows[:first])
            assert np.array_equal(x[first:], rows[first:] + np.float32(100))
            if len(rows) > first:
                assert np.array_equal(given[step][0], rows[first:])
                assert np.array_equal(given[step][1], labels[first:])
        assert len(given) == (2 if incoming or record.rows.size else 0)


def test_draws_are_the_learners_own() -> None:
    training = Training(augment=lambda x, _y: x + torch.randn_like(x))
    ends: list[object] = []
    for seed in (0, 0, 1):
        learner = TorchLearner(linear(), sgd(), training=training, seed=seed)
        torch.manual_seed(len(ends))
        before = global_randomness()
        list(learner(stream()))
        assert global_randomness() == before
        ends.append(plain(weights(learner)))
    assert ends[0] == ends[1] != ends[2]


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda x, _y: x[:1], r"learner\.augment: must return rows \[3, 5\], got \[1, 5\]"),
        (lambda _x, _y: None, r"learner\.augment: must return a tensor, got NoneType"),
        (lambda x, _y: x.numpy(), r"learner\.augment: must return a tensor, got ndarray"),
    ],
)
def test_an_augmentation_must_keep_the_shape(
    augment: Callable[..., torch.Tensor], message: str
) -> None:
    learner = TorchLearner(linear(), sgd(), training=Training(augment=augment))
    with pytest.raises(ConfigError, match=message):
        list(learner(stream()))


# -- schedules ------------------------------------------------------------------------------------


class Scheduled(Slow):
    """The slow loop with torch's own scheduler."""

    def __init__(self, module: nn.Module, make: OptimizerFactory, schedule: Schedule) -> None:
        super().__init__(module, make)
        self.scheduler = LambdaLR(self.optimizer, schedule)

    def _step(self, incoming: Batch, memory: Batch) -> None:
        super()._step(incoming, memory)
        self.scheduler.step()


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("schedule", [inverse_time(4), warmup(6, cosine(5))])
def test_learns_as_the_slow_loop_with_torchs_scheduler(schedule: Schedule, steps: int) -> None:
    records = rehearsals([*LABELS[:5], [-1, -1], *LABELS[5:]], steps=steps)
    module = nn.Linear(FEATURES, 3)
    other = nn.Linear(FEATURES, 3)
    other.load_state_dict(module.state_dict())
    make = sgd(0.5, momentum=0.9)
    slow = Scheduled(other, make, schedule)
    slow.learn(records)
    learner = TorchLearner(
        module, make, training=Training(schedule=schedule), normalize="none", threads=1
    )
    list(learner(records))
    for name, value in slow.module.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    rate = network(learner).optimizer.param_groups[0]["lr"]
    taken = (len(records) - 1) * steps  # none on the batch without labels
    assert rate == pytest.approx(0.5 * schedule(taken - 1))


def rates(learner: TorchLearner, records: list[Rehearsal]) -> list[float]:
    found = []
    for record in records:
        list(learner([record]))
        found.append(network(learner).optimizer.param_groups[0]["lr"])
    return found


def test_restarts_with_an_experience_or_when_it_is_told_to() -> None:
    training = Training(schedule=inverse_time(1), schedule_restarts=True)
    learner = TorchLearner(linear(), sgd(1.0), training=training)
    records = [
        replace(record, incoming=replace(record.incoming, experience=np.full(4, i // 4)))
        for i, record in enumerate(stream(8))
    ]
    assert rates(learner, records[:5]) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1])
    learner.restart_schedule()
    assert rates(learner, records[5:]) == pytest.approx([1, 1 / 2, 1 / 3])
    plain_one = TorchLearner(linear(), sgd(1.0))
    plain_one.restart_schedule()  # of which there is none
    assert rates(plain_one, records) == [1.0] * 8


def test_steps_that_were_left_out_do_not_count() -> None:
    training = Training(schedule=inverse_time(1))
    learner = TorchLearner(
        linear(), sgd(1.0), training=training, on_divergence="skip", normalize="none"
    )
    records = stream(6)
    broken = replace(
        records[2], incoming=replace(records[2].incoming, x=np.full((4, FEATURES), np.inf, "f4"))
    )
    records[2] = broken
    assert rates(learner, records) == pytest.approx([1, 1 / 2, 1 / 2, 1 / 3, 1 / 4, 1 / 5])


@pytest.mark.parametrize("factor", [-0.5, float("nan"), float("inf")])
def test_a_schedule_must_give_a_factor(factor: float) -> None:
    learner = TorchLearner(linear(), sgd(), training=Training(schedule=lambda _: factor))
    with pytest.raises(ConfigError, match=r"a factor is at least 0 and finite, got .* at step 0"):
        list(learner(stream()))


def test_a_module_trained_afresh_has_the_schedule_from_its_start() -> None:
    memory = stream(6)[-1].memory.stored
    memory = replace(memory, experience=np.arange(len(memory)))
    training = Training(schedule=inverse_time(3), schedule_restarts=True)
    ends = []
    for before in (0, 5):
        learner = TorchLearner(mlp([4]), sgd(0.3), method=gdumb(2), training=training)
        list(learner(stream(6)[:1]))
        for _ in range(before):
            learner.retrain(memory)
        learner.retrain(memory, passes=1, batch_size=4)
        ends.append(network(learner).optimizer.param_groups[0]["lr"])
    assert ends[0] == ends[1] == pytest.approx(0.3 / (1 + (ceil(len(memory) / 4) - 1) / 3))


def test_settings_of_a_schedule_that_is_not_there() -> None:
    for name in ("schedule_weight_decay", "schedule_restarts"):
        with pytest.raises(ValueError, match=f"^{name} goes with a schedule, got none$"):
            Training(**{name: True})  # type: ignore[arg-type]


def test_a_state_with_a_schedule_is_not_one_without() -> None:
    scheduled = TorchLearner(linear(), sgd(), training=Training(schedule=cosine(5)))
    list(scheduled(stream()))
    with pytest.raises(CheckpointError, match=r"trainer\.scheduler: saved one, .* has none"):
        TorchLearner(linear(), sgd()).load_state_dict(scheduled.state_dict())


# -- a budget of rehearsal ------------------------------------------------------------------------


def ticking(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so much whenever somebody looks at it."""
    ticks = count()
    return lambda: next(ticks) * seconds


def totals(scored: list[Scored]) -> tuple[int, int]:
    return sum(s.replayed for s in scored), sum(s.throttled for s in scored)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("rate", [0.5, 2.0, 1e9])
def test_what_is_left_out_is_reported(rate: float, steps: int) -> None:
    records = rehearsals(LABELS, k=3, steps=steps)
    drawn = [record.rows.size for record in records]
    budget = ReplayBudget(rows_per_second=rate, clock=ticking(0.5))
    learner = TorchLearner(linear(), sgd(), replay_budget=budget)
    scored = list(learner(records))
    assert [s.replayed + s.throttled for s in scored] == drawn
    # the clock is looked at twice for a batch: that is a second
    credit = learner.state_dict()["budget"]["credit"]
    if rate == 1e9:
        assert totals(scored) == (sum(drawn), 0)
    else:
        assert totals(scored)[0] == rate * (len(records) - 1) - credit
        assert credit < 3


def test_learns_from_what_is_left_as_if_no_more_had_been_drawn() -> None:
    records = rehearsals(LABELS, k=3, steps=2)
    budget = ReplayBudget(rows_per_second=2.5, clock=ticking(0.5))
    learner = TorchLearner(linear(), sgd(), replay_budget=budget)
    cut = []
    for record, scored in zip(records, learner(records), strict=True):
        k = record.rows.shape[1]
        passes, rows = divmod(scored.replayed, k) if k else (2, 0)
        shape = (passes, k) if passes else (1, rows)
        assert scored.replayed == (shape[0] * shape[1] if k else 0)
        cut.append(replace(record, rows=record.rows[: shape[0], : shape[1]]))
    assert {record.rows.shape for record in cut[1:]} == {(1, 2), (1, 3)}
    other = TorchLearner(linear(), sgd())
    list(other(cut))
    assert plain(weights(learner)) == plain(weights(other))


@pytest.mark.parametrize("kind", ["plain", "apart"])
def test_the_time_of_training_is_measured(kind: str) -> None:
    """Training takes 1 s of the 10 s from batch to batch, and half of that is rehearsal."""
    now = [0.0]

    class Slowly(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            now[0] += 1.0 if torch.is_grad_enabled() else 2.0  # s, predicting
            return super().forward(x)

    def arriving(records: list[Rehearsal]) -> list[Scored]:
        scored = []
        for record in records:
            began = now[0]
            scored += list(learner([record]))
            now[0] = began + 10.0
        return scored

    records = rehearsals([[0, 1, 2], *[[0, 1, 2]] * 30], k=3)
    results = {}
    for share in (0.03, 0.06):
        budget = ReplayBudget(share, horizon=100.0, clock=lambda: now[0])
        module = Slowly(FEATURES, 3)
        training = Training(ema=0.9) if kind == "apart" else None
        learner = TorchLearner(module, sgd(), replay_budget=budget, training=training)
        scored = arriving(records)
        results[share] = totals(scored)[1]
        spent = sum(s.replayed / (s.replayed + 3) for s in scored)  # of 1 s each
        assert spent <= share * 10 * len(records) + 0.5
    assert results[0.06] <= 3  # of 90, before it is known what a row takes
    assert 30 < results[0.03] < 60


def test_batches_without_labels_cost_nothing() -> None:
    budget = ReplayBudget(rows_per_second=1.0, clock=ticking(0.5))
    learner = TorchLearner(linear(), sgd(), replay_budget=budget)
    records = rehearsals([[0, 1], [-1, -1], [-1, -1], [1, 0]], k=3)
    scored = list(learner(records))
    assert [(s.replayed, s.throttled) for s in scored] == [(0, 0), (0, 0), (0, 0), (1, 2)]


def test_fewer_candidates_are_asked_about() -> None:
    records = [choosing(record, 3) for record in rehearsals(LABELS, k=6) if record.rows.size]
    budget = ReplayBudget(rows_per_second=4 / 3, clock=ticking(0.5))  # 2 rows in 3 ticks
    asked: list[tuple[int, int]] = []

    def retrieve(
        _learner: object, _incoming: Batch, candidates: Batch, k: int
    ) -> NDArray[np.int64]:
        asked.append((len(candidates), k))
        return np.arange(k)

    method = replace(mir(), retrieve=retrieve)
    learner = TorchLearner(linear(), sgd(), method=method, replay_budget=budget)
    scored = list(learner(records))
    assert [s.replayed + s.throttled for s in scored] == [3] * len(records)
    assert set(asked) == {(4, 2)}


def test_goes_on_with_credit_and_costs_but_not_bit_for_bit() -> None:
    def build(seconds: float) -> TorchLearner:
        budget = ReplayBudget(0.2, clock=ticking(seconds))
        return TorchLearner(linear(), sgd(), replay_budget=budget)

    records = rehearsals(LABELS, k=3)
    learner = build(1.0)
    list(learner(records[:6]))
    state = learner.state_dict()
    other = build(7.0)
    other.load_state_dict(state)
    assert plain(other.state_dict()) == plain(state)
    list(other(records[6:]))
    assert other.state_dict()["budget"]["credit"] != state["budget"]["credit"]


def test_a_budget_may_come_and_go_between_runs() -> None:
    with_one = TorchLearner(linear(), sgd(), replay_budget=ReplayBudget(0.5))
    without = TorchLearner(linear(), sgd())
    for learner in (with_one, without):
        list(learner(stream(3)))
    saved = with_one.state_dict(), without.state_dict()
    without.load_state_dict(saved[0])
    with_one.load_state_dict(saved[1])
    for learner in (with_one, without):
        list(learner(stream(3)))


def test_a_budget_of_the_other_kind_names_its_place() -> None:
    timed = TorchLearner(linear(), sgd(), replay_budget=ReplayBudget(0.5))
    counted = TorchLearner(linear(), sgd(), replay_budget=ReplayBudget(rows_per_second=5.0))
    with pytest.raises(CheckpointError, match=r"budget\.timed: saved True"):
        counted.load_state_dict(timed.state_dict())


def test_there_is_nothing_to_throttle_where_nothing_is_rehearsed() -> None:
    with pytest.raises(ValueError, match="replay_budget is for methods that rehearse"):
        TorchLearner(linear(), sgd(), method="gdumb", replay_budget=ReplayBudget(0.5))


@pytest.mark.parametrize(("share", "least"), [(1e-9, 0), (1 - 1e-9, 1)])
def test_under_a_real_clock(share: float, least: int) -> None:
    """Next to nothing, or all but nothing, however fast the machine is."""
    records = rehearsals([[0, 1, 2], *[[0, 1, 2]] * 40], k=3)
    learner = TorchLearner(linear(), partial(SGD, lr=0.1), replay_budget=ReplayBudget(share))
    replayed, throttled = totals(list(learner(records)))
    assert replayed + throttled == 3 * 40
    assert (replayed > 100) == bool(least)
    assert replayed == 0 or least
