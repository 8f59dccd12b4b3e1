"""Predictions that are scored when the labels of their rows come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from river import linear_model, preprocessing
from torch.optim import SGD

from streamreplay import (
    Batch,
    Branches,
    DelayedLabels,
    LateLabels,
    Mixer,
    Pipeline,
    Prequential,
    Probe,
    ReservoirSamplingBuffer,
    RiverLearner,
    TorchLearner,
    Verification,
    linear,
    mlp,
)
from streamreplay.evaluation.drift.signals import read_signal
from streamreplay.late import Late
from streamreplay.learners.neural.schedules import Scheduler, inverse_sqrt
from streamreplay.learners.neural.training import Training
from streamreplay.learners.verification import Confidence
from streamreplay.records import Scored

N = 120
KINDS = ("classes", "numbers", "labels")


def in_time(kind: str = "classes", n: int = N) -> Batch:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, n)
    x = rng.standard_normal((n, 4)) + y[:, None]
    if kind == "classes":
        return Batch.from_arrays(x, y, id=np.arange(n))
    target = np.stack([y, -y], 1) if kind == "numbers" else np.stack([y > 0, y > 1], 1)
    return Batch.from_arrays(x, target=target, id=np.arange(n))


def late_stream(whole: Batch, delay: int, size: int) -> list[Batch]:
    """Show each row without its label, which comes on its own ``delay`` rows later."""
    parts: list[Batch] = []
    for t in range(len(whole) + delay):
        if t < len(whole):
            event = whole.take(slice(t, t + 1))
            parts.append(replace(event, y=np.array([-1])))
        if t >= delay:
            label = whole.take(slice(t - delay, t - delay + 1))
            parts.append(replace(label, x=np.zeros_like(label.x)))
    joined = Batch.concat(parts).numbered(0)
    return [joined.take(slice(i, i + size)) for i in range(0, len(joined), size)]


def learner(seed: int = 0, lr: float = 0.1) -> TorchLearner:
    return TorchLearner(mlp([8]), partial(SGD, lr=lr), seed=seed)


def verified(stage: Any, learner: Any, stream: Iterable[Batch]) -> list[Scored]:
    return list(Verification()(learner(Mixer(4)(ReservoirSamplingBuffer(50)(stage(stream))))))


def column(scored: list[Scored], name: str, mask: str = "label") -> np.ndarray[Any, Any]:
    found = []
    for each in scored:
        assert each.late is not None
        rows = each.late.kind == (Late.LABEL if mask == "label" else Late.EVENT)
        source = each.incoming if name in ("t", "y", "target", "id") else each
        found.append(getattr(source, name)[rows])
    return np.concatenate(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delay", [1, 40, 1000])
def test_a_label_is_scored_by_the_prediction_of_its_event(kind: str, delay: int) -> None:
    scored = verified(LateLabels(), learner(), late_stream(in_time(kind), delay, 8))
    assert sum(len(each.incoming) for each in scored) == 2 * N
    events = {t: i for i, t in enumerate(column(scored, "t", "event").tolist())}
    of = [events[t] for each in scored if each.late for t in each.late.event.tolist() if t >= 0]
    assert sorted(of) == list(range(N))
    for name in ("prediction", "probability"):
        early, late = column(scored, name, "event"), column(scored, name)
        np.testing.assert_array_equal(late, early[of])
    assert np.isnan(column(scored, "loss", "event")).all()
    if kind == "numbers":
        error = column(scored, "prediction") - column(scored, "target")
        np.testing.assert_allclose(column(scored, "loss"), (error**2).mean(axis=1), 1e-6)
    later = [each for each in scored if each.late and each.late.learned]
    assert sum(each.late.learned for each in later if each.late) == N


@pytest.mark.parametrize("kind", ["classes", "labels"])  # the scale of numbers is learned
@pytest.mark.parametrize("river", [False, True])
def test_a_model_that_learns_nothing_has_the_same_scores_late_as_in_time(
    kind: str, river: bool
) -> None:
    def make() -> Any:
        if river and kind == "classes":
            model = preprocessing.StandardScaler() | linear_model.SoftmaxRegression()
            return RiverLearner(model, many=False)
        return TorchLearner(linear(), partial(SGD, lr=0.0), normalize="none")

    whole = in_time(kind)
    # every class and target is known first, from rows whose label comes at once
    first = late_stream(whole.take(slice(0, 8)), 0, 16)
    one, two = make(), make()
    verified(LateLabels(), one, first)
    verified(LateLabels(), two, first)
    if river and kind == "classes":
        two._model.learn = one._model.learn = lambda *_: None
    rest = whole.take(slice(8, None)).numbered(0)
    late = verified(LateLabels(), one, late_stream(rest, 20, 8))
    plain = next(iter(two([rest])))
    for name in ("prediction", "probability", "loss", *(["square_sum"] * (kind == "classes"))):
        want = getattr(plain, name)  # of another batch: the last digits may differ
        np.testing.assert_allclose(column(late, name).astype(float), want, 1e-5, err_msg=name)


def records(pipeline: Pipeline, stream: Iterable[Batch]) -> list[dict[str, Any]]:
    found = [record for batch in stream for record in pipeline.step(batch).metrics]
    return [*found, *pipeline.finish().metrics]


def make(stage: Any, *, probe: bool = False, **own: Any) -> Pipeline:
    kept: dict[str, Any] = {"probe": Probe(0.3, every=30)} if probe else {}
    return Pipeline(
        late=stage,
        **kept,
        buffer=ReservoirSamplingBuffer(50),
        mixer=Mixer(4),
        learner=learner(**own),
        verification=Verification(),
        evaluator=Prequential(report_every=50),
    )


def test_a_delay_changes_what_is_learned_when_and_not_what_is_scored() -> None:
    whole = in_time()
    parts = [whole.take(slice(i, i + 8)) for i in range(0, N, 8)]
    plain = Pipeline(learner=learner(lr=0), evaluator=Prequential(report_every=50))
    still = make(DelayedLabels(20), lr=0)
    want, found = records(plain, parts), records(still, parts)
    for one, two in zip(want, found, strict=True):
        known = two.pop("last_known")
        assert known["accuracy"] is not None
        assert [two[key] for key in ("rows", "no_change", "majority")] == [
            one[key] for key in ("rows", "no_change", "majority")
        ]
    pipeline = make(DelayedLabels(20))
    records(pipeline, parts)
    assert (pipeline.rows.learned, pipeline.rows.pending) == (N, 0)
    assert pipeline["buffer"].seen == N


def test_repeating_the_label_known_last_is_scored() -> None:
    whole = in_time()
    for size in (1, 7, 60):
        parts = [whole.take(slice(i, i + size)) for i in range(0, N, size)]
        *_, last = records(make(DelayedLabels(10)), parts)
        hits = [whole.y[t] == whole.y[t - 11] if t > 10 else False for t in range(N)]
        assert last["last_known"]["accuracy"] == np.mean(hits)
        *_, last = records(make(LateLabels()), late_stream(whole, 10, size))
        assert last["last_known"]["accuracy"] == np.mean(hits)
        assert last["no_change"]["accuracy"] == np.mean(whole.y[1:] == whole.y[:-1]) * (N - 1) / N


@pytest.mark.parametrize("stage", [LateLabels(), DelayedLabels(30)])
def test_a_probe_withholds_the_same_rows_as_in_time(stage: Any) -> None:
    whole = in_time()
    parts = [whole.take(slice(i, i + 8)) for i in range(0, N, 8)]
    plain = Pipeline(
        probe=Probe(0.3, every=30), learner=learner(), evaluator=Prequential(report_every=50)
    )
    list(records(plain, parts))
    late = make(stage, probe=True)
    found = records(late, parts if isinstance(stage, DelayedLabels) else late_stream(whole, 30, 8))
    assert plain.rows.withheld > 20
    assert (late.rows.withheld, late.rows.learned) == (plain.rows.withheld, plain.rows.learned)
    want, kept = plain["probe"].sample, late["probe"].sample
    np.testing.assert_array_equal(np.sort(kept.x, axis=0), np.sort(want.x, axis=0))
    rounds = [record for record in found if record["kind"] == "retention"]
    assert rounds[-1]["withheld"] == plain.rows.withheld
    stored = {tuple(row) for row in late["buffer"].buffer.x.tolist()}
    assert not stored & {tuple(row) for row in kept.x.tolist()}


def test_several_learners_each_score_their_own_predictions() -> None:
    stream = late_stream(in_time(), 15, 8)
    both: dict[str, dict[str, Any]] = {
        name: {
            "buffer": ReservoirSamplingBuffer(50),
            "mixer": Mixer(4),
            "learner": learner(seed),
            "verification": Verification(),
            "evaluator": Prequential(report_every=50),
        }
        for seed, name in enumerate(("a", "b"))
    }
    pipeline = Pipeline(late=LateLabels(), learners=Branches(both))
    found = records(pipeline, stream)
    for seed, name in enumerate(("a", "b")):
        alone = records(make(LateLabels(), seed=seed), stream)
        assert [r for r in found if r["learner"] == name] == [
            {"learner": name, **record} for record in alone
        ]
    assert pipeline.rows.learned == N


def test_labels_that_nobody_verifies_are_an_error() -> None:
    pipeline = Pipeline(late=LateLabels(), learner=learner(), evaluator=Prequential())
    with pytest.raises(ValueError, match="put the stage Verification between"):
        pipeline.step(Batch.from_arrays([[1.0]], id=["a"]))


def test_predictions_that_nobody_waits_for_are_dropped() -> None:
    stage = LateLabels(5)
    pipeline = make(stage)
    rng = np.random.default_rng(0)
    for start in range(0, 400, 8):
        ids = [f"{start + i}" if i % 2 else "" for i in range(8)]
        ids[0] = "first"
        pipeline.step(Batch.from_arrays(rng.random((8, 4)), id=ids))
        assert len(pipeline["verification"]._pending) == len(stage) <= 5


def test_the_accuracy_of_rows_without_a_label_is_estimated() -> None:
    confidence = Confidence()
    rng = np.random.default_rng(0)
    says = rng.uniform(0.5, 1, 5000).astype(np.float32)
    right = rng.random(5000) < (says - 0.3)  # it is too sure of itself
    confidence.add(says, right)
    new = rng.uniform(0.5, 1, 5000).astype(np.float32)
    estimate = confidence.estimate(new).mean()
    assert abs(estimate - (new - 0.3).mean()) < 0.02  # five standard errors
    pipeline = make(LateLabels())
    whole = in_time(n=600)
    stream = late_stream(whole, 200, 8)
    for batch in stream[:90]:
        pipeline.step(batch)
    found = pipeline["verification"].estimate
    waiting = len(pipeline["late"])
    assert found["estimated_rows"] == waiting == 200
    rows = whole.take(slice(len(pipeline["late"]), None))
    assert 0 < found["estimated_accuracy"] < 1
    assert len(rows)


def test_a_probe_gets_a_row_when_its_label_comes() -> None:
    whole = in_time()
    pipeline = make(DelayedLabels(30), probe=True)
    for start in range(0, 48, 8):
        pipeline.step(whole.take(slice(start, start + 8)))
    sample = pipeline["probe"].sample
    assert len(sample) > 2
    assert sample.t.max() < 48 - 30


def test_the_features_of_labels_are_not_watched_for_drift() -> None:
    stream = late_stream(in_time(), 3, 8)
    watched = {"feature:0": 0, "error": 0}
    for scored in verified(LateLabels(), learner(), stream):
        assert scored.late is not None
        for on in watched:
            (signal,) = read_signal(on, scored, ())
            kind = Late.EVENT if on == "feature:0" else Late.LABEL
            assert (scored.late.kind[signal.rows] == kind).all()
            watched[on] += len(signal.rows)
    assert watched == {"feature:0": N, "error": N}


def test_labels_of_an_old_experience_do_not_restart_a_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived: list[int] = []
    monkeypatch.setattr(Scheduler, "arrive", lambda _, experience: arrived.append(experience))
    whole = replace(in_time(), experience=np.arange(N) // 60)
    training = Training(schedule=inverse_sqrt(9), schedule_restarts=True)
    model = TorchLearner(mlp([8]), partial(SGD, lr=0.1), training=training)
    verified(LateLabels(), model, late_stream(whole, 20, 8))
    assert sorted(arrived) == arrived
    assert {*arrived} == {0, 1}
