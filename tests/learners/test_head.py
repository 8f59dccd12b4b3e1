"""The head: growing, masking, and modules that bring their own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.learners import OptimizerFactory, TorchLearner, linear, mlp
from streamreplay.learners.neural.layer_growth import last_linear
from tests.learners.reference import FEATURES, learn, network, rehearsals, sgd, weights

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "momentum": partial(SGD, lr=0.1, momentum=0.9),
    "adam": partial(Adam, lr=0.01, amsgrad=True),
}


def rows(*labels: int, seed: int = 0) -> Batch:
    x = np.random.default_rng(seed).standard_normal((len(labels), FEATURES))
    return Batch.from_arrays(x, labels)


class Prototypes(nn.Module):
    """No linear layer: distances to 3 points that are learned."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.eye(3, FEATURES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(x, self.points)


class Encoded(Prototypes):
    """A linear layer that is not the last thing to happen."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(FEATURES, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.encoder(x))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_growing_keeps_weights_and_what_the_optimizer_remembers(optimizer: str) -> None:
    learner = TorchLearner(mlp([4]), OPTIMIZERS[optimizer], seed=3)
    learn(learner, rehearsals([[0, 1], [1, 0], [0, 1]]))
    net = network(learner)
    found = last_linear(net.module)
    assert found is not None
    head = found[1]
    known = [*net.module.parameters()]
    old = {id(p): p.detach().clone() for p in known}
    memory = {id(p): {k: v.clone() for k, v in net.optimizer.state[p].items()} for p in known}
    assert all(memory.values())

    net.meet(np.array([4]))

    assert (head.weight.shape, head.bias.shape, head.out_features) == ((5, 4), (5,), 5)
    assert [*net.module.parameters()] == known
    assert [p for group in net.optimizer.param_groups for p in group["params"]] == known
    for p in known:
        n = len(old[id(p)])
        assert torch.equal(p[:n], old[id(p)])
        for key, value in net.optimizer.state[p].items():
            before = memory[id(p)][key]
            if key == "step":
                assert torch.equal(value, before)
            else:
                assert value.shape == p.shape
                assert torch.equal(value[:n], before)
                assert not value[n:].any()
    assert net.known.tolist() == [True, True, False, False, True]
    assert (head.weight[2:] != 0).all(), "new rows are drawn, as those of a fresh layer"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_grown_head_goes_on_learning(optimizer: str) -> None:
    learner = TorchLearner(linear(), OPTIMIZERS[optimizer], seed=3)
    learn(learner, [rows(0, 1)])
    learn(learner, [rows(0, 1, 5)] * 200)
    assert learn(learner, [rows(0, 1, 5)]).tolist() == [0, 1, 5]


def test_a_head_grows_within_the_stream_as_it_would_before_it() -> None:
    """The rows drawn for new classes are part of the learner's own random state."""
    a, b = (TorchLearner(linear(), sgd(), seed=1) for _ in range(2))
    torch.manual_seed(1)
    learn(a, [rows(0, 1), rows(2)])
    torch.manual_seed(2)
    learn(b, [rows(0, 1), rows(2)])
    assert all(torch.equal(v, weights(b)[k]) for k, v in weights(a).items())


def test_classes_not_named_yet_are_masked() -> None:
    """No prediction, no probability, no gradient: their weights stay where they were."""
    module = nn.Linear(FEATURES, 9)
    with torch.no_grad():
        module.bias[[0, 8]] = 50.0  # they would win every prediction
    before = module.weight.detach().clone(), module.bias.detach().clone()
    learner = TorchLearner(module, sgd(momentum=0.9))
    predictions = learn(learner, [rows(2, 5, 2, seed=seed) for seed in range(9)])
    assert set(predictions.tolist()) == {-1, 2, 5}
    p = learner.predict_proba(rows(0, 0, 0).x)
    assert (p > 0).any(0).tolist() == [i in (2, 5) for i in range(9)]
    for now, then in zip((module.weight, module.bias), before, strict=True):
        assert [i for i in range(9) if not torch.equal(now[i], then[i])] == [2, 5]


def test_label_gaps() -> None:
    learner = TorchLearner(linear(), sgd(momentum=0.9))
    predictions = learn(learner, rehearsals([[3, 7, 3]] * 20))
    assert set(predictions[3:].tolist()) == {3, 7}
    assert network(learner).width == 8
    assert np.flatnonzero(network(learner).known).tolist() == [3, 7]


def test_a_module_without_a_linear_layer_cannot_grow() -> None:
    learner = TorchLearner(Prototypes(), sgd())
    predictions = learn(learner, [rows(0, 1, 2)] * 3)
    assert set(predictions[3:].tolist()) <= {0, 1, 2}
    message = "label index 3 is beyond the module's 3 outputs, and it has no linear layer at its"
    with pytest.raises(ConfigError, match=message):
        learn(learner, [rows(0, 3)])


def test_a_linear_layer_inside_is_not_the_head() -> None:
    learner = TorchLearner(Encoded(), sgd())
    learn(learner, [rows(0, 1, 2)] * 3)
    assert network(learner).width == 3
    with pytest.raises(ConfigError, match="beyond the module's 3 outputs"):
        learn(learner, [rows(4)])


def test_the_last_linear_layer_is_the_head() -> None:
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2), nn.Identity())
    assert last_linear(module) == ("2", module[2])
    assert last_linear(nn.ReLU()) is None


def test_a_head_without_bias_grows() -> None:
    learner = TorchLearner(nn.Linear(FEATURES, 2, bias=False), sgd())
    learn(learner, [rows(0, 1), rows(3)])
    assert {k: tuple(v.shape) for k, v in weights(learner).items()} == {"weight": (4, FEATURES)}


def test_an_optimizer_that_was_built_before_is_used() -> None:
    module = nn.Linear(FEATURES, 2)
    optimizer = SGD(module.parameters(), lr=0.1)
    learner = TorchLearner(module, optimizer)
    before = module.weight.detach().clone()
    learn(learner, [rows(0, 1)])
    assert network(learner).optimizer is optimizer
    assert not torch.equal(module.weight, before)


def test_an_optimizer_of_other_parameters_is_refused() -> None:
    """It would train nothing, and nobody would notice."""
    other = SGD(nn.Linear(FEATURES, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizer holds none of the module's parameters"):
        learn(TorchLearner(linear(), other), [rows(0, 1)])


def test_parameters_that_are_frozen_stay() -> None:
    first, last = nn.Linear(FEATURES, 4), nn.Linear(4, 2)
    first.requires_grad_(requires_grad=False)
    before = first.weight.clone()

    def optimizer(parameters: Iterable[nn.Parameter]) -> SGD:
        return SGD([p for p in parameters if p.requires_grad], lr=0.1)

    learn(TorchLearner(nn.Sequential(first, last), optimizer), [rows(0, 1), rows(2, 1)])
    assert torch.equal(first.weight, before)
    assert last.out_features == 3
