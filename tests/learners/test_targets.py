"""Learning numbers and several labels a row: losses, scales, weights, and exact resume."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import SGD, Adam

from streamreplay import Mixer, Pipeline, Prequential, ReservoirSamplingBuffer
from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.learners import TorchLearner, Training, linear, mlp
from streamreplay.learners.neural.augment import mixup
from streamreplay.learners.neural.targets import (
    ClassTargets,
    LabelTargets,
    NumberTargets,
    Targets,
    check_objective,
    load_targets,
    targets_of,
)
from streamreplay.learners.predictions import label_losses, squared_errors, unknown
from streamreplay.memory import FixedMemory
from streamreplay.records import Rehearsal, Scored
from streamreplay.state import load_state, save_state
from tests.contract.digest import plain

SGD_: Any = partial(SGD, lr=0.1)


def batch(n: int = 6, seed: int = 0, *, labels: bool = False, **columns: Any) -> Batch:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    target: NDArray[Any] = np.stack([x @ [1, 2, 0] + 50, 1e-4 * (x @ [0, 1, -1])], 1)
    if labels:
        target = (target - target.mean(0)) > 0
    return Batch.from_arrays(x, target=target, **columns)


def stream(n: int, size: int, *, labels: bool = False) -> list[Batch]:
    whole = batch(n, labels=labels)
    return [whole.take(slice(i, i + size)) for i in range(0, n, size)]


def rehearsal(incoming: Batch, memory: Batch, rows: list[int]) -> Rehearsal:
    return Rehearsal(incoming, FixedMemory(memory), rows=np.array([rows]))


def run(learner: TorchLearner, records: list[Any]) -> list[Scored]:
    return list(learner(records))


def parameters(learner: TorchLearner) -> list[NDArray[Any]]:
    return [p.detach().numpy().copy() for p in learner.module.parameters()]


# -- one step, by hand ------------------------------------------------------------------------


def by_hand(
    weights: list[NDArray[Any]],
    x: NDArray[Any],
    slope: Callable[[NDArray[Any]], NDArray[Any]],
    row_weight: NDArray[Any],
) -> list[NDArray[Any]]:
    """Take one step of gradient descent of a linear module, in float64."""
    w, b = (part.astype(float) for part in weights)
    at_outputs = slope(x @ w.T + b) * (row_weight / row_weight.sum())[:, None]
    return [w - 0.1 * at_outputs.T @ x, b - 0.1 * at_outputs.sum(0)]


@pytest.mark.parametrize("huber", [None, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_on_numbers(huber: float | None, weighted: bool) -> None:
    weight = np.array([1, 0, 2, 0.5, 1, 3], np.float32)
    incoming = batch(weight=weight if weighted else None)
    memory = batch(4, seed=1, weight=np.arange(4) if weighted else None)
    training = Training(huber=huber)
    learner = TorchLearner(linear(), SGD_, normalize="none", training=training, seed=3)
    twin = TorchLearner(linear(), SGD_, normalize="none", seed=3)
    first = Batch.from_arrays(incoming.x, np.full(6, -1), target=incoming.target)
    run(twin, [first])  # builds the module and learns nothing
    before = parameters(twin)
    run(learner, [rehearsal(incoming, memory, [3, 0, 3])])
    assert incoming.target is not None
    assert memory.target is not None
    x = np.concatenate([incoming.x, memory.x[[3, 0, 3]]]).astype(float)
    target = np.concatenate([incoming.target, memory.target[[3, 0, 3]]])
    z = (target - incoming.target.mean(0)) / incoming.target.std(0)

    def slope(outputs: NDArray[Any]) -> NDArray[Any]:
        off = outputs - z
        return np.asarray(2 * off if huber is None else np.clip(off, -huber, huber)) / 2

    count = np.r_[weight, 3, 0, 3] if weighted else np.ones(9)
    for got, want in zip(parameters(learner), by_hand(before, x, slope, count), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_step_on_labels() -> None:
    weight = np.array([1, 0, 2, 0.5, 1, 3], np.float32)
    y = np.array([0, 0, -1, 0, 0, 0])
    incoming = batch(labels=True, weight=weight, y=y)
    assert incoming.target is not None
    learner = TorchLearner(linear(), SGD_, normalize="none", seed=3)
    blind = Batch.from_arrays(incoming.x, np.full(6, -1), target=incoming.target)
    run(learner, [blind])
    before = parameters(learner)
    run(learner, [incoming])
    known = y == 0
    target = incoming.target[known]

    def slope(outputs: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((1 / (1 + np.exp(-outputs)) - target) / 2)

    want = by_hand(before, incoming.x.astype(float)[known], slope, weight[known])
    for got, expected in zip(parameters(learner), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_row_weights_count_for_classes_too() -> None:
    x = np.random.default_rng(0).standard_normal((6, 3))
    heavy = Batch.from_arrays(x, [0, 1, 0, 1, 1, 0], weight=[2, 0, 1, 1, 0, 1])
    twice = heavy.take(np.array([0, 0, 2, 3, 5]))
    twice = Batch.from_arrays(twice.x, twice.y)
    a, b = (TorchLearner(linear(), SGD_, normalize="none", seed=3) for _ in range(2))
    known = Batch.from_arrays(x[:2], [0, 1])
    run(a, [known, heavy])
    run(b, [known, twice])
    for one, two in zip(parameters(a), parameters(b), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


# -- scales -----------------------------------------------------------------------------------


def test_the_scale_is_that_of_all_labelled_rows() -> None:
    whole = batch(50, y=np.where(np.arange(50) % 7 == 3, -1, 0))
    assert whole.target is not None
    numbers = NumberTargets(whole.target.shape[1])
    for start, stop in ((0, 1), (1, 20), (20, 22), (22, 50)):
        numbers.update(whole.take(slice(start, stop)))
    known = whole.target[whole.y == 0]
    z = numbers.stage(whole.target).numpy()
    np.testing.assert_allclose(z[whole.y == 0].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z[whole.y == 0].std(0), 1, rtol=1e-5)
    predictions = numbers.predict(torch.zeros(1, 2), whole.take(slice(1)))
    np.testing.assert_allclose(predictions.prediction[0], known.mean(0))


def test_a_constant_target_keeps_its_own_scale() -> None:
    rows = Batch.from_arrays(np.zeros((9, 1)), target=np.full(9, 0.1))
    numbers = NumberTargets(1)
    numbers.update(rows)
    predictions = numbers.predict(torch.ones(1, 1), rows.take(slice(1)))
    assert predictions.prediction[0, 0] == pytest.approx(1.1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_predictions_follow_the_scale_of_the_targets(scale: float, shift: float) -> None:
    """Shifted and stretched targets are learned alike, to rounding."""

    def said(a: float, b: float) -> NDArray[Any]:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((300, 3))
        target = a * (x @ [1.0, -1.0, 2.0] + b)
        learner = TorchLearner(mlp([8]), partial(Adam, lr=0.01), seed=1)
        whole = Batch.from_arrays(x, target=target)
        scored = run(learner, [whole.take(slice(i, i + 10)) for i in range(0, 300, 10)])
        return np.concatenate([s.prediction[:, 0] for s in scored[1:]])

    np.testing.assert_allclose(said(scale, shift) / scale - shift, said(1.0, 0.0), atol=1e-3)


def test_nothing_is_said_before_a_target_was_seen() -> None:
    first, second = run(TorchLearner(linear(), SGD_), stream(12, 6))
    assert np.isnan(first.prediction).all()
    assert np.isnan(first.loss).all()
    assert np.isfinite(second.prediction).all()
    assert second.incoming.target is not None
    want = ((second.prediction - second.incoming.target) ** 2).mean(1)
    np.testing.assert_allclose(second.loss, want, rtol=1e-6)


# -- losses that are told ---------------------------------------------------------------------


def test_losses_of_labels_are_cut() -> None:
    rows = Batch.from_arrays(np.zeros((3, 1)), [0, 0, -1], target=[[True], [False], [True]])
    loss = label_losses(rows, np.array([[0.0], [0.25], [0.5]], np.float32))
    assert loss.tolist()[:2] == [pytest.approx(-math.log(1e-7)), pytest.approx(-math.log(0.75))]
    assert math.isnan(loss[2])


def test_losses_of_numbers_without_a_target() -> None:
    rows = Batch.from_arrays(np.zeros((2, 1)))
    assert np.isnan(squared_errors(rows, np.zeros((2, 1)))).all()
    assert np.isnan(label_losses(rows, np.zeros((2, 1), np.float32))).all()


@pytest.mark.parametrize("labels", [False, True])
def test_gradients_are_those_of_the_loss(labels: bool) -> None:
    rows = batch(5, labels=labels, y=np.array([0, 0, -1, 0, 0]))
    learner = TorchLearner(linear(), SGD_, seed=2)
    run(learner, stream(40, 10, labels=labels))
    got = learner.gradients(rows)
    assert rows.target is not None
    targets = learner._network.targets
    assert isinstance(targets, NumberTargets | LabelTargets)
    x = torch.from_numpy(learner.features(rows.x))
    for i in range(5):
        module = copy.deepcopy(learner.module)
        if rows.y[i] < 0:
            assert not got[i].any()
            continue
        loss = targets.losses(module(x[i : i + 1]), targets.stage(rows.target[i : i + 1]))
        loss.sum().backward()  # type: ignore[no-untyped-call]
        weight, bias = (p.grad.numpy() for p in module.parameters() if p.grad is not None)
        np.testing.assert_allclose(got[i], np.c_[weight, bias].ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [False, True])
def test_losses_after_a_step_are_those_of_a_learner_that_took_it(labels: bool) -> None:
    lesson, asked = batch(6, 1, labels=labels), batch(5, 2, labels=labels)
    learner = TorchLearner(linear(), SGD_, normalize="none", seed=2)
    run(learner, stream(40, 10, labels=labels))
    got = learner.losses_after(lesson, asked)
    targets, before = learner._network.targets, learner.losses(asked)
    assert isinstance(targets, NumberTargets | LabelTargets)
    assert lesson.target is not None
    step = torch.optim.SGD(learner.module.parameters(), lr=0.1)
    step.zero_grad()
    logits = learner.module(torch.from_numpy(lesson.x))
    targets.losses(logits, targets.stage(lesson.target)).mean().backward()  # type: ignore[no-untyped-call]
    step.step()
    np.testing.assert_allclose(got, learner.losses(asked), rtol=1e-4)
    assert np.abs(got - before).max() > 1e-3 * before.max()


# -- kinds of targets ---------------------------------------------------------------------------


KINDS: list[Targets] = [ClassTargets(), NumberTargets(2, huber=1.0), LabelTargets(2)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.objective)
def test_a_kind_is_found_in_rows_and_in_a_state(kind: Targets) -> None:
    rows = batch(4, labels=isinstance(kind, LabelTargets))
    rows = Batch.from_arrays(rows.x, [0, 1, 2, 0]) if isinstance(kind, ClassTargets) else rows
    found = targets_of(rows, 1.0)
    if not isinstance(found, ClassTargets):
        found.update(rows)
    check_objective(found, rows)
    loaded = load_targets(save_state(found), 1.0)
    for each in (found, loaded):
        assert (each.objective, each.width) == (kind.objective, kind.width)
    assert plain(save_state(loaded)) == plain(save_state(found))
    outputs = torch.zeros(4, found.count_outputs(rows))
    assert found.predict(outputs, rows).prediction.shape == unknown(rows).prediction.shape


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.objective)
def test_a_kind_refuses_the_rows_and_the_state_of_another(kind: Targets) -> None:
    for other in {each.objective: each for each in KINDS if each is not kind}.values():
        with pytest.raises(CheckpointError, match=f"objective: saved {other.objective}, this pi"):
            load_state(kind, save_state(other))
    rows = batch(2, labels=not isinstance(kind, LabelTargets))
    learned = f"{kind.objective}[{kind.width or ''}]"
    with pytest.raises(ValueError, match=f"has learned {re.escape(learned)} .*, got rows with"):
        check_objective(kind, rows)


def test_a_step_aside_refuses_rows_of_another_kind() -> None:
    learner = TorchLearner(linear(), SGD_)
    run(learner, stream(40, 10))
    with pytest.raises(ValueError, match=r"has learned numbers\[2\]"):
        learner.losses_after(Batch.from_arrays(np.zeros((2, 3)), [0, 1]), batch(2))


# -- methods ----------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("method", ["er", "der", "der++", "a-gem", "mir", "gdumb"])
def test_methods_learn_them(method: str, labels: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 3))
    target: NDArray[Any] = x @ np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    source = Batch.from_arrays(x, target=target > 0.5 if labels else 100 * target)
    candidates = 20 if method == "mir" else None
    pipeline = Pipeline(
        [source.take(slice(i, i + 10)) for i in range(0, 1200, 10)],
        buffer=ReservoirSamplingBuffer(100),
        mixer=Mixer(10, candidates=candidates),
        learner=TorchLearner(mlp([16]), partial(Adam, lr=0.01), method=method),
        evaluator=Prequential(report_every=10_000, window=200),
    )
    if method == "gdumb":
        list(pipeline)
        pipeline["learner"].retrain(pipeline["buffer"].buffer)
        said = pipeline["learner"].predict(source.x)
        off = np.abs(said.astype(float) - np.asarray(source.target, float)).mean()
        assert off < (0.2 if labels else 50)
        return
    *_, last = pipeline
    record = last.metrics[-1]
    if labels:
        assert record["f1_micro_window"] > 0.85 > record["no_change"]["f1_micro_window"]
    else:
        assert record["r2_window"] > 0.8
    assert record["replayed"] > 1000


@pytest.mark.parametrize("labels", [False, True])
def test_only_rows_of_the_same_targets_are_mixed(labels: bool) -> None:
    seen: list[torch.Tensor] = []

    def spy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(y)
        return mixup(1.0)(x, y)

    training = Training(augment=spy)
    learner = TorchLearner(linear(), SGD_, training=training, seed=2)
    incoming, memory = batch(6, 1, labels=labels), batch(6, 2, labels=labels)
    incoming = replace(incoming, y=np.array([0, 0, -1, 0, 0, 0]))
    run(learner, [batch(6, labels=labels), rehearsal(incoming, memory, [5, 5, 0])])
    (_, y), n = seen, 9
    assert incoming.target is not None
    assert memory.target is not None
    target = np.concatenate([incoming.target, memory.target[[5, 5, 0]]])
    known = np.r_[incoming.y, 0, 0, 0]
    for i in range(n):
        for j in range(n):
            alike = known[i] == known[j] and (target[i] == target[j]).all()
            assert bool((y[i] == y[j]).all()) == alike, (i, j)


@pytest.mark.parametrize("method", ["er-ace", "lwf", "mkd"])
def test_methods_of_classes_say_so(method: str) -> None:
    learner = TorchLearner(linear(), SGD_, method=method)
    record = rehearsal(batch(), batch(), [0, 1])
    with pytest.raises(ConfigError, match="is for classes, and rows have targets instead"):
        run(learner, [record])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "ncm"}, "learner.method: ncm: is for classes, and rows have numbers instead"),
        ({"method": "er-slda"}, "learner.method: slda: is for classes"),
        ({"training": Training(label_smoothing=0.1)}, "learner.label_smoothing: is for classes"),
        ({"training": Training(class_weight={0: 2.0})}, "learner.class_weight: is for classes"),
    ],
)
def test_settings_of_classes_say_so(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        run(TorchLearner(linear(), SGD_, **options), [batch()])


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="huber must be above 0, got 0"):
        Training(huber=0)
    with pytest.raises(ConfigError, match="module: has 3 outputs, the target of a row has 2"):
        run(TorchLearner(nn.Linear(3, 3), SGD_), [batch()])
    learner = TorchLearner(linear(), SGD_)
    run(learner, [batch()])
    with pytest.raises(ValueError, match=r"learned numbers\[2\] from the .* rows with labels\[2\]"):
        run(learner, [batch(labels=True)])
    with pytest.raises(ValueError, match=r"got rows with classes\[\]"):
        run(learner, [Batch.from_arrays(batch().x, [0] * 6)])
    (scored,) = run(learner, [Batch.from_arrays(batch().x)])  # a question only
    assert np.isfinite(scored.prediction).all()
    with pytest.raises(ValueError, match="numbers have no probabilities"):
        learner.predict_proba(batch().x)
    classes = TorchLearner(linear(), SGD_)
    run(classes, [Batch.from_arrays(batch().x, [0] * 6)])
    with pytest.raises(ValueError, match=r"has learned classes\[\] from the first row on"):
        run(classes, [batch()])


def test_predict_and_predict_proba() -> None:
    learner = TorchLearner(linear(), SGD_, seed=1)
    *_, last = run(learner, stream(60, 10, labels=True))
    asked = learner.predict_proba(batch(labels=True).x)
    assert asked.shape == (6, 2)
    np.testing.assert_array_equal(learner.predict(batch(labels=True).x), asked >= 0.5)
    assert last.probability.shape == (10, 2)


# -- states -----------------------------------------------------------------------------------


def test_a_state_of_another_huber_is_refused() -> None:
    one = TorchLearner(linear(), SGD_, training=Training(huber=1.0))
    run(one, [batch()])
    two = TorchLearner(linear(), SGD_)
    with pytest.raises(CheckpointError, match=r"outputs\.huber: saved 1.0, this pipeline has None"):
        two.load_state_dict(one.state_dict())


def test_a_held_out_round_before_anything_decides_nothing() -> None:
    held_out = replace(batch(), held_out="test")
    learner = TorchLearner(linear(), SGD_)
    before = plain(learner.state_dict())
    (scored,) = run(learner, [held_out])
    assert scored.objective == "numbers"
    assert np.isnan(scored.prediction).all()
    assert plain(learner.state_dict()) == before
