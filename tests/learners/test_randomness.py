"""What belongs to the whole process is left as it was found."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from streamreplay.batch import Batch
from streamreplay.learners import ModuleFactory, TorchLearner, linear, mlp
from streamreplay.learners.neural.global_state import OwnRandomness, is_plain, own_threads
from streamreplay.records import Rehearsal
from tests.contract.digest import global_randomness, plain
from tests.learners.reference import learn, rehearsals, sgd, stream, weights

CPU = torch.device("cpu")
LATE = rehearsals([[0, 1], [0, 2, 4], [1, 1], [5, 0]] * 3)  # the head grows as well


def dropout(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.4), nn.Linear(6, classes)
    )


def run(factory: ModuleFactory, seed: int = 0) -> object:
    learner = TorchLearner(factory, sgd(momentum=0.9), seed=seed)
    return plain([list(learner(LATE)), learner.state_dict()])


@pytest.mark.parametrize("factory", [linear(), mlp([4]), dropout])
def test_no_global_generator_is_moved_or_read(factory: ModuleFactory) -> None:
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
        torch.manual_seed(seed)
        before = global_randomness()
        results.append(run(factory))
        assert global_randomness() == before
    assert results[0] == results[1]
    assert run(factory, seed=1) != results[0]


def test_a_dropout_that_draws_changes_the_weights_it_learns() -> None:
    """As the test above could not fail if dropout had been off."""

    def learned(p: float) -> object:
        learner = TorchLearner(lambda s, c: nn.Sequential(nn.Dropout(p), linear()(s, c)), sgd())
        learn(learner, stream())
        return plain(weights(learner))

    assert learned(0.5) != learned(0.0)


def test_the_generators_are_put_back_after_an_error() -> None:
    learner = TorchLearner(dropout, sgd())
    learn(learner, LATE)
    before = global_randomness()
    broken = Rehearsal(LATE[3].incoming, LATE[3].memory, rows=np.array([[10**6]]))
    with pytest.raises(IndexError):
        learn(learner, [broken])
    assert global_randomness() == before
    torch.rand(1)
    assert global_randomness() != before


class Probe(nn.Module):
    """Notes the mode and the number of threads of each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.passes: list[tuple[bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes.append((self.training, torch.get_num_threads()))
        out: torch.Tensor = self.layer(x)
        return out


def test_predictions_in_evaluation_mode_and_learning_in_training_mode() -> None:
    probe = Probe()
    learner = TorchLearner(probe, sgd())
    learn(learner, stream(1))
    probe.passes.clear()
    learn(learner, stream(2))
    learner.predict_proba(stream(1)[0].incoming.x)
    assert [training for training, _ in probe.passes] == [False, True, False, True, False]


def test_threads_are_the_learners_own() -> None:
    probe = Probe()
    learner = TorchLearner(probe, sgd(), threads=2)
    learn(learner, stream(3))
    learner.predict_proba(stream(1)[0].incoming.x)
    assert {threads for _, threads in probe.passes[1:]} == {2}
    assert torch.get_num_threads() == 1


def test_threads_are_put_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), own_threads(2):
        1 / (torch.get_num_threads() - 2)
    assert torch.get_num_threads() == 1
    with own_threads(None):
        assert torch.get_num_threads() == 1


def draw(own: OwnRandomness, n: int = 3) -> list[float]:
    with own():
        return torch.rand(n).tolist()


def test_own_randomness_goes_on_where_it_was() -> None:
    whole, parts = OwnRandomness(7, CPU), OwnRandomness(7, CPU)
    torch.manual_seed(0)
    before = global_randomness()
    want = draw(whole, 6)
    # torch draws 16 and more at once in another order, so the parts stay small
    assert draw(parts, 3) + draw(parts, 3) == want
    assert global_randomness() == before
    assert draw(OwnRandomness(8, CPU), 6) != want
    torch.manual_seed(1)
    assert draw(OwnRandomness(7, CPU), 6) == want


def test_nested_blocks_go_on_from_the_outer_one() -> None:
    nested = OwnRandomness(7, CPU)
    before = global_randomness()
    with nested():
        drawn = torch.rand(2).tolist() + draw(nested, 2) + torch.rand(2).tolist()
    assert drawn == draw(OwnRandomness(7, CPU), 6)
    assert global_randomness() == before


def test_its_state_brings_it_back() -> None:
    own = OwnRandomness(7, CPU)
    draw(own)
    state = own.state_dict()
    saved = plain(state)
    want = draw(own)
    for _ in range(2):
        fresh = OwnRandomness(0, CPU)
        fresh.load_state_dict(state)
        assert draw(fresh) == want
    assert plain(state) == saved


def test_only_known_layers_are_plain() -> None:
    assert is_plain(mlp([4])((5,), 3))
    assert not is_plain(dropout((5,), 3))
    assert not is_plain(Probe())


@pytest.mark.parametrize("factory", [linear(), mlp([4]), dropout])
def test_inputs_are_not_written_to(factory: ModuleFactory) -> None:
    records = [*LATE, Rehearsal(Batch.from_arrays(np.ones((2, 5)), [0, -1]), LATE[3].memory)]
    before = plain(records)
    for record in records:
        for column in (
            *record.incoming.columns().values(),
            *record.memory.stored.columns().values(),
        ):
            column.flags.writeable = False
    learner = TorchLearner(factory, sgd())
    learn(learner, records)
    learner.predict_proba(records[0].incoming.x)
    assert plain(records) == before
