"""Schedules are closed forms: each is compared with a loop that goes step by step."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from streamreplay.errors import CheckpointError
from streamreplay.learners.neural.schedules import (
    Schedule,
    Scheduler,
    constant,
    cosine,
    inverse_sqrt,
    inverse_time,
    warmup,
)
from streamreplay.state import load_state, save_state

ALL: dict[str, Schedule] = {
    "constant": constant(),
    "cosine": cosine(7),
    "cosine(growth)": cosine(3, floor=0.1, growth=2),
    "inverse_sqrt": inverse_sqrt(10),
    "inverse_time": inverse_time(10),
    "warmup": warmup(5),
    "warmup(cosine)": warmup(5, cosine(7)),
}


def optimizer(lr: float = 0.5, decay: float = 0.01) -> SGD:
    return SGD([torch.zeros(2, requires_grad=True)], lr=lr, weight_decay=decay)


@pytest.mark.parametrize("name", ALL)
def test_factors_are_between_0_and_1_however_long_the_stream(name: str) -> None:
    for step in (*range(200), 10**6, 10**9, 2**53):
        assert 0 <= ALL[name](step) <= 1
    assert all(ALL[name](step) > 0 for step in range(200))


@pytest.mark.parametrize("growth", [1, 2, 3])
@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_cosine_is_torchs_with_warm_restarts(growth: int, floor: float) -> None:
    module = optimizer(lr=1.0)
    theirs = CosineAnnealingWarmRestarts(module, T_0=5, T_mult=growth, eta_min=floor)
    ours = cosine(5, floor=floor, growth=growth)
    for step in range(150):
        assert ours(step) == pytest.approx(module.param_groups[0]["lr"], abs=1e-12)
        module.step()
        theirs.step()


@given(st.integers(0, 10**5), st.floats(0.1, 1e6))
def test_decays_have_the_powers_they_say(step: int, scale: float) -> None:
    assert inverse_sqrt(scale)(step) ** -2 == pytest.approx(1 + step / scale)
    assert inverse_time(scale)(step) ** -1 == pytest.approx(1 + step / scale)


@given(st.integers(0, 50))
def test_warmup_rises_evenly_to_what_follows(steps: int) -> None:
    follows = inverse_sqrt(20)
    schedule = warmup(steps, follows)
    value = 0.0
    for step in range(100):
        value = min(1.0, value + 1 / steps) if steps else 1.0
        assert schedule(step) == pytest.approx(value * follows(step))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: warmup(-1), "steps must be at least 0, got -1"),
        (lambda: inverse_sqrt(0), "scale must be above 0 and finite, got 0"),
        (lambda: inverse_time(math.inf), "scale must be above 0 and finite, got inf"),
        (lambda: cosine(0), "period and growth must be at least 1, got period=0, growth=1"),
        (lambda: cosine(5, growth=0), "period and growth must be at least 1, got period=5"),
        (lambda: cosine(5, floor=2), "floor must be between 0 and 1, got 2"),
    ],
)
def test_refuses(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def run(scheduler: Scheduler, module: SGD, experiences: list[int]) -> list[float]:
    rates = []
    for experience in experiences:
        scheduler.arrive(experience)
        scheduler.set(module)
        rates.append(module.param_groups[0]["lr"])
        scheduler.stepped()
    return rates


def test_sets_the_rate_of_each_step() -> None:
    want = [0.5 * cosine(3)(step) for step in range(8)]
    assert run(Scheduler(cosine(3)), optimizer(), [0] * 8) == want


def test_each_group_of_parameters_keeps_its_own_rate() -> None:
    a, b = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    module = SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.1}], lr=9.0)
    scheduler = Scheduler(inverse_time(1))
    run(scheduler, module, [0] * 4)
    assert [group["lr"] for group in module.param_groups] == [0.25, 0.025]


@pytest.mark.parametrize("on", [False, True])
def test_weight_decay_follows_on_request(on: bool) -> None:
    module = optimizer(decay=0.02)
    run(Scheduler(inverse_time(1), weight_decay=on), module, [0] * 2)
    assert module.param_groups[0]["weight_decay"] == (0.01 if on else 0.02)


def test_restarts_at_each_new_experience_on_request() -> None:
    experiences = [3, 3, 3, 4, 4, 3]
    fade = [0.5, 0.25, 0.5 / 3, 0.125, 0.1, 0.5 / 6]
    assert run(Scheduler(inverse_time(1)), optimizer(), experiences) == pytest.approx(fade)
    again = [0.5, 0.25, 0.5 / 3, 0.5, 0.25, 0.5]
    restarted = run(Scheduler(inverse_time(1), restart=True), optimizer(), experiences)
    assert restarted == pytest.approx(again)


def test_restarts_when_it_is_told_to() -> None:
    scheduler, module = Scheduler(inverse_time(1)), optimizer()
    run(scheduler, module, [0] * 5)
    scheduler.restart()
    assert run(scheduler, module, [0] * 2) == [0.5, 0.25]


@pytest.mark.parametrize("cut", range(7))
def test_goes_on_from_a_state(cut: int) -> None:
    experiences = [0, 0, 1, 1, 1, 2, 2]
    whole = run(Scheduler(cosine(3), restart=True), optimizer(), experiences)
    scheduler, module = Scheduler(cosine(3), restart=True), optimizer()
    first = run(scheduler, module, experiences[:cut])
    state, of_module = save_state(scheduler), copy.deepcopy(module.state_dict())
    scheduler, module = Scheduler(cosine(3), restart=True), optimizer()
    load_state(scheduler, state)
    module.load_state_dict(of_module)
    assert first + run(scheduler, module, experiences[cut:]) == whole


def test_a_state_in_which_another_is_scheduled_is_refused() -> None:
    state = save_state(Scheduler(cosine(3), weight_decay=True))
    with pytest.raises(CheckpointError, match=r"scheduled: saved \['lr', 'weight_decay'\]"):
        load_state(Scheduler(cosine(3)), state)


def test_rates_that_are_tensors_are_set_in_place() -> None:
    rate = torch.tensor(0.5)
    module = AdamW(nn.Linear(2, 2).parameters(), lr=rate)
    scheduler = Scheduler(inverse_time(1))
    scheduler.steps = 1
    for _ in range(2):
        scheduler.set(module)
        assert module.param_groups[0]["lr"] is rate
        assert float(rate) == 0.25
