"""What a learner tells of all its probabilities, for the Brier score."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import river.naive_bayes
from torch.optim import SGD

from streamreplay import ArraySource, Prequential, RiverLearner, TorchLearner, linear
from streamreplay.batch import Batch
from streamreplay.records import Scored

naive_bayes: Any = river.naive_bayes
RNG = np.random.default_rng(0)
X = RNG.random((300, 3), dtype=np.float32)
Y = (3 * X[:, 0]).astype(np.int64)
LEARNERS: dict[str, Any] = {
    "torch": lambda: TorchLearner(linear(), partial(SGD, lr=0.1), seed=0),
    "river": lambda: RiverLearner(naive_bayes.GaussianNB()),
}


def brier(probabilities: Any, y: Any) -> list[float]:
    """Compare the probability of each class, 0 of one not known, with what was the case."""
    found = []
    for row, label in zip(probabilities.astype(np.float64), y.tolist(), strict=True):
        classes = range(max(len(row), label + 1))
        said = [row[k] if k < len(row) else 0.0 for k in classes]
        found.append(sum((said[k] - (k == label)) ** 2 for k in classes))
    return found


@pytest.mark.parametrize("kind", LEARNERS)
def test_it_gives_the_brier_score_of_what_was_predicted(kind: str) -> None:
    learner = LEARNERS[kind]()
    scored: list[Scored] = []
    want: list[float] = []
    for batch in ArraySource(X, Y, batch_size=20):
        nothing = np.zeros((len(batch), 0))  # before the first batch no class is known
        want += brier(learner.predict_proba(batch.x) if scored else nothing, batch.y)
        scored += learner([batch])
    (*_, record) = [r for report in Prequential()(scored) for r in report.metrics]
    assert record["brier"] == pytest.approx(sum(want) / len(want), abs=1e-5)
    assert record["brier_window"] == record["brier"]


def test_a_learner_that_does_not_tell() -> None:
    batch = Batch.from_arrays(X[:4], Y[:4])
    ones = np.ones(4, np.float32)
    (*_, report) = Prequential()([Scored(batch, batch.y, ones, ones)])
    assert report.metrics[0]["brier"] is None
    assert report.metrics[0]["ece"] == 0.0


def test_numbers_have_none() -> None:
    batch = Batch.from_arrays(X[:4], target=X[:4, :1])
    (scored,) = TorchLearner(linear(), partial(SGD, lr=0.1), seed=0)([batch])
    assert scored.square_sum is None
