"""Cosine and weight-normalised heads: their formulas, and that they grow as a linear one does."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.optim import SGD, Adam

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.learners import (
    CosineLinear,
    HeadKind,
    OptimizerFactory,
    TorchLearner,
    WeightNormLinear,
    cnn,
    linear,
    mlp,
    slim_resnet18,
)
from streamreplay.learners.models.layers import ChannelsFirst
from streamreplay.learners.neural.global_state import is_plain
from tests.learners.reference import FEATURES, learn, network, rehearsals, sgd

KINDS: tuple[HeadKind, ...] = ("cosine", "weight_norm")
OPTIMIZERS: dict[str, OptimizerFactory] = {
    "momentum": partial(SGD, lr=0.1, momentum=0.9),
    "adam": partial(Adam, lr=0.01, amsgrad=True),
}


def dot(a: Any, b: Any) -> float:
    return sum(float(p) * float(q) for p, q in zip(a, b, strict=True))


def by_hand(head: nn.Linear, row: Any) -> list[float]:
    """Compute one row's logits number by number."""
    out = []
    for c, weight in enumerate(head.weight.tolist()):
        along = dot(row, weight) / math.sqrt(dot(weight, weight))
        if isinstance(head, CosineLinear):
            out.append(head.scale.item() * along / math.sqrt(dot(row, row)))
        else:
            assert isinstance(head, WeightNormLinear)
            out.append(head.gain[c].item() * along + head.bias[c].item())
    return out


def trained(kind: HeadKind, optimizer: str = "momentum") -> TorchLearner:
    learner = TorchLearner(mlp([4], head=kind), OPTIMIZERS[optimizer], seed=3)
    learn(learner, rehearsals([[0, 1], [1, 0], [0, 1]]))
    return learner


def head_of(learner: TorchLearner) -> nn.Linear:
    head = network(learner).head
    assert head is not None
    return head


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_formula(kind: HeadKind) -> None:
    head = head_of(trained(kind))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32))
    want = [by_hand(head, row) for row in x.tolist()]
    np.testing.assert_allclose(head(x).detach().numpy(), want, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_all_zeros_are_no_division_by_zero(kind: HeadKind) -> None:
    head = head_of(trained(kind))
    x = torch.zeros(2, 4, requires_grad=True)
    head(x).sum().backward()
    assert x.grad is not None
    for tensor in (head(x), x.grad, *(p.grad for p in head.parameters())):
        assert tensor is not None
        assert bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_growing_keeps_weights_and_what_the_optimizer_remembers(
    kind: HeadKind, optimizer: str
) -> None:
    learner = trained(kind, optimizer)
    net, head = network(learner), head_of(learner)
    known = [*net.module.parameters()]
    old = {id(p): p.detach().clone() for p in known}
    memory = {id(p): {k: v.clone() for k, v in net.optimizer.state[p].items()} for p in known}
    assert all(memory.values()), "a scale and gains are trained as well"
    x = torch.ones(1, FEATURES)
    before = net.module(x).detach()

    net.meet(np.array([4]))

    assert head.out_features == 5
    assert [*net.module.parameters()] == known
    torch.testing.assert_close(net.module(x)[:, :2], before)
    for p in known:
        was, memory_of = old[id(p)], memory[id(p)]
        n = slice(0, len(was)) if p.ndim else ()  # the scale of a cosine belongs to all classes
        assert torch.equal(p[n], was)
        for key, value in net.optimizer.state[p].items():
            if key == "step" or not p.ndim:
                assert torch.equal(value, memory_of[key])
            else:
                assert value.shape == p.shape
                assert torch.equal(value[n], memory_of[key])
                assert not value[len(was) :].any()
    assert all(len(p) == 5 for p in head.parameters() if p.ndim)
    if isinstance(head, WeightNormLinear):
        torch.testing.assert_close(head.gain[2:], head.weight[2:].norm(dim=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_grown_head_goes_on_learning(kind: HeadKind) -> None:
    x = np.random.default_rng(0).standard_normal((3, FEATURES))
    learner = TorchLearner(linear(head=kind), OPTIMIZERS["momentum"], seed=3)
    learn(learner, [Batch.from_arrays(x[:2], [0, 1])])
    learn(learner, [Batch.from_arrays(x, [0, 1, 5])] * 100)
    assert learn(learner, [Batch.from_arrays(x, [0, 1, 5])]).tolist() == [0, 1, 5]


def test_the_scale_is_learned_if_it_is_to_be() -> None:
    for learned in (True, False):
        head = CosineLinear(FEATURES, 3, scale=7, learned=learned)
        learn(TorchLearner(head, sgd()), rehearsals([[0, 1, 2]] * 3))
        assert (head.scale.item() != 7) == learned
    with pytest.raises(ValueError, match="scale must be above 0, got 0"):
        CosineLinear(3, 3, scale=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_class_without_weights(kind: HeadKind) -> None:
    """As if its weights stood at right angles to the row, with length and gain 1."""
    learner = trained(kind)
    asked = Batch.from_arrays(np.ones((2, FEATURES)), [1, 3])
    found = learner.gradients(asked)
    known = learner.gradients(replace(asked, y=np.array([1, 1])))
    h = learner.features(asked.x)[1]
    head = head_of(learner)
    if isinstance(head, CosineLinear):
        want = -head.scale.item() * h / np.linalg.norm(h)
    else:
        want = -np.append(h, [1, 0])
    d = len(want)
    assert found.shape == (2, 4 * d)
    assert (found[0, : 2 * d] == known[0]).all()
    np.testing.assert_allclose(found[1, 3 * d :], want, rtol=1e-5)
    assert not found[1, 2 * d : 3 * d].any()
    learn(learner, [Batch.from_arrays(np.ones((1, FEATURES)), [3])])
    assert learner.gradients(asked).shape == (2, 4 * d)


@pytest.mark.parametrize("kind", ["linear", *KINDS])
@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "slim_resnet18"])
def test_every_reference_model_has_every_head(name: str, kind: HeadKind) -> None:
    make: dict[str, Any] = {
        "linear": linear,
        "mlp": partial(mlp, [4]),
        "cnn": partial(cnn, [2]),
        "slim_resnet18": partial(slim_resnet18, 2),
    }
    learner = TorchLearner(make[name](head=kind), sgd())
    images = np.random.default_rng(0).integers(0, 255, (3, 9, 9), np.uint8)
    learn(learner, [Batch.from_arrays(images, [0, 1, 0]), Batch.from_arrays(images, [4, 1, 0])])
    names = {"linear": "Linear", "cosine": "CosineLinear", "weight_norm": "WeightNormLinear"}
    assert type(head_of(learner)).__name__ == names[kind]
    assert learner.predict_proba(images).shape == (3, 5)
    with pytest.raises(ValueError, match="head must be linear, cosine, weight_norm, got 'cos'"):
        make[name](head="cos")


def test_our_layers_count_as_plain() -> None:
    assert is_plain(nn.Sequential(ChannelsFirst(), WeightNormLinear(2, 2), CosineLinear(2, 2)))


class Doubled(nn.Linear):
    """Somebody's own kind of head."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(2 * x)


class Adapted(nn.Linear):
    """Another, with weights that nobody here knows the meaning of."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.low_rank = nn.Parameter(torch.zeros(outputs, 1))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (Adapted(FEATURES, 2), "its head (Adapted with bias, low_rank, weight) is of no kind"),
        (
            parametrizations.weight_norm(nn.Linear(FEATURES, 2)),
            "its head (ParametrizedLinear with bias, parametrizations.weight.original0, ",
        ),
    ],
)
def test_a_head_that_cannot_grow_is_not_grown_wrongly(head: nn.Module, message: str) -> None:
    learner = TorchLearner(head, sgd())
    learn(learner, rehearsals([[0, 1]] * 2))
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        network(learner).meet(np.array([2]))
    assert message in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())


def test_gradients_of_an_unknown_kind_of_head_are_those_at_its_outputs() -> None:
    learner = TorchLearner(Doubled(FEATURES, 2), sgd())
    records = rehearsals([[0, 1]] * 3)
    learn(learner, records)
    rows = records[0].incoming
    want = learner.predict_proba(rows.x) - np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(learner.gradients(rows), want, atol=1e-6)
