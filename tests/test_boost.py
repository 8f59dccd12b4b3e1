"""Factors for some rows and for good, and what a mixer, a learner and a buffer make of them."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam

from streamreplay.batch import Batch
from streamreplay.boost import Boost
from streamreplay.buffers import ClassBalancedBuffer, ReservoirSamplingBuffer, SlidingWindowBuffer
from streamreplay.errors import CheckpointError
from streamreplay.learners import TorchLearner, linear
from streamreplay.learners.methods.catalogue import gdumb
from streamreplay.learners.neural.schedules import inverse_sqrt
from streamreplay.learners.neural.training import Training
from streamreplay.mixing import Mixer
from streamreplay.state import load_state, save_state
from tests.contract.digest import plain


def stream(n: int, size: int = 4) -> list[Batch]:
    x = np.random.default_rng(0).standard_normal((n, 2))
    y = (x[:, 0] > 0).astype(np.int64)
    whole = Batch.from_arrays(x, y)
    return [whole.take(slice(i, i + size)) for i in range(0, n, size)]


def test_factors_for_good_add_up_and_those_for_some_rows_replace_each_other() -> None:
    boost = Boost()
    assert not boost.used
    boost.set(2.0, rows=10)
    boost.set(3.0, rows=5)
    assert (boost.factor, boost.used) == (3.0, True)
    boost.set(0.5)
    boost.set(0.5)
    assert boost.factor == 0.75
    boost.passed(4)
    assert boost.factor == 0.75
    boost.passed(4)
    assert boost.factor == 0.25
    again = Boost()
    load_state(again, save_state(boost))
    again.set(2.0, rows=1)
    assert again.factor == 0.5


@pytest.mark.parametrize(
    ("factor", "rows", "message"),
    [
        (0.0, 3, "factor must be above 0 and finite, got 0.0"),
        (float("inf"), 3, "factor must be above 0 and finite, got inf"),
        (2.0, 0, "rows must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_a_boost(factor: float, rows: int, message: str) -> None:
    for set_ in (Boost().set, Mixer(3).boost, TorchLearner(linear(), partial(SGD, lr=1)).scale_lr):
        with pytest.raises(ValueError, match=f"^{message}$"):
            set_(factor, rows)


def test_a_mixer_draws_more_for_so_many_rows() -> None:
    buffer, mixer, drawn = ReservoirSamplingBuffer(100), Mixer(4, steps=2), []
    for place, record in enumerate(mixer(buffer(stream(80)))):
        drawn.append(record.rows.shape)
        if place == 9:
            mixer.boost(2.5, rows=9)
            assert mixer.drawn == 10
        if place == 15:
            mixer.boost(0.5)
    assert drawn[5:] == [*[(2, 4)] * 5, *[(2, 10)] * 3, *[(2, 4)] * 3, *[(2, 2)] * 4]


def test_candidates_and_those_to_choose_of_them_are_multiplied_alike() -> None:
    buffer, mixer = ReservoirSamplingBuffer(100), Mixer(2, candidates=7)
    mixer.boost(2.0)
    *_, record = mixer(buffer(stream(80)))
    assert record.candidates is not None
    assert (record.candidates.shape, record.rows.shape) == ((1, 14), (1, 4))


def test_a_boost_that_ends_leaves_no_trace_in_later_draws() -> None:
    plain_, boosted = Mixer(4, replacement=True), Mixer(4, replacement=True)
    boosted.boost(1.0, rows=3)
    shapes = [
        [record.rows.tolist() for record in mixer(ReservoirSamplingBuffer(9)(stream(40)))]
        for mixer in (plain_, boosted)
    ]
    assert shapes[0] == shapes[1]


def rate(learner: TorchLearner) -> float:
    optimizer: Any = learner._network.optimizer
    return float(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_the_learning_rate_is_scaled_for_so_many_rows_and_comes_back(optimizer: Any) -> None:
    learner = TorchLearner(linear(), partial(optimizer, lr=0.3))
    rates = []
    for place, _ in enumerate(learner(stream(40))):
        rates.append(rate(learner))
        if place == 2:
            learner.scale_lr(0.5, rows=5)
        if place == 6:
            learner.scale_lr(2.0)
    assert rates == [0.3, 0.3, 0.3, 0.15, 0.15, 0.3, 0.3, 0.6, 0.6, 0.6]


def test_it_is_multiplied_with_the_schedule() -> None:
    training = Training(schedule=inverse_sqrt(2))
    rates: list[list[float]] = []
    for factor in (1.0, 0.25):
        learner = TorchLearner(linear(), partial(SGD, lr=0.5), training=training)
        learner.scale_lr(factor, rows=16)
        assert learner.scheduled
        rates.append([rate(learner) for _ in learner(stream(32))])
    assert np.allclose(rates[1][:4], np.array(rates[0][:4]) / 4)
    assert rates[1][4:] == rates[0][4:]


def test_scaled_training_is_that_of_an_optimizer_with_that_rate() -> None:
    a = TorchLearner(linear(), partial(SGD, lr=0.5))
    b = TorchLearner(linear(), partial(SGD, lr=0.125))
    a.scale_lr(0.25)
    for _ in zip(a(stream(40)), b(stream(40)), strict=True):
        pass
    for one, two in zip(a.module.parameters(), b.module.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_module_that_is_trained_afresh_has_the_scaled_rate() -> None:
    learner = TorchLearner(linear(), partial(SGD, lr=0.5), method=gdumb(2, 8))
    learner.scale_lr(0.5, rows=20)
    rates = []
    for record in ReservoirSamplingBuffer(10)(stream(40)):
        list(learner([record]))
        rates.append(rate(learner))
    assert rates == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_rate_that_was_scaled_back_is_what_it_was(*, resumed: bool) -> None:
    learner = TorchLearner(linear(), partial(SGD, lr=0.5))
    list(learner(stream(8)))
    learner.scale_lr(2.0)
    list(learner(stream(8)))
    assert rate(learner) == 1.0
    learner.scale_lr(0.5)
    if resumed:
        state = copy.deepcopy(learner.state_dict())
        learner = TorchLearner(linear(), partial(SGD, lr=0.5))
        learner.load_state_dict(state)
    list(learner(stream(8)))
    assert rate(learner) == 0.5


BUFFERS: dict[str, Any] = {
    "reservoir": lambda size: ReservoirSamplingBuffer(size, 1),
    "balanced": lambda size: ClassBalancedBuffer(size, 1),
    "window": lambda size: SlidingWindowBuffer(size, 1),
}


@pytest.mark.parametrize("kind", BUFFERS)
@pytest.mark.parametrize("sizes", [(20, 8), (20, 35), (20, 8, 30), (20, 0)])
def test_a_resized_buffer_goes_on_in_one_that_is_built_as_it_was(
    kind: str, sizes: tuple[int, ...]
) -> None:
    unbroken = BUFFERS[kind](sizes[0])
    batches = stream(200)
    for place, size in enumerate(sizes):
        unbroken.resize(size)
        for batch in batches[place * 10 : place * 10 + 10]:
            unbroken.update(batch)
    fresh = BUFFERS[kind](sizes[0])
    fresh.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    assert fresh.max_size == sizes[-1]
    assert plain(fresh.state_dict()) == plain(unbroken.state_dict())
    for batch in batches[30:]:
        for buffer in (fresh, unbroken):
            buffer.update(batch)
    assert plain(fresh.state_dict()) == plain(unbroken.state_dict())
    assert fresh.nbytes == unbroken.nbytes
    used = BUFFERS[kind](sizes[0])
    for batch in batches:
        used.update(batch)
    used.resize(3)
    used.load_state_dict(unbroken.state_dict())
    assert plain(used.state_dict()) == plain(unbroken.state_dict())


def test_a_buffer_that_is_measured_in_bytes_as_well() -> None:
    unbroken, fresh = (ReservoirSamplingBuffer(max_bytes=2000, seed=1) for _ in range(2))
    for batch in stream(100):
        unbroken.update(batch)
    before = copy.deepcopy(unbroken.state_dict())
    unbroken.resize(7)
    fresh.load_state_dict(before)
    fresh.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    assert (fresh.max_size, fresh.max_bytes) == (7, None)
    assert plain(fresh.state_dict()) == plain(unbroken.state_dict())
    fresh.load_state_dict(before)
    assert fresh.max_bytes == 2000
    assert plain(fresh.state_dict()) == plain(before)


def test_a_buffer_of_another_capacity_is_still_refused() -> None:
    unbroken = ReservoirSamplingBuffer(20)
    unbroken.resize(8)
    with pytest.raises(CheckpointError, match=r"^max_size: saved 8, this pipeline has 30$"):
        ReservoirSamplingBuffer(30).load_state_dict(unbroken.state_dict())
    ReservoirSamplingBuffer(8).load_state_dict(unbroken.state_dict())
