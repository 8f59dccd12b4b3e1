"""GDumb: a fresh module, from memory alone, when it is due."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.learners import TorchLearner, linear, mlp
from streamreplay.learners.methods.catalogue import gdumb
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.memory import FixedMemory, empty_memory
from streamreplay.records import Rehearsal
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, network, rehearsals, sgd, stream


class Watched(nn.Module):
    """Keeps the rows that it was trained on, in order."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(FEATURES, classes)
        self.rows: list[float] = []
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.rows += x[:, 0].tolist()
            self.sizes.append(len(x))
        out: torch.Tensor = self.head(x)
        return out


def watched(made: list[Watched]) -> TorchLearner:
    def make(_shape: tuple[int, ...], classes: int) -> nn.Module:
        made.append(Watched(classes))
        return made[-1]

    return TorchLearner(make, sgd(), method=gdumb(3, 8), normalize="none")


def test_passes_go_over_memory_in_orders_of_their_own() -> None:
    made: list[Watched] = []
    learner = watched(made)
    memory = stream(batches=18)[-1].memory.stored  # 67 rows
    learner.retrain(memory, passes=3)
    assert len(made) == 1
    assert made[0].sizes == [32, 32, 3] * 3
    orders = [made[0].rows[start : start + 67] for start in (0, 67, 134)]
    for order in orders:
        assert sorted(order) == sorted(memory.x[:, 0].tolist())
        assert order != memory.x[:, 0].tolist()
    assert orders[0] != orders[1] != orders[2]
    learner.retrain(memory, passes=1)
    assert [len(each.rows) for each in made] == [201, 67]


def test_the_steps_are_plain_ones_on_the_mean_cross_entropy() -> None:
    memory = stream()[-1].memory.stored
    module = nn.Linear(FEATURES, 3)
    slow = copy.deepcopy(module)
    learner = TorchLearner(lambda _s, _c: module, partial(SGD, lr=0.1), normalize="none")
    learner.retrain(memory, passes=4, batch_size=len(memory))  # in whatever order
    for _ in range(4):
        loss = nn.functional.cross_entropy(
            slow(torch.from_numpy(memory.x)), torch.from_numpy(memory.y)
        )
        slow.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in slow.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=0.1)
    for name, want in slow.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], want, atol=1e-6, rtol=1e-6)


def test_when_it_is_due() -> None:
    """After every 8 rows, before the next is predicted; before held-out rows if any came since."""
    made: list[Watched] = []
    learner = watched(made)
    records = rehearsals([[0, 1, 0], [1, 0, 2], [0, 1, -1], [-1, -1, -1], [5, 5, 0], [0, 1, 2]])
    records = [
        replace(r, memory=FixedMemory(r.memory.stored.take(r.memory.stored.y >= 0)))
        for r in records
    ]
    built = []
    for record in records:
        learn(learner, [record])
        built.append(len(made))
    assert built == [1, 1, 1, 2, 2, 2]
    assert made[0].rows == []
    assert sorted(made[1].rows) == sorted(records[3].memory.stored.x[:, 0].tolist() * 3)
    test = replace(records[5].incoming, held_out="test")
    for _ in range(2):
        learn(learner, [replace(records[5], incoming=test)])
    assert len(made) == 3
    assert learner.batches == 6


def test_it_says_nothing_before_it_was_trained_and_then_what_memory_knows() -> None:
    learner = TorchLearner(linear(), sgd(), method=gdumb(20, 4))
    records = rehearsals([[0, 1, 0, 1], [3, 0, 3, 1], [1, 1, 3, 0], [4, 0, 3, 1]])
    first = next(iter(learner(records[:1])))
    assert first.prediction.tolist() == [-1] * 4
    second = next(iter(learner(records[1:2])))
    assert set(second.prediction.tolist()) <= {0, 1}
    assert second.loss[[0, 2]].tolist() == [np.float32(LOSS_LIMIT)] * 2
    assert (second.replayed, second.skipped) == (0, 0)
    only = replace(records[2], memory=FixedMemory(records[2].memory.stored.take(slice(4, 8))))
    third = next(iter(learner([only])))
    assert set(third.prediction.tolist()) <= {0, 1, 3}
    less = replace(records[3], memory=FixedMemory(records[3].memory.stored.take(slice(0, 4))))
    fourth = next(iter(learner([less])))  # the module is narrower than the one before
    assert fourth.loss[[0, 2]].tolist() == [np.float32(LOSS_LIMIT)] * 2
    assert learner.predict_proba(records[0].incoming.x).shape == (4, 2)


def test_it_rests_while_nothing_is_stored() -> None:
    learner = TorchLearner(linear(), sgd(), method=gdumb(2, 1))
    for record in stream():
        learn(learner, [replace(record, memory=empty_memory(record.incoming))])
    assert not network(learner).known.any()


@pytest.mark.parametrize("used", [False, True])
def test_what_is_learned_depends_on_memory_alone(used: bool) -> None:
    memory = stream(classes=3, seed=4)[-1].memory.stored
    learner = TorchLearner(mlp([4]), sgd(momentum=0.9), normalize="none", seed=2)
    state = learner._random.state_dict()
    if used:
        learn(learner, rehearsals([[0, 1, 7], [7, 1, 5], [2, 0, 3]]))
        learner._random.load_state_dict(state)
    other = TorchLearner(mlp([4]), sgd(momentum=0.9), normalize="none", seed=2)
    for each in (learner, other):
        each.retrain(memory, passes=2)
    assert plain(learner.state_dict()["network"]) == plain(other.state_dict()["network"])
    assert plain(learner.state_dict()["trainer"]) == plain(other.state_dict()["trainer"])
    learn(learner, stream())  # and one can go on from there


@pytest.mark.parametrize("method", ["er", "er-ace", "der++", "a-gem", "mir", "lwf", "mkd", "ncm"])
def test_any_learner_can_begin_anew_from_memory(method: str) -> None:
    """It scales rows it is the first to see; unlabelled ones are left out."""
    rows = Batch.concat([r.incoming for r in stream(40)])
    rows = replace(rows, x=100 + 50 * rows.x, y=np.where(rows.t % 5, rows.y, -1))
    learner = TorchLearner(mlp([8]), sgd(0.3), method=method)
    learner.retrain(rows, passes=30)
    hits = learner.predict_proba(rows.x).argmax(1) == rows.y
    assert hits[rows.y >= 0].mean() > 0.6
    test = replace(rows, held_out="test")
    before = learner.predict_proba(rows.x)
    (scored,) = learner([Rehearsal(test, FixedMemory(rows))])
    assert scored.prediction.shape == rows.y.shape
    if method != "ncm":
        assert plain(learner.predict_proba(rows.x)) == plain(before)


def test_what_cannot_be_learned_anew() -> None:
    memory = stream()[-1].memory.stored
    given = TorchLearner(nn.Linear(FEATURES, 3), sgd())
    learn(given, stream())
    before = plain(given.state_dict())
    with pytest.raises(ValueError, match="retrain needs a factory of modules, got a module"):
        given.retrain(memory)
    assert plain(given.state_dict()) == before
    learner = TorchLearner(linear(), sgd())
    with pytest.raises(ValueError, match=r"memory must have rows with a label, got \d+ without"):
        learner.retrain(replace(memory, y=np.full(len(memory), -1)))
    learn(learner, stream())
    with pytest.raises(ValueError, match=r"learned from \[n, 5\], got float32\[2, 3\]"):
        learner.retrain(Batch.from_arrays(np.zeros((2, 3)), [0, 1]))
