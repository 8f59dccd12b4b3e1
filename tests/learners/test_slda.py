"""Streaming LDA against the textbook's, and rows that give too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.errors import DivergenceError
from streamreplay.learners import TorchLearner, mlp
from streamreplay.learners.methods.catalogue import er_slda
from streamreplay.learners.methods.slda import StreamingLDA, StreamingLDASettings
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, rehearsals, sgd, stream

Matrix = NDArray[np.float64]
NOTHING = stream()[0].memory.stored


def made(features: int = 7, shrinkage: float = 1e-2) -> StreamingLDA:
    torch.manual_seed(1)
    found = StreamingLDA(StreamingLDASettings(features, shrinkage=shrinkage))
    found.build((FEATURES,))
    return found


def no_features(_: Matrix) -> NDArray[np.float32]:
    raise NotImplementedError


def slda_of(learner: TorchLearner) -> StreamingLDA:
    found = learner._predictor.classifiers["slda"]
    assert isinstance(found, StreamingLDA)
    return found


def lift(found: StreamingLDA, rows: Matrix, past: Matrix) -> Matrix:
    """ReLU of fixed weights, of rows scaled by all that came so far."""
    scaled = (rows - past.mean(0)) / past.std(0)
    weights, offsets = found._weights.double().numpy(), found._offsets.double().numpy()
    lifted: Matrix = np.maximum(scaled @ weights + offsets, 0)
    return lifted


def posterior(h: Matrix, y: NDArray[np.int64], query: Matrix, shrinkage: float) -> Matrix:
    """Linear discriminant analysis with one covariance and equal priors."""
    classes = sorted(set(y.tolist()))
    means = np.stack([h[y == c].mean(0) for c in classes])
    apart = h - means[np.searchsorted(classes, y)]
    covariance = apart.T @ apart / len(h)
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    inverse = np.linalg.inv(covariance)
    gaps = query[:, None] - means
    score = -0.5 * np.einsum("nci,ij,ncj->nc", gaps, inverse, gaps)
    told = np.full((len(query), max(classes) + 1), -np.log(len(classes)))
    told[:, classes] = score - np.log(np.exp(score - score.max(1, keepdims=True)).sum(1))[:, None]
    told[:, classes] -= score.max(1, keepdims=True)
    return told


@pytest.mark.parametrize("size", [1, 7, 60])
def test_it_is_the_textbook_s_analysis(size: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.choice([0, 1, 3, -1], 60)
    x = rng.standard_normal((60, FEATURES)) * 3 + np.abs(y)[:, None]
    x, found, lifted = x.astype(np.float32).astype(np.float64), made(), []
    labelled = np.flatnonzero(y >= 0)
    for start in range(0, 60, size):
        part = np.arange(start, min(start + size, 60))
        found.add(x[part].astype(np.float32), y[part])
        mine = part[y[part] >= 0]
        past = x[labelled[labelled <= part[-1]]]
        if len(past) > 1:
            lifted.append(lift(found, x[mine], past))
        elif len(past):  # a feature that was constant so far is not scaled
            lifted.append(np.maximum(found._offsets.double().numpy()[None], 0))
    query = rng.standard_normal((20, FEATURES)).astype(np.float32)
    found = found.refreshed(NOTHING, no_features)
    want = posterior(
        np.concatenate(lifted), y[labelled], lift(found, query.astype(float), x[labelled]), 1e-2
    )
    np.testing.assert_allclose(found.log_posterior(found.featurise(query), 4), want, atol=2e-3)


@pytest.mark.parametrize("labels", [[[0]], [[0, 1, 2]], [[0], [0], [1], [0], [2], [1]]])
def test_a_class_of_one_row_has_no_covariance(labels: list[list[int]]) -> None:
    """Nothing is left of it but what rounding made, which may be below 0."""
    for features in (3, 300, 2000):
        learner = TorchLearner(mlp([4]), sgd(), method=er_slda(slda_features=features))
        records = rehearsals(labels * 2, k=0)
        learn(learner, records)
        test = replace(records[0].incoming, held_out="test")
        (scored,) = learner([replace(records[0], incoming=test)])
        assert np.isfinite(scored.probability).all()
        assert np.isfinite(scored.loss).all()


def test_the_same_row_again_and_again_is_no_harm() -> None:
    learner = TorchLearner(mlp([4]), sgd(), method=er_slda(slda_features=20))
    record = stream()[0]
    same = replace(record.incoming, x=np.zeros_like(record.incoming.x))
    learn(learner, [replace(record, incoming=same)] * 5)
    assert np.isfinite(learner.predict_proba(same.x)).all()


def test_a_row_that_is_not_finite_is_left_out_of_the_sums() -> None:
    records = stream()
    x = records[5].incoming.x.copy()
    x[1, 2] = np.nan
    spoiled = replace(records[5], incoming=replace(records[5].incoming, x=x))
    kept = np.array([0, 2, 3])
    less = replace(records[5], incoming=records[5].incoming.take(kept))
    ends = []
    for record in (spoiled, less):
        learner = TorchLearner(
            mlp([4]), sgd(), method=er_slda(slda_features=20), on_divergence="skip", seed=2
        )
        learn(learner, [*records[:5], record])
        ends.append({k: v.clone() for k, v in _tensors(slda_of(learner)).items()})
        learn(learner, records[6:])
        assert np.isfinite(learner.predict_proba(records[6].incoming.x)).all()
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], msg=name)


def _tensors(found: StreamingLDA) -> dict[str, torch.Tensor]:
    return {k: v for k, v in found.state_dict().items() if isinstance(v, torch.Tensor)}


def test_sums_that_are_not_finite_are_told() -> None:
    found = made()
    found.add(np.eye(FEATURES, dtype=np.float32), np.arange(FEATURES))
    found._moments[0, 0] = np.inf
    with pytest.raises(DivergenceError, match="second moments of random features are not finite"):
        found.refreshed(NOTHING, no_features)


def test_learning_anew_from_memory_leaves_the_sums_alone() -> None:
    memory = stream()[-1].memory.stored
    fresh = TorchLearner(mlp([4]), sgd(), method=er_slda(slda_features=20))
    fresh.retrain(memory, passes=2)
    learn(fresh, stream())
    sums = plain(slda_of(fresh).state_dict())
    fresh.retrain(memory, passes=2)
    assert plain(slda_of(fresh).state_dict()) == sums


def test_rows_are_learned_as_they_are_beyond_the_rows_that_set_the_scale() -> None:
    """Features that were computed to predict serve to learn, where the scale is still the same."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 1400)
    x = rng.standard_normal((1400, FEATURES)).astype(np.float32) + y[:, None].astype(np.float32)
    learner = TorchLearner(mlp([4]), sgd(), method=er_slda(slda_features=20))
    apart: StreamingLDA | None = None
    for start in range(0, 1400, 50):
        part = slice(start, start + 50)
        learn(learner, [Batch.from_arrays(x[part], y[part], start=start)])
        mine = slda_of(learner)
        if apart is None:
            apart = StreamingLDA(StreamingLDASettings(20))
            apart.build((FEATURES,))
            apart._weights, apart._offsets = mine._weights, mine._offsets
        apart.add(x[part], y[part])
        apart.update_means()
        one, other = (
            plain({**each.state_dict(), "adaptive_weight": None}) for each in (mine, apart)
        )
        assert one == other
