"""Losses that are not finite: stop with the place, or leave the step out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from streamreplay.errors import DivergenceError
from streamreplay.learners import TorchLearner, linear, mlp
from streamreplay.learners.scaling import Normalize
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal
from tests.contract.digest import plain
from tests.learners.reference import FEATURES, learn, network, sgd, stream, weights


def spoiled(record: Rehearsal, value: float = np.nan) -> Rehearsal:
    """Replace one feature of one row."""
    x = record.incoming.x.copy()
    x[1, 2] = value
    return replace(record, incoming=replace(record.incoming, x=x))


class Kink(nn.Module):
    """A finite loss, and gradients that are not: the square root's at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(x)
        return logits + (logits - logits).abs().sqrt() if x[0, 0] == 7 else logits


def test_the_error_names_batch_and_position() -> None:
    records = stream()
    learner = TorchLearner(mlp([4]), sgd(momentum=0.9))
    learn(learner, records[:5])
    before = plain(learner.state_dict())
    with pytest.raises(DivergenceError) as caught:
        learn(learner, [spoiled(records[5])])
    assert str(caught.value) == (
        "loss is nan at batch 5 (stream positions 19 to 22): "
        "try a smaller learning rate, or on_divergence = skip"
    )
    assert plain(learner.state_dict()) == before
    assert len(learn(learner, records[6:])) == 24, "the stream can go on behind it"


@pytest.mark.parametrize(
    ("value", "normalize"),
    [(np.nan, "standard"), (np.nan, "none"), (np.inf, "none"), (-np.inf, "none")],
)
def test_skip_leaves_the_step_out_and_counts_it(value: float, normalize: Normalize) -> None:
    records = stream()
    records = [replace(r, rows=np.tile(r.rows, (3, 1))) for r in records]
    learner = TorchLearner(mlp([4]), sgd(momentum=0.9), on_divergence="skip", normalize=normalize)
    learn(learner, records[:5])
    before, memory = weights(learner), plain(network(learner).optimizer.state_dict())
    (scored,) = learner([spoiled(records[5], value)])
    assert (scored.skipped, scored.replayed) == (3, 0)
    assert plain(weights(learner)) == plain(before)
    assert plain(network(learner).optimizer.state_dict()) == memory

    after = list(learner(records[6:]))
    assert sum(s.skipped for s in after) == 0, "one bad row costs one batch"
    assert all(np.isfinite(s.probability).all() for s in after)
    assert plain(weights(learner)) != plain(before)


def test_infinite_features_are_cut_like_any_that_are_far_off() -> None:
    records = stream()
    learner = TorchLearner(mlp([4]), sgd())
    learn(learner, [*records[:5], spoiled(records[5], np.inf), spoiled(records[6], -np.inf)])
    assert np.isfinite(np.concatenate([s.loss for s in learner(records[7:])])).all()


def test_skip_leaves_out_only_the_passes_that_fail() -> None:
    record = stream()[-1]
    memory = replace(record.memory.stored, x=record.memory.stored.x.copy())
    memory.x[4] = np.nan
    rows = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    learner = TorchLearner(mlp([4]), sgd(), on_divergence="skip")
    learn(learner, stream())
    (scored,) = learner([replace(record, memory=FixedMemory(memory), rows=rows)])
    assert (scored.skipped, scored.replayed) == (1, 6)
    assert all(torch.isfinite(each).all() for each in weights(learner).values())


def test_skip_also_when_only_a_gradient_is_not_finite() -> None:
    learner = TorchLearner(Kink(), sgd(), normalize="none", on_divergence="skip")
    records = stream()
    learn(learner, records)
    before = weights(learner)
    record = records[-1]
    record.incoming.x[0, 0] = 7
    (scored,) = learner([record])
    assert scored.skipped == 1
    assert np.isfinite(scored.loss).all()
    assert plain(weights(learner)) == plain(before)


def test_skip_keeps_running_statistics_finite() -> None:
    """Batch norm takes rows into its statistics before anybody knows the loss."""
    module = nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    records = stream()
    learner = TorchLearner(module, sgd(), on_divergence="skip")
    learn(learner, records[:5])
    before = weights(learner)
    (scored,) = learner([spoiled(records[5])])
    assert scored.skipped == 1
    assert plain(weights(learner)) == plain(before)
    assert all(np.isfinite(s.probability).all() for s in learner(records[6:]))


def test_a_first_batch_that_is_not_finite_is_skipped() -> None:
    first, *rest = stream()
    learner = TorchLearner(mlp([4]), sgd(), on_divergence="skip")
    (scored,) = learner([spoiled(first)])
    assert scored.skipped == 1
    assert sum(s.skipped for s in learner(rest)) == 0
    assert np.isfinite(learner.predict_proba(rest[0].incoming.x)).all()


def test_a_learning_rate_that_is_far_too_large() -> None:
    """Weights explode until the loss is no number: then learning stops, scoring does not."""
    records = [r for _ in range(30) for r in stream()]
    learner = TorchLearner(mlp([4, 4]), sgd(1e12), on_divergence="skip")
    scored = list(learner(records))
    assert sum(s.skipped for s in scored) > 0
    assert all(torch.isfinite(each).all() for each in weights(learner).values())
    learner.state_dict()
    with pytest.raises(DivergenceError, match="at batch"):
        learn(TorchLearner(mlp([4, 4]), sgd(1e12)), records)


def test_weights_that_are_not_finite_are_not_saved() -> None:
    learner = TorchLearner(linear(), sgd())
    learn(learner, stream())
    with torch.no_grad():
        next(learner.module.parameters())[1, 2] = torch.inf
    with pytest.raises(DivergenceError, match=r"module\.weight is not finite"):
        learner.state_dict()
