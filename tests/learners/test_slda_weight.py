"""How much streaming LDA counts: against a loop over rows and shares."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.learners import Method, TorchLearner, mlp
from streamreplay.learners.methods.slda import AdaptiveWeight, StreamingLDASettings
from streamreplay.learners.methods.step import AskableLearner
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.memory import FixedMemory
from streamreplay.state import load_state, save_state
from tests.contract.digest import plain
from tests.learners.reference import choosing, learn, sgd, stream

SHARES = (0.0, 0.1, 0.3, 1.0)
TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
WEIGHT, MARGIN = 0.7, 0.005


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    e = [math.exp(s - top) for s in scores]
    return [each / sum(e) for each in e]


class Slow:
    """The same, a row, a share and a temperature at a time."""

    def __init__(self) -> None:
        self.right = dict.fromkeys(SHARES, 0.0)
        self.lost = dict.fromkeys(TEMPERATURES, 0.0)

    @property
    def share(self) -> float:
        return max(s for s in SHARES if self.right[s] >= max(self.right.values()) - MARGIN)

    @property
    def temperature(self) -> float:
        return min(TEMPERATURES, key=lambda t: self.lost[t])

    def watch(
        self, first: torch.Tensor, second: torch.Tensor, y: list[int], recent: list[bool]
    ) -> None:
        one, two = first.tolist(), second.tolist()
        width, share = len(one[0]), self.share
        rows = [i for i, label in enumerate(y) if 0 <= label < width]
        among = [c for c in range(min(width, len(recent))) if recent[c]]
        if not rows or not among:
            return
        fade = 0.999 ** len(rows)
        for s in SHARES:
            hits = 0
            for i in rows:
                sums = {c: one[i][c] + WEIGHT * s * two[i][c] for c in among}
                hits += max(among, key=lambda c: sums[c]) == y[i]
            self.right[s] = fade * self.right[s] + (1 - fade) * hits / len(rows)
        met = [i for i in rows if math.isfinite(one[i][y[i]])]
        for t in TEMPERATURES:
            if met:
                losses = []
                for i in met:
                    sums_ = [a + WEIGHT * share * b for a, b in zip(one[i], two[i], strict=True)]
                    p = softmax([each / t for each in sums_])[y[i]]
                    losses.append(min(-math.log(p) if p else math.inf, LOSS_LIMIT))
                self.lost[t] = fade * self.lost[t] + (1 - fade) * sum(losses) / len(losses)


def opinions(
    rng: np.random.Generator, n: int, y: NDArray[np.int64], good: float
) -> tuple[torch.Tensor, ...]:
    """The module is right now and then, and does not know class 3; the other is very sure."""
    told = []
    for sharpness, lift in ((1.0, 1.0), (9.0, good)):
        raw = rng.standard_normal((n, 5))
        raw[np.arange(n), np.clip(y, 0, 4)] += lift
        told.append(torch.log_softmax(torch.tensor(raw * sharpness), 1).float())
    told[0][:, 3] = -torch.inf
    return tuple(told)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_it_does_as_the_loop(size: int) -> None:
    rng, weight, slow = np.random.default_rng(1), AdaptiveWeight(WEIGHT, MARGIN), Slow()
    shares, temperatures = set(), set()
    for number in range(800 // size):
        y = rng.integers(-1, 6, size)  # 5 is beyond what both know of
        first, second = opinions(rng, size, y, 5.0 if number * size > 200 else -1.0)
        recent = rng.random(4) < 0.8
        weight.update(first, second, y, recent)
        slow.watch(first, second, y.tolist(), recent.tolist())
        assert weight.share == pytest.approx(slow.share)
        assert weight.temperature == slow.temperature
        shares.add(round(weight.share, 1))
        temperatures.add(weight.temperature)
        got = weight.combine(first, second)
        want = (first + WEIGHT * slow.share * second) / slow.temperature
        torch.testing.assert_close(got, want)
    assert len(shares) > 1
    assert len(temperatures) > 1
    again = AdaptiveWeight(WEIGHT, MARGIN)
    load_state(again, save_state(weight))
    assert plain(save_state(again)) == plain(save_state(weight))
    assert (again.share, again.temperature) == (weight.share, weight.temperature)


def test_a_row_lost_beyond_all_measure_does_not_outweigh_the_rest() -> None:
    weight = AdaptiveWeight(1.0, 0.0)
    sure = torch.tensor([[0.0, -1e7]])
    fair = torch.log_softmax(torch.tensor([[1.0, 0.0]]), 1)
    both = np.ones(2, np.bool_)
    weight.update(fair, sure, np.array([1]), both)
    for _ in range(100):
        weight.update(fair, torch.zeros(1, 2), np.array([0]), both)
    assert weight.temperature == 1.0


def _ask(learner: Any, _: Batch, candidates: Batch, k: int) -> NDArray[np.int64]:
    learner.predict_proba(candidates.x)
    return np.arange(k)


def _take(_: AskableLearner, __: Batch, ___: Batch, k: int) -> NDArray[np.int64]:
    return np.arange(k)


def test_what_a_retrieval_asks_is_no_prediction_of_the_incoming_rows() -> None:
    states = []
    for pick in (_ask, _take):
        method = Method(retrieve=pick, classifiers=(StreamingLDASettings(20),))
        learner = TorchLearner(mlp([4]), sgd(), method=method)
        learn(learner, [choosing(record, 2) for record in stream(batches=20)])
        states.append(plain(learner.state_dict()["predictor"]))
    assert states[0] == states[1]


def test_the_mean_features_of_a_module_go_with_it() -> None:
    """Held-out rows after `retrain` are predicted by means of the fresh module's features."""
    memory = stream()[-1].memory.stored
    test = replace(memory, held_out="test")
    record = replace(stream()[-1], incoming=test, memory=FixedMemory(memory))
    learner = TorchLearner(mlp([32]), sgd(), method="ncm")
    learn(learner, stream())
    learn(learner, [record])
    learner.retrain(memory, passes=1)
    (scored,) = learner([record])
    features = learner.features(memory.x)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    means = np.stack([unit[memory.y == c].mean(0) for c in range(3)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    apart = ((unit[:, None] - means) ** 2).sum(2)
    assert scored.prediction.tolist() == apart.argmin(1).tolist()
