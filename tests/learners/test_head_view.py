"""What a selection strategy asks a learner for is right, and asking leaves no trace."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers.selection import (
    GSSGreedySelectionStrategy,
    HerdingSelectionStrategy,
    LossAwareSelectionStrategy,
)
from streamreplay.learners import ModuleFactory, TorchLearner, linear, mlp
from streamreplay.learners.predictions import LOSS_LIMIT
from tests.buffers.selection.groups import candidates
from tests.contract.digest import global_randomness, plain
from tests.learners.reference import FEATURES, learn, network, rehearsals, sgd, stream

RECORDS = rehearsals([[0, 1], [0, 2, 4], [1, 1], [5, 0]] * 2)
ROWS = Batch.from_arrays(
    np.random.default_rng(5).standard_normal((7, FEATURES)), [0, 1, 2, 5, 4, 0, -1]
)


class Draws(nn.Module):
    """Draws in evaluation mode as well, which no well-known layer does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.1 * torch.rand_like(x)


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.4), Draws(), nn.Linear(6, classes)
    )


def headless(shape: tuple[int, ...], _: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 9), nn.LogSoftmax(1))


def without_bias(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 4), nn.Tanh(), nn.Linear(4, classes, bias=False))


FACTORIES: dict[str, ModuleFactory] = {
    "linear": linear(),
    "mlp": mlp([4]),
    "noisy": noisy,
    "headless": headless,
    "without bias": without_bias,
    "cosine": mlp([4], head="cosine"),
    "weight_norm": mlp([4], head="weight_norm"),
}
VIEWS: dict[str, Callable[[TorchLearner], NDArray[np.float32]]] = {
    "losses": lambda learner: learner.losses(ROWS),
    "features": lambda learner: learner.features(ROWS.x),
    "gradients": lambda learner: learner.gradients(ROWS),
}


def trained(factory: ModuleFactory, **options: Any) -> TorchLearner:
    learner = TorchLearner(factory, sgd(momentum=0.9), **options)
    learn(learner, RECORDS)
    return learner


def scaled(learner: TorchLearner, x: NDArray[Any]) -> torch.Tensor:
    out = np.empty(x.shape, np.float32)
    learner._scaler.write(x, out)
    return torch.from_numpy(out)


def by_autograd(learner: TorchLearner, x: NDArray[Any], label: int) -> NDArray[Any]:
    """Return one row's gradient at the head as torch computes it, class after class."""
    net = network(learner)
    head = net.head
    assert head is not None
    net.module.zero_grad()
    logits = net.module.eval()(scaled(learner, x[None]))
    logits = logits if net.mask is None else logits + net.mask
    cross_entropy(logits, torch.tensor([label])).backward()  # type: ignore[no-untyped-call]
    weights = [p for p in head.parameters() if p.ndim]  # a cosine's scale belongs to no class
    parts = [p.grad.reshape(head.out_features, -1) for p in weights if p.grad is not None]
    return torch.cat(parts, 1).reshape(-1).numpy()


@pytest.mark.parametrize("name", ["linear", "mlp", "without bias", "cosine", "weight_norm"])
def test_gradients_are_those_of_autograd(name: str) -> None:
    learner = trained(FACTORIES[name])
    found = learner.gradients(ROWS)
    assert found.dtype == np.float32
    for row in np.flatnonzero(ROWS.y >= 0).tolist():
        want = by_autograd(learner, ROWS.x[row], int(ROWS.y[row]))
        np.testing.assert_allclose(found[row], want, rtol=1e-4, atol=1e-6)
    assert not found[ROWS.y < 0].any()


def test_gradients_of_a_module_without_a_head_are_those_at_its_outputs() -> None:
    learner = trained(headless)
    p = learner.predict_proba(ROWS.x)
    want = p - np.eye(9, dtype=np.float32)[ROWS.y]
    np.testing.assert_allclose(learner.gradients(ROWS)[:6], want[:6], atol=1e-6)
    assert learner.features(ROWS.x).shape == (7, 5)  # what its last linear layer is given


def test_gradients_grow_at_their_end() -> None:
    """A class not met yet appends entries; so does the head, when it has grown."""
    learner = trained(mlp([4]))
    old = learner.gradients(ROWS)
    assert old.shape == (7, 6 * 5)
    with_new = learner.gradients(replace(ROWS, y=np.array([0, 1, 2, 5, 4, 0, 7])))
    assert with_new.shape == (7, 8 * 5)
    assert (with_new[:6, :30] == old[:6]).all()
    assert not with_new[:6, 30:].any()
    h = np.append(learner.features(ROWS.x)[6], 1)
    assert (with_new[6, 35:] == -h).all()
    assert not with_new[6, 30:35].any()
    learn(learner, [Batch.from_arrays(ROWS.x[:1], [7])])
    assert learner.gradients(ROWS).shape == (7, 8 * 5)


def test_features_are_what_the_head_is_given() -> None:
    learner = trained(mlp([4]))
    first, relu, _ = learner.module.children()
    with torch.no_grad():
        want = relu(first(scaled(learner, ROWS.x))).numpy()
    np.testing.assert_allclose(learner.features(ROWS.x), want, rtol=1e-5)


def test_features_stay_when_the_learner_is_asked_again() -> None:
    """A head alone is given the learner's own staged rows, which the next call overwrites."""
    learner = trained(linear())
    first = learner.features(ROWS.x)
    copied = first.copy()
    second = learner.features(ROWS.x[::-1])
    assert (first == copied).all()
    np.testing.assert_allclose(second, first[::-1])
    np.testing.assert_allclose(first, scaled(learner, ROWS.x).numpy())


def test_losses_are_as_scored() -> None:
    learner = trained(mlp([4]))
    asked = replace(ROWS, y=np.array([0, 1, 2, 5, 4, 40, -1]))
    found = learner.losses(asked)
    (scored,) = learner([replace(asked, held_out="test")])
    assert plain(found) == plain(scored.loss)
    assert found[5] == np.float32(LOSS_LIMIT)
    assert np.isnan(found[6])
    p = learner.predict_proba(ROWS.x)
    np.testing.assert_allclose(found[:5], -np.log(p[np.arange(5), asked.y[:5]]), rtol=1e-4)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", FACTORIES)
def test_asking_leaves_no_trace(name: str, view: str) -> None:
    asked = TorchLearner(FACTORIES[name], sgd(momentum=0.9))
    left_alone = TorchLearner(FACTORIES[name], sgd(momentum=0.9))
    for record in RECORDS:
        state = plain(asked.state_dict())
        found = VIEWS[view](asked)
        assert plain(VIEWS[view](asked)) == plain(found)
        assert plain(asked.state_dict()) == state
        scored = list(asked([record]))
        assert plain(scored) == plain(list(left_alone([record])))
    assert plain(asked.state_dict()) == plain(left_alone.state_dict())
    assert not any(m._forward_hooks for m in asked.module.modules())
    assert all(p.requires_grad for p in asked.module.parameters())


@pytest.mark.parametrize("view", VIEWS)
def test_no_global_generator_is_moved_or_read(view: str) -> None:
    learner = trained(noisy)
    found = []
    for seed in (1, 2):
        random.seed(seed)
        torch.manual_seed(seed)
        before = global_randomness()
        found.append(plain(VIEWS[view](learner)))
        assert global_randomness() == before
    assert found[0] == found[1]


class Probe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 6)
        self.passes: list[tuple[bool, bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize("view", VIEWS)
def test_in_evaluation_mode_on_the_learner_s_own_threads(view: str) -> None:
    probe = Probe()
    learner = TorchLearner(probe, sgd(), threads=2)
    learn(learner, RECORDS)
    probe.passes.clear()
    VIEWS[view](learner)
    assert probe.passes == [(False, False, 2)]
    assert torch.get_num_threads() == 1


def test_before_the_first_row() -> None:
    learner = TorchLearner(mlp([4]), sgd())
    images = Batch.from_arrays(np.full((2, 2, 2), 51, np.uint8), [0, -1])
    loss = learner.losses(images)
    assert loss[0] == np.float32(LOSS_LIMIT)
    assert np.isnan(loss[1])
    np.testing.assert_allclose(learner.features(images.x), np.full((2, 4), 0.2), rtol=1e-6)
    assert learner.gradients(images).shape == (2, 0)


def test_before_the_first_label() -> None:
    """A given module has outputs, and no class that a label has named."""
    learner = TorchLearner(nn.Linear(FEATURES, 6), sgd())
    learn(learner, [replace(ROWS, y=np.full(7, -1))])
    assert learner.losses(ROWS)[:6].tolist() == [np.float32(LOSS_LIMIT)] * 6
    gradients = learner.gradients(ROWS)
    assert np.isfinite(gradients).all()
    at_bias = gradients.reshape(7, 6, FEATURES + 1)[:, :, -1]
    assert (at_bias[:6] == -np.eye(6)[ROWS.y[:6]]).all()


@pytest.mark.parametrize("built", [False, True])
def test_no_rows(built: bool) -> None:
    learner = trained(mlp([4])) if built else TorchLearner(mlp([4]), sgd())
    nothing = ROWS.take(slice(0, 0))
    assert learner.losses(nothing).shape == (0,)
    assert learner.features(nothing.x).shape == (0, FEATURES)
    assert learner.gradients(nothing).shape == (0, 0)


@pytest.mark.parametrize("view", ["losses", "features", "gradients"])
def test_rows_of_another_shape_are_refused(view: str) -> None:
    learner = trained(linear())
    wrong = Batch.from_arrays(np.zeros((2, 3)), [0, 1])
    with pytest.raises(ValueError, match=r"this learner has learned from \[n, 5\]"):
        getattr(learner, view)(wrong.x if view == "features" else wrong)


def test_strategies_can_be_given_them() -> None:
    learner = TorchLearner(mlp([8]), partial(SGD, lr=0.1))
    records = stream(30)
    learn(learner, records)
    rows = Batch.concat([r.incoming for r in records])
    keys = LossAwareSelectionStrategy(learner.losses).make_keys(rows, np.full(len(rows), 0.5))
    assert keys.argmin() == learner.losses(rows).argmax()
    herding = HerdingSelectionStrategy(learner.features, batch_size=50)
    kept = herding.make_sorted_indices(candidates(rows.x), 10)
    features = learner.features(rows.x)
    assert kept[0] == ((features - features.mean(0)) ** 2).sum(1).argmin()
    gss = GSSGreedySelectionStrategy(learner.gradients)
    group = replace(candidates(rows.x, width=gss.width), rows=rows)
    assert len(gss.make_sorted_indices(group, 10)) == 10
