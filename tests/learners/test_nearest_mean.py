"""iCaRL's classifier against means taken by hand, and when it takes them anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from streamreplay.batch import Batch
from streamreplay.learners import TorchLearner, Training, linear, mlp
from streamreplay.learners.methods import classifiers
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, rehearsals, sgd, stream

Rows = list[list[float]]


def unit(v: list[float]) -> list[float]:
    length = math.sqrt(sum(a * a for a in v))
    return [a / length for a in v] if length else v


def by_hand(memory: Rows, y: list[int], queries: Rows) -> tuple[list[int], list[list[float]]]:
    """Rebuffi et al. 2017, algorithm 1; class means of unit features are brought to length 1."""
    means = {}
    for label in sorted({label for label in y if label >= 0}):
        units = [unit(f) for f, each in zip(memory, y, strict=True) if each == label]
        means[label] = unit([sum(column) / len(units) for column in zip(*units, strict=True)])
    answers, distances = [], []
    for query in map(unit, queries):
        apart = {c: sum((a - b) ** 2 for a, b in zip(query, m, strict=True))
                 for c, m in means.items()}  # fmt: skip
        answers.append(min(apart, key=lambda c: apart[c]))
        distances.append([apart.get(c, math.inf) for c in range(max(y) + 1)])
    return answers, distances


def noisy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(shape[0], 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, classes)
    )


class Headless(nn.Module):
    """Ends in no linear layer: what it says are its features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(FEATURES, 6)

    def forward(self, x: object) -> object:
        return self.inner(x).tanh()[:, :4]


MODULES: dict[str, Callable[[], object]] = {
    "mlp": lambda: mlp([6]),
    "linear": linear,
    "noisy": lambda: noisy,
    "headless": Headless,
}


@pytest.mark.parametrize("name", MODULES)
def test_held_out_rows_have_the_nearest_mean_of_memory(name: str) -> None:
    learner = TorchLearner(MODULES[name](), sgd(), method="ncm")  # type: ignore[arg-type]
    records = rehearsals([[0, 1, 3], [1, 1, 0], [3, 1, -1], [0, 3, 1], [1, -1, 3]])
    learn(learner, records)
    memory = records[-1].memory.stored
    assert {-1, 0, 1, 3} == set(memory.y.tolist()), "rows without a label have no mean"
    x = np.random.default_rng(3).standard_normal((20, FEATURES)).astype(np.float32)
    test = replace(Batch.from_arrays(x, np.arange(20) % 5), held_out="test")
    (scored,) = learner([Rehearsal(test, FixedMemory(memory))])
    features = [learner.features(rows).tolist() for rows in (memory.x, x)]
    answers, distances = by_hand(features[0], memory.y.tolist(), features[1])
    assert scored.prediction.tolist() == answers
    assert len(set(answers)) == 3
    p = np.exp(-np.array(distances))
    p /= p.sum(1, keepdims=True)
    np.testing.assert_allclose(scored.probability, p.max(1), rtol=1e-4)
    losses = [-math.log(p[i, c]) if c in (0, 1, 3) else LOSS_LIMIT for i, c in enumerate(test.y)]
    np.testing.assert_allclose(scored.loss, losses, rtol=1e-3)


def test_means_are_of_the_averaged_weights_where_those_predict() -> None:
    learners = [
        TorchLearner(mlp([6]), sgd(1.0), method="ncm", training=Training(ema=ema))
        for ema in (None, 0.99)
    ]
    x = np.random.default_rng(3).standard_normal((20, FEATURES)).astype(np.float32)
    test = replace(Batch.from_arrays(x, np.zeros(20, int)), held_out="test")
    for learner in learners:
        learn(learner, stream())
        learn(learner, [Rehearsal(test, stream()[-1].memory)])
    average = learners[1]._trainer.average
    assert average is not None
    assert average.module is not None
    assert np.abs(learners[0].predict_proba(x) - learners[1].predict_proba(x)).max() > 1e-3
    learners[0].module.load_state_dict(average.module.state_dict())
    learn(learners[0], stream()[:1])  # as something was learned since, means are taken anew
    learners[0].module.load_state_dict(average.module.state_dict())
    learners[0]._scaler.load_state_dict(learners[1]._scaler.state_dict())
    learn(learners[0], [Rehearsal(test, stream()[-1].memory)])
    np.testing.assert_allclose(
        learners[0].predict_proba(x), learners[1].predict_proba(x), atol=1e-6
    )


def test_when_means_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first row in memory, every 50 batches learned, and before held-out rows if need be."""
    taken: list[int] = []
    learner = TorchLearner(mlp([6]), sgd(), method="ncm")
    class_means = classifiers.class_means

    def noted(features: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.float32]:
        taken.append(learner.batches)
        return class_means(features, y)

    monkeypatch.setattr(classifiers, "class_means", noted)
    records = rehearsals([[0, 1], *[[1, 0]] * 119])
    learn(learner, records[:53])
    assert taken == [1, 51]
    unlabelled = replace(records[53].incoming, y=np.full(2, -1))
    learn(learner, [replace(records[53], incoming=unlabelled)])
    test = replace(records[53].incoming, held_out="test")
    learn(learner, [replace(records[53], incoming=test)] * 3)
    assert taken == [1, 51, 54], "once for a round of held-out rows"
    learn(learner, records[53:])
    assert taken == [1, 51, 54, 101]
    nearest = learner._predictor.classifiers["ncm"]
    state = plain(nearest.state_dict())
    other = classifiers.NearestMean()
    other.load_state_dict(nearest.state_dict())
    assert plain(other.state_dict()) == state


def test_before_anything_is_stored_the_head_predicts() -> None:
    records = [r.incoming for r in stream()]
    a, b = (TorchLearner(mlp([6]), sgd(), method=method) for method in ("ncm", "er"))
    assert learn(a, records).tolist() == learn(b, records).tolist()


def test_it_learns_as_er() -> None:
    a, b = (TorchLearner(mlp([6]), sgd(), method=method) for method in ("ncm", "er"))
    learn(a, stream())
    learn(b, stream())
    assert plain(a.state_dict()["network"]) == plain(b.state_dict()["network"])


def test_means_of_a_module_that_is_gone_are_gone() -> None:
    """After learning anew from memory the head predicts, until memory comes by."""
    records = rehearsals([[0, 1, 2], [1, 2, 0], [2, 1, 0], [0, 0, 1]])
    learners = [TorchLearner(mlp([6]), sgd(), method=method) for method in ("ncm", "er")]
    for learner in learners:
        learn(learner, records)
        learner.retrain(records[-1].memory.stored, passes=2)
    a, b = (learner.predict_proba(records[0].incoming.x) for learner in learners)
    assert plain(a) == plain(b)
