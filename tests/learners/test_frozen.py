"""A module with a frozen backbone: it stays as it came, and everything else learns."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from streamreplay.learners import Backbone, OptimizerFactory, TorchLearner
from streamreplay.learners.methods.catalogue import METHODS
from streamreplay.learners.neural.training import Training
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, choosing, learn, network, rehearsals, sgd

RECORDS = rehearsals([[0, 1], [0, 2, 4], [1, 1], [5, 0]] * 2, steps=2)
OPTIMIZERS: dict[str, OptimizerFactory] = {
    "sgd": partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": partial(Adam, lr=0.01, weight_decay=0.1),
    "adamw": partial(AdamW, lr=0.01, weight_decay=0.1, fused=True),
}


def frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(requires_grad=False)


def make(_: tuple[int, ...] = (), classes: int = 2) -> nn.Sequential:
    """Build a backbone that would drift and draw, with a head on top."""
    backbone = nn.Sequential(
        nn.Linear(FEATURES, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU(), nn.Linear(6, 4)
    )
    return nn.Sequential(frozen(backbone), nn.Linear(4, classes))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_frozen_backbone_stays_to_the_last_bit(optimizer: str) -> None:
    module = make()
    before, head = plain(module[0].state_dict()), plain(module[1].weight)
    learn(TorchLearner(module, OPTIMIZERS[optimizer]), RECORDS)
    assert plain(module[0].state_dict()) == before
    assert plain(module[1].weight) != head
    assert module[1].out_features == 6


def test_its_features_are_those_of_latent_replay() -> None:
    """Frozen inside the module or in front of it: the head learns the same."""
    module = make()
    whole = TorchLearner(module, sgd(), normalize="none")
    head = nn.Linear(4, 2)
    head.load_state_dict(module[1].state_dict())
    apart = TorchLearner(head, sgd(), normalize="none")
    stage = Backbone(module[0])
    batches = [record.incoming for record in RECORDS]
    assert learn(whole, batches).tolist() == learn(apart, stage(batches)).tolist()
    torch.testing.assert_close(module[1].weight, head.weight)


def test_the_rest_of_the_module_is_in_training_mode() -> None:
    module = nn.Sequential(make()[0], nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    modes: list[list[bool]] = []
    module[2].register_forward_hook(lambda *_: modes.append([part.training for part in module]))
    learn(TorchLearner(module, sgd()), RECORDS[:1])
    assert modes[-1] == [False, True, True, True]
    assert module[1].state_dict()["running_mean"].any()


def test_one_frozen_layer_among_others() -> None:
    """A batch norm whose weights are frozen keeps its statistics, wherever it is."""
    norm, free = nn.BatchNorm1d(6), nn.BatchNorm1d(6)
    module = nn.Sequential(nn.Linear(FEATURES, 6), frozen(norm), free, nn.Linear(6, 2))
    learn(TorchLearner(module, sgd()), RECORDS)
    assert norm.state_dict()["num_batches_tracked"] == 0
    assert not norm.state_dict()["running_mean"].any()
    assert free.state_dict()["running_mean"].any()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_with_every_method(method: str, skip: bool) -> None:
    options: dict[str, Any] = {"on_divergence": "skip"} if skip else {}
    learner = TorchLearner(
        make, sgd(), method=method, training=Training(ema=0.9, clip_grad_norm=1.0), **options
    )
    records = RECORDS
    if learner.method.retrieve is not None:
        records = [choosing(record, 2) for record in RECORDS]
    before, heads = None, set()
    for record in records:
        learn(learner, [record])
        module: Any = learner.module
        before = before or plain(module[0].state_dict())
        assert plain(module[0].state_dict()) == before
        heads.add(plain(module[1].weight))
    assert len(heads) > 1 or method == "gdumb"  # which makes a module anew, and was not asked to


def test_the_optimizer_is_given_what_is_trained() -> None:
    learner = TorchLearner(make, sgd(momentum=0.9))
    learn(learner, RECORDS)
    module: Any = learner.module
    (group,) = network(learner).optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module[1].parameters()]


def test_an_optimizer_built_over_everything_will_do() -> None:
    module = make()
    before = plain(module[0].state_dict())
    learn(TorchLearner(module, SGD(module.parameters(), lr=0.1, weight_decay=0.1)), RECORDS)
    assert plain(module[0].state_dict()) == before
    with pytest.raises(
        ValueError, match=r"optimizer holds none of the module's parameters, got \d+ others"
    ):
        learn(TorchLearner(make(), SGD(make().parameters(), lr=0.1)), RECORDS)


def test_nothing_to_train_is_refused() -> None:
    for module in (frozen(make()), nn.ReLU()):
        name = type(module).__name__
        message = f"module: {name} has no parameter that can be trained"
        with pytest.raises(ValueError, match=message):
            learn(TorchLearner(module, sgd()), RECORDS)
