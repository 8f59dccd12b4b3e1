"""A learner that is saved and brought back goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from streamreplay.errors import CheckpointError
from streamreplay.learners import (
    ModuleFactory,
    OptimizerFactory,
    TorchLearner,
    cnn,
    linear,
    mlp,
    slim_resnet18,
)
from streamreplay.learners.neural.augment import compose, feature_dropout, mixup, noise
from streamreplay.learners.neural.schedules import cosine, warmup
from streamreplay.learners.neural.training import Training
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, rehearsals, sgd, stream

MOMENTUM: OptimizerFactory = partial(SGD, lr=0.1, momentum=0.9, nesterov=True)
ADAM: OptimizerFactory = partial(Adam, lr=0.01)
RECORDS = rehearsals([[-1, -1], [0, 1], [0, 2, 4], [1, -1], [5, 0], [-1], [7, 3]], steps=2)


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.4), nn.Linear(6, classes)
    )


def on_images(factory: ModuleFactory, size: int) -> ModuleFactory:
    """Blow rows up to square images."""

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        blow = nn.Sequential(nn.Unflatten(1, (1, 1, shape[0])), nn.Upsample((size, size)))
        return nn.Sequential(blow, factory((1, size, size), classes))

    return build


def on_frozen(shape: tuple[int, ...], classes: int) -> nn.Module:
    backbone = nn.Sequential(nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.4))
    return nn.Sequential(
        backbone.requires_grad_(requires_grad=False), nn.Dropout(0.4), nn.Linear(6, classes)
    )


def given(kind: str) -> nn.Module:
    """Build a user's own module; each process starts with other weights."""
    if kind == "wide":
        return nn.Linear(FEATURES, 9)
    return nn.Sequential(nn.Linear(FEATURES, 4), nn.LSTM(4, 4), Last(), nn.Linear(4, 1))


class Last(nn.Module):
    def forward(self, outputs: tuple[torch.Tensor, Any]) -> torch.Tensor:
        return outputs[0]


def levers(*, augment_incoming: bool = True) -> Training:
    """Have rows changed by lot, and a schedule that is not at its start when it goes on."""
    return Training(
        augment=compose(noise(0.3), feature_dropout(0.2), mixup(1.0)),
        augment_incoming=augment_incoming,
        schedule=warmup(3, cosine(4)),
        schedule_weight_decay=True,
        schedule_restarts=True,
    )


LEARNERS: dict[str, Callable[[], TorchLearner]] = {
    "linear": lambda: TorchLearner(linear(), MOMENTUM),
    "mlp": lambda: TorchLearner(mlp([4]), MOMENTUM, normalize="none"),
    "mlp-adam": lambda: TorchLearner(mlp([4]), ADAM),
    "noisy": lambda: TorchLearner(noisy, MOMENTUM),
    "noisy-adam": lambda: TorchLearner(noisy, ADAM, on_divergence="skip"),
    "wide": lambda: TorchLearner(given("wide"), MOMENTUM),
    "recurrent": lambda: TorchLearner(given("recurrent"), ADAM),
    "cosine": lambda: TorchLearner(mlp([4], head="cosine"), MOMENTUM),
    "cosine-adam": lambda: TorchLearner(linear(head="cosine"), ADAM),
    "weight_norm": lambda: TorchLearner(mlp([4], head="weight_norm"), MOMENTUM),
    "weight_norm-adam": lambda: TorchLearner(linear(head="weight_norm"), ADAM),
    "cnn": lambda: TorchLearner(on_images(cnn([4, 8], head="cosine"), 5), ADAM),
    "slim_resnet18": lambda: TorchLearner(on_images(slim_resnet18(2), 9), MOMENTUM),
    "frozen": lambda: TorchLearner(on_frozen, ADAM),
    "threads": lambda: TorchLearner(mlp([4]), MOMENTUM, threads=2),
    "levers": lambda: TorchLearner(mlp([4]), MOMENTUM, training=levers()),
    "levers-adam": lambda: TorchLearner(noisy, ADAM, training=levers(augment_incoming=False)),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_resumes_at_every_batch(name: str) -> None:
    learner = LEARNERS[name]()
    states = [copy.deepcopy(learner.state_dict())]
    scored = []
    for record in RECORDS:
        scored += list(learner([record]))
        states.append(copy.deepcopy(learner.state_dict()))
    if name in ("wide", "recurrent"):  # before its first row, a given module is the user's
        states[0], first = states[1], 1
    else:
        first = 0
    end = plain(learner.state_dict())
    for cut in range(first, len(RECORDS) + 1):
        resumed = LEARNERS[name]()
        resumed.load_state_dict(copy.deepcopy(states[cut]))
        assert plain(resumed.state_dict()) == plain(states[cut])
        assert plain(list(resumed(RECORDS[cut:]))) == plain(scored[cut:])
        assert plain(resumed.state_dict()) == end


@pytest.mark.parametrize("name", LEARNERS)
def test_asking_for_the_state_changes_nothing(name: str) -> None:
    asked, left_alone = LEARNERS[name](), LEARNERS[name]()
    if name in ("wide", "recurrent"):
        asked.load_state_dict(_first_state(left_alone))
    results = []
    for record in RECORDS[1:]:
        before = plain(asked.state_dict())
        assert plain(asked.state_dict()) == before
        results.append(plain(list(asked([record]))))
    assert results == [plain([s]) for s in left_alone(RECORDS[1:])]
    assert plain(asked.state_dict()) == plain(left_alone.state_dict())


def _first_state(learner: TorchLearner) -> dict[str, Any]:
    learn(learner, RECORDS[:1])
    return copy.deepcopy(learner.state_dict())


def test_one_state_starts_any_number_of_learners() -> None:
    """None of them may write to it, as torch's own optimizers would."""
    for name in ("mlp", "mlp-adam", "noisy"):
        learner = LEARNERS[name]()
        learn(learner, RECORDS[:4])
        state = copy.deepcopy(learner.state_dict())
        saved = plain(state)
        ends = []
        for _ in range(2):
            resumed = LEARNERS[name]()
            resumed.load_state_dict(state)
            learn(resumed, RECORDS[4:])
            ends.append(plain(resumed.state_dict()))
            assert plain(state) == saved
        assert ends[0] == ends[1]


def test_a_used_learner_can_go_back() -> None:
    learner = LEARNERS["mlp"]()
    learn(learner, RECORDS[:3])
    state = copy.deepcopy(learner.state_dict())
    want = plain(list(learner(RECORDS[3:4])))
    learner.load_state_dict(state)
    assert plain(list(learner(RECORDS[3:4]))) == want
    fresh = LEARNERS["mlp"]().state_dict()
    with pytest.raises(CheckpointError, match=r"network\.built: saved False"):
        learner.load_state_dict(fresh)


def build(hidden: tuple[int, ...], optimizer: OptimizerFactory = MOMENTUM) -> TorchLearner:
    return TorchLearner(mlp(hidden), optimizer)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: build((8,)),
            "network.module.0.weight: saved float32[4, 5], this pipeline has float32[8, 5]",
        ),
        (
            lambda: build(()),
            (
                "network.module: saved ['0.bias', '0.weight', '2.bias', '2.weight'], "
                "this pipeline has ['bias', 'weight']"
            ),
        ),
        (
            lambda: build((4,), ADAM),
            "network.optimizer_kind: saved SGD, this pipeline has Adam",
        ),
        (
            lambda: TorchLearner(mlp([4]), MOMENTUM, normalize="none"),
            "scaler.normalize: saved auto, this pipeline has none",
        ),
        (
            lambda: TorchLearner(mlp([4]), _two_groups),
            "network.optimizer: loaded state dict has a different number of parameter groups",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused(
    other: Callable[[], TorchLearner], message: str
) -> None:
    learner = build((4,))
    learn(learner, stream())
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        other().load_state_dict(learner.state_dict())


def _two_groups(parameters: Any) -> SGD:
    first, *rest = parameters
    return SGD([{"params": [first]}, {"params": rest}], lr=0.1)


def test_a_state_of_other_features_is_refused_by_a_learner_that_has_seen_some() -> None:
    learner, other = build((4,)), build((4,))
    learn(learner, stream())
    record = stream(1)[0].incoming.take(slice(0, 2))
    learn(other, [type(record).from_arrays(record.x[:, :2], record.y)])
    message = r"network\.feature_shape: saved \[5\], this pipeline has \[2\]"
    with pytest.raises(CheckpointError, match=message):
        other.load_state_dict(learner.state_dict())


def test_a_wider_live_head_is_refused() -> None:
    saved, live = build(()), TorchLearner(nn.Linear(FEATURES, 9), sgd(momentum=0.9))
    learn(saved, stream())
    message = r"network\.module\.weight: saved float32\[3, 5\], this pipeline has float32\[9, 5\]"
    with pytest.raises(CheckpointError, match=message):
        live.load_state_dict(saved.state_dict())
