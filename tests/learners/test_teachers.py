"""Averages and snapshots: what they are after so many steps, and while the head grows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners import Method, Step, TorchLearner, Training, mlp
from streamreplay.learners.methods import losses
from streamreplay.learners.methods.catalogue import gdumb, lwf, mkd
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, rehearsals, sgd, stream

Weights = dict[str, torch.Tensor]
GROWING = [[0, 1], [1, 0], [2, 0], [1, 2], [5, 1], [0, 5], [3, 4], [5, 3]]


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Linear(6, classes))


class HandRun:
    """Averages weights by hand: those before each step, for rows that are new, and those after."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.mean: Weights = {}
        self.steps = -1

    def grow(self, live: Weights) -> None:
        """Begin new outputs as the module does."""
        for name, mine in self.mean.items():
            wide = live[name].clone()
            wide[tuple(map(slice, mine.shape))] = mine
            self.mean[name] = wide

    def move(self, live: Weights, counted: set[str]) -> None:
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, weight in live.items():
            first = name not in self.mean or name not in counted
            self.mean[name] = weight if first else d * self.mean[name] + (1 - d) * weight
        self.steps += 1


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.9])
@pytest.mark.parametrize("factory", [mlp([6]), noisy])
def test_predictions_are_the_hand_run_average_s(factory: Any, decay: float) -> None:
    """Batch norm's statistics are no weights: those of the module are taken as they are."""
    hand = HandRun(decay)
    learner = TorchLearner(
        factory,
        sgd(0.2),
        method=Method(lambda step: grown(hand, step)),
        training=Training(ema=decay),
        normalize="none",
    )

    def grown(hand: HandRun, step: Step) -> torch.Tensor:
        hand.grow(copy.deepcopy(learner.module.state_dict()))
        return losses.both(step)

    x = np.random.default_rng(0).standard_normal((5, FEATURES)).astype(np.float32)
    for record in rehearsals(GROWING):
        learn(learner, [record])
        live = copy.deepcopy(dict(learner.module.state_dict()))
        hand.move(live, {name for name, _ in learner.module.named_parameters()})
        module = copy.deepcopy(learner.module).eval()
        module.load_state_dict(hand.mean)
        logits = module(torch.from_numpy(x)).masked_fill(~learner._network.known_tensor, -torch.inf)
        p = torch.softmax(logits, 1).detach().numpy()
        np.testing.assert_allclose(learner.predict_proba(x), p, atol=1e-5)
        test = replace(Batch.from_arrays(x, [0, 0, 1, 1, 0]), held_out="test")
        (scored,) = learner([test])
        np.testing.assert_allclose(scored.probability, p.max(1), atol=1e-5)


def test_an_average_is_not_the_module() -> None:
    learners = [TorchLearner(mlp([6]), sgd(0.2), training=Training(ema=e)) for e in (0.9, None)]
    for learner in learners:
        learn(learner, stream())
    a, b = (learner.module.state_dict() for learner in learners)
    assert plain(dict(a)) == plain(dict(b)), "it only predicts"
    x = stream()[-1].incoming.x
    assert np.abs(learners[0].predict_proba(x) - learners[1].predict_proba(x)).max() > 1e-3


@contextmanager
def hearing(learner: TorchLearner) -> Iterator[list[tuple[list[int], torch.Tensor, torch.Tensor]]]:
    """List for each pass: classes known to the teacher, its logits, and the staged rows."""
    heard: list[tuple[list[int], torch.Tensor, torch.Tensor]] = []
    inner = learner.method.loss

    def loss(step: Step) -> torch.Tensor:
        told = step.teacher_logits
        if told is not None:
            known = step.teacher_known.nonzero()[:, 0].tolist()
            heard.append((known, told.clone(), learner._staging.x[: len(step.y)].clone()))
        return inner(step)

    learner._trainer._descent._loss = loss
    yield heard


def test_a_snapshot_is_the_module_as_the_last_experience_left_it() -> None:
    """It knows no class of the new one, though the first batch has named some already."""
    records = [
        replace(r, incoming=replace(r.incoming, experience=np.full(2, [7, 7, -1, -1, 3][i // 2])))
        for i, r in enumerate(rehearsals(GROWING))
    ]
    learner = TorchLearner(noisy, sgd(0.2), method=lwf(), normalize="none")
    with hearing(learner) as heard:
        learn(learner, records[:4])
        assert not heard
        before = copy.deepcopy(learner.module).eval()
        learn(learner, records[4:6])
    for (known, told, x), width in zip(heard, (6, 6), strict=True):
        assert known == [0, 1, 2]
        assert told.shape[1] == width
        torch.testing.assert_close(told[:, :3], before(x))
        assert not told.requires_grad
    with hearing(learner) as heard:
        before = copy.deepcopy(learner.module).eval()
        learn(learner, [replace(r, incoming=replace(r.incoming, experience=np.full(2, 3)))
                        for r in records[6:7]])  # fmt: skip
    ((known, told, x),) = heard
    assert known == [0, 1, 2, 5]
    torch.testing.assert_close(told, before(x))


@pytest.mark.parametrize("factory", [mlp([6]), noisy])
def test_a_momentum_teacher_is_the_average(factory: Any) -> None:
    """In evaluation mode, also when it has just been copied from a module in training."""
    learner = TorchLearner(factory, sgd(0.2), method=mkd(ema=0.8), normalize="none")
    records = rehearsals(GROWING[:5])
    with hearing(learner) as heard:
        learn(learner, records[:4])
        assert len(heard) == 3
        average = learner._trainer.average
        assert average is not None
        assert average.module is not None
        before = copy.deepcopy(average.module).eval()
        learn(learner, records[4:])
    known, told, x = heard[-1]
    assert (known, told.shape[1]) == ([0, 1, 2, 5], 6)
    torch.testing.assert_close(told[:, :3], before(x))


@pytest.mark.parametrize("method", [lwf(), mkd(), Method(teacher="average", ema=0.5)])
def test_learning_anew_from_memory_begins_without_a_past(method: Method) -> None:
    """Neither an average of another module's weights, nor a teacher that it never was."""
    records = [
        replace(r, incoming=replace(r.incoming, experience=np.full(2, i // 2)))
        for i, r in enumerate(rehearsals(GROWING))
    ]
    memory = Batch.concat([r.incoming for r in records[:4]])
    fresh = TorchLearner(mlp([6]), sgd(0.2), method=method, normalize="none")
    used = TorchLearner(mlp([6]), sgd(0.2), method=method, normalize="none")
    learn(used, records)
    assert used.predict_proba(memory.x).shape[1] == 6
    used._random.load_state_dict(fresh._random.state_dict())
    for learner in (fresh, used):
        with hearing(learner) as heard:
            learner.retrain(memory, passes=3, batch_size=4)
        assert bool(heard) == (method.teacher == "average")
    assert plain(fresh.predict_proba(memory.x)) == plain(used.predict_proba(memory.x))
    learn(used, records)


@pytest.mark.parametrize(
    ("saved", "live", "message"),
    [
        ("ncm", "er", "predictor.classifiers: saved ['ncm'], this pipeline has []"),
        ("er", "ncm", "predictor.classifiers: saved [], this pipeline has ['ncm']"),
        ("mkd", "er", "trainer.average: saved one, this pipeline has none"),
        ("er", "lwf", "trainer.snapshot: saved none, this pipeline has one"),
        (mkd(ema=0.9), mkd(ema=0.8), "trainer.decay: saved 0.9, this pipeline has 0.8"),
    ],
)
def test_a_state_of_another_kind_is_refused(saved: Any, live: Any, message: str) -> None:
    a, b = (TorchLearner(mlp([6]), sgd(), method=method) for method in (saved, live))
    learn(a, stream())
    with pytest.raises(CheckpointError) as caught:
        b.load_state_dict(a.state_dict())
    assert str(caught.value) == message


class Stubborn(nn.Linear):
    def __deepcopy__(self, memo: object) -> Stubborn:
        raise TypeError("there is only one of me")


def test_what_cannot_be_copied_is_named() -> None:
    learner = TorchLearner(Stubborn(FEATURES, 3), sgd(), training=Training(ema=0.5))
    message = "learner.module: Stubborn cannot be copied, .* there is only one of me"
    with pytest.raises(ConfigError, match=message):
        learn(learner, stream())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Training(ema=1.0), r"ema must be in \[0, 1\), got 1.0"),
        (lambda: Training(clip_grad_norm=0), "clip_grad_norm must be above 0, got 0"),
        (lambda: Training(label_smoothing=1), r"label_smoothing must be in \[0, 1\), got 1"),
        (lambda: TorchLearner(mlp(), sgd(), method=Method(teacher="average")), "needs ema"),
        (lambda: TorchLearner(mlp(), sgd(), method="ema"), "method must be one of er, er-ace"),
        (
            lambda: TorchLearner(nn.Linear(2, 2), partial(SGD, lr=1), method=gdumb()),
            "a method that retrains needs a factory of modules, got a module",
        ),
    ],
)
def test_arguments_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
