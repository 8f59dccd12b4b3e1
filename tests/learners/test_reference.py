"""The learner against the slow loop, and what it may do to a batch at what time."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Adam

from streamreplay.batch import Batch
from streamreplay.evaluation.retention.holdout import UNSEEN
from streamreplay.learners import ModuleFactory, OptimizerFactory, TorchLearner, linear, mlp
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal
from tests.contract.digest import plain
from tests.learners.reference import (
    FEATURES,
    Slow,
    learn,
    network,
    rehearsals,
    sgd,
    stream,
    weights,
)

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "sgd": partial(SGD, lr=0.1),
    "momentum": partial(SGD, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": partial(Adam, lr=0.01),
}


def build(kind: str, classes: int = 3) -> nn.Module:
    torch.manual_seed(5)
    if kind == "linear":
        return nn.Linear(FEATURES, classes)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(FEATURES, 7), nn.ReLU(), nn.Linear(7, classes))
    return nn.Sequential(nn.Linear(FEATURES, 7), nn.BatchNorm1d(7), nn.Linear(7, classes))


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["linear", "mlp", "batch-norm"])
def test_learns_as_the_slow_loop(kind: str, optimizer: str, steps: int) -> None:
    labels = [[0, 1, 2, 0], *np.random.default_rng(1).integers(0, 3, (14, 4)).tolist()]
    records = rehearsals(labels, steps=steps)
    module = build(kind)
    slow = Slow(copy.deepcopy(module), OPTIMIZERS[optimizer]).learn(records)
    learner = TorchLearner(module, OPTIMIZERS[optimizer], normalize="none", threads=1)
    scored = list(learner(records))

    assert np.concatenate([s.prediction for s in scored]).tolist() == slow.predictions
    probabilities = np.concatenate([s.probability for s in scored])
    np.testing.assert_allclose(probabilities, slow.probabilities, atol=1e-6)
    for name, tensor in slow.module.state_dict().items():
        # batch norm's own sums are taken in an order that depends on strides, and plain SGD on
        # linear layers rounds once where torch's optimizer rounds twice
        most = 1e-6 if kind == "batch-norm" or optimizer == "sgd" else 0.0
        found = learner.module.state_dict()[name]
        torch.testing.assert_close(found, tensor, atol=most, rtol=most, msg=name)
    assert [s.replayed for s in scored] == [0] + [3 * steps] * 14


@settings(deadline=None, max_examples=40)
@given(
    labels=st.lists(st.lists(st.integers(-1, 7), min_size=1, max_size=5), min_size=1, max_size=6),
    steps=st.integers(1, 2),
    k=st.integers(0, 4),
)
def test_any_labels_are_learned_as_by_the_slow_loop(
    labels: list[list[int]], steps: int, k: int
) -> None:
    """Missing labels, gaps between them, classes that come late: all within a head of 8."""
    records = rehearsals(labels, steps=steps, k=k)
    module = build("mlp", 8)
    slow = Slow(copy.deepcopy(module), sgd(momentum=0.9)).learn(records)
    learner = TorchLearner(module, sgd(momentum=0.9), normalize="none", threads=1)
    assert learn(learner, records).tolist() == slow.predictions
    for name, tensor in slow.module.state_dict().items():
        torch.testing.assert_close(
            learner.module.state_dict()[name], tensor, atol=1e-5, rtol=1e-5, msg=name
        )


def test_a_batch_alone_is_a_rehearsal_without_memory() -> None:
    none = np.empty((1, 0), np.int64)
    records = [replace(r, memory=FixedMemory(r.incoming), rows=none) for r in stream()]
    a, b = TorchLearner(mlp([4]), sgd()), TorchLearner(mlp([4]), sgd())
    learn(a, records)
    learn(b, [r.incoming for r in records])
    assert plain(a.state_dict()) == plain(b.state_dict())


def test_a_prediction_never_knows_the_labels_of_its_batch() -> None:
    *past, last = stream()
    told = replace(last, incoming=replace(last.incoming, y=2 - last.incoming.y))
    answers = []
    for final in (last, told):
        learner = TorchLearner(mlp([4]), sgd(1.0))
        learn(learner, past)
        before = learner.predict_proba(final.incoming.x)
        (scored,) = learner([final])
        answers.append(scored)
        np.testing.assert_allclose(scored.probability, before.max(1), atol=1e-6)
        assert not np.allclose(learner.predict_proba(final.incoming.x), before, atol=1e-3)
    assert plain(answers[0].prediction) == plain(answers[1].prediction)
    assert plain(answers[0].probability) == plain(answers[1].probability)


def test_losses_are_those_of_the_true_class() -> None:
    *past, last = stream()
    learner = TorchLearner(linear(), sgd())
    learn(learner, past)
    y = np.array([0, -1, 2, 40])
    rows = replace(last.incoming, y=y)
    p = learner.predict_proba(rows.x).astype(np.float64)
    (scored,) = learner([replace(last, incoming=rows)])
    want = [-np.log(p[0, 0]), np.nan, -np.log(p[2, 2]), LOSS_LIMIT]
    np.testing.assert_allclose(scored.loss, want, rtol=1e-5)
    assert scored.loss.dtype == np.float32


def test_a_loss_has_an_upper_limit() -> None:
    learner = TorchLearner(linear(), sgd(), normalize="none")
    learn(learner, stream())
    far = Batch.from_arrays(np.full((3, FEATURES), 1e6, np.float32), [0, 1, 2])
    (scored,) = learner([far])
    assert sorted(np.abs(scored.loss).tolist()) == [0.0, *[np.float32(LOSS_LIMIT)] * 2]


def test_rows_without_a_label_are_predicted_only() -> None:
    records = stream()
    learner = TorchLearner(mlp([4]), sgd(momentum=0.9), normalize="none")
    learn(learner, records)
    before, optimizer = weights(learner), plain(network(learner).optimizer.state_dict())
    unlabelled = replace(records[-1].incoming, y=np.full(4, -1))
    (scored,) = learner([replace(records[-1], incoming=unlabelled)])
    assert plain(weights(learner)) == plain(before)
    assert plain(network(learner).optimizer.state_dict()) == optimizer
    assert (scored.prediction >= 0).all()
    assert np.isnan(scored.loss).all()
    assert (scored.replayed, scored.skipped) == (0, 0)


@pytest.mark.parametrize("kind", ["linear", "batch-norm", "dropout"])
def test_held_out_rows_move_nothing(kind: str) -> None:
    module = build(kind) if kind != "dropout" else nn.Sequential(nn.Dropout(), build("linear"))
    learner = TorchLearner(module, sgd(momentum=0.9))
    learn(learner, stream())
    state = plain(learner.state_dict())
    x = np.random.default_rng(7).standard_normal((6, FEATURES)).astype(np.float32)
    y = np.array([0, 2, 7, UNSEEN, UNSEEN + 1, 1])
    test = replace(Batch.from_arrays(x, y), held_out="test")
    (scored,) = learner([Rehearsal(test, FixedMemory(test), rows=np.array([[0, 1]]))])
    assert plain(learner.state_dict()) == state
    p = learner.predict_proba(x)
    assert scored.prediction.tolist() == p.argmax(1).tolist()
    np.testing.assert_allclose(scored.loss[[0, 1, 5]], -np.log(p[[0, 1, 5], [0, 2, 1]]), rtol=1e-4)
    assert scored.loss[2:5].tolist() == [np.float32(LOSS_LIMIT)] * 3
    assert (scored.replayed, scored.skipped) == (0, 0)


def test_held_out_rows_ahead_of_the_stream_build_nothing() -> None:
    learner = TorchLearner(mlp([4]), sgd())
    state = plain(learner.state_dict())
    test = replace(Batch.from_arrays(np.ones((2, FEATURES)), [UNSEEN, 1]), held_out="test")
    (scored,) = learner([test])
    assert scored.prediction.tolist() == [-1, -1]
    assert np.isnan(scored.probability).all()
    assert scored.loss.tolist() == [np.float32(LOSS_LIMIT)] * 2
    assert plain(learner.state_dict()) == state
    fresh = TorchLearner(mlp([4]), sgd())
    assert plain(list(learner(stream()))) == plain(list(fresh(stream())))


def test_memory_may_hold_classes_that_came_before_the_learner() -> None:
    """A buffer may have been filled, or loaded, before a fresh learner is put behind it."""
    record = stream()[-1]
    late = replace(record, incoming=record.incoming.take(record.incoming.y == 0))
    assert {1, 2} <= set(late.memory.stored.y.tolist())
    rows = np.arange(len(late.memory.stored))[None]
    learner = TorchLearner(linear(), sgd())
    (scored,) = learner([replace(late, rows=rows, group=np.zeros_like(rows))])
    assert scored.replayed == rows.size
    assert (learner.predict_proba(late.incoming.x)[:, :3] > 0).all()


@pytest.mark.parametrize("method", ["er", "er-ace", "der++", "a-gem", "mkd", "ncm"])
@pytest.mark.parametrize("factory", [mlp([4]), lambda *_: nn.Linear(FEATURES, 9)])
def test_memory_may_come_to_hold_classes_that_no_incoming_row_was_of(
    method: str, factory: ModuleFactory
) -> None:
    """A buffer may take in another's rows; those of a class are met when one is rehearsed."""
    *past, record = stream()
    learner = TorchLearner(factory, sgd(), method=method)
    learn(learner, past)
    for label, place in ((5, 0), (7, 1)):
        y = record.memory.stored.y.copy()
        y[place] = label
        memory = FixedMemory(replace(record.memory.stored, y=y))
        merged = replace(record, memory=memory, rows=np.array([[place, 3]]))
        (scored,) = learner([merged])
        assert (scored.replayed, scored.skipped) == (2, 0)
        assert learner.predict_proba(record.incoming.x)[:, [label]].all() or method == "ncm"
        assert network(learner).known.nonzero()[0].tolist() == [0, 1, 2, *range(5, label + 1, 2)]


def test_probabilities_sum_to_one() -> None:
    learner = TorchLearner(mlp([4]), sgd())
    learn(learner, rehearsals([[3, 7, 3], [7, 3, 7]]))
    p = learner.predict_proba(np.random.default_rng(0).standard_normal((9, FEATURES)))
    assert (p.dtype.name, p.shape) == ("float32", (9, 8))
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
    assert not p[:, [0, 1, 2, 4, 5, 6]].any()


def test_there_are_no_probabilities_before_the_first_row() -> None:
    learner = TorchLearner(mlp([4]), sgd())
    with pytest.raises(ValueError, match="first row"):
        learner.predict_proba(np.ones((1, FEATURES)))


def test_other_features_are_refused() -> None:
    learner = TorchLearner(linear(), sgd())
    learn(learner, stream())
    wide = np.ones((2, 8), np.float32)
    message = r"x: this learner has learned from \[n, 5\], got float32\[2, 8\]"
    with pytest.raises(ValueError, match=message):
        learner.predict_proba(wide)
    with pytest.raises(ValueError, match=message):
        list(learner([Batch.from_arrays(wide, [0, 1])]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_divergence": "ignore"}, "on_divergence must be raise or skip, got 'ignore'"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"normalize": "minmax"}, "normalize must be auto, standard or none, got 'minmax'"),
    ],
)
def test_arguments_are_checked(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TorchLearner(linear(), sgd(), **options)  # type: ignore[arg-type]


def test_hidden_layers_need_units() -> None:
    with pytest.raises(ValueError, match=r"at least 1 unit each, got \[4, 0\]"):
        mlp([4, 0])
