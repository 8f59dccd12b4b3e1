"""The baseline of streams whose labels come late: repeat the label known last."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from torch.optim import SGD

from streamreplay import (
    Batch,
    DelayedLabels,
    LabelLatency,
    LateLabels,
    Pipeline,
    Prequential,
    TorchLearner,
    Verification,
    linear,
)
from streamreplay.errors import CheckpointError

N, DELAY, WINDOW = 90, 6, 25


def stream(kind: str) -> Batch:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((N, 2))
    if kind == "numbers":
        return Batch.from_arrays(x, target=rng.standard_normal((N, 2)).round(2))
    return Batch.from_arrays(x, target=rng.random((N, 2)) < 0.7)


def pipeline(stage: Any) -> Pipeline:
    return Pipeline(
        late=stage,
        learner=TorchLearner(linear(), partial(SGD, lr=0.01)),
        verification=Verification(),
        evaluator=Prequential(report_every=30, window=WINDOW),
    )


def last_record(live: Pipeline, whole: Batch, size: int) -> dict[str, Any]:
    for start in range(0, len(whole), size):
        live.step(whole.take(slice(start, start + size)))
    return live.finish().metrics[-1]


@pytest.mark.parametrize("size", [1, 7, N])
@pytest.mark.parametrize("kind", ["numbers", "labels"])
def test_targets_of_so_many_rows_before_are_repeated(kind: str, size: int) -> None:
    whole = stream(kind)
    assert whole.target is not None
    now, before = whole.target[DELAY + 1 :], whole.target[: -DELAY - 1]
    found = last_record(pipeline(DelayedLabels(DELAY)), whole, size)["last_known"]
    if kind == "numbers":  # rows before which none was known have no error
        errors = np.abs(now - before).mean(axis=1)
        assert found == {
            "mae": pytest.approx(errors.mean()),
            "mae_window": pytest.approx(errors[-WINDOW:].mean()),
        }
        return
    hits = np.concatenate([np.zeros(DELAY + 1), (now == before).all(axis=1)])
    assert found == {
        "exact_match": pytest.approx(hits.mean()),
        "exact_match_window": pytest.approx(hits[-WINDOW:].mean()),
    }


def test_streams_whose_labels_come_in_time_have_no_such_score() -> None:
    live = Pipeline(learner=TorchLearner(linear(), partial(SGD, lr=0.01)), evaluator=Prequential())
    assert "last_known" not in last_record(live, stream("numbers"), 7)


def test_a_state_belongs_to_labels_that_come_late_or_in_time() -> None:
    late, again = pipeline(DelayedLabels(DELAY)), pipeline(DelayedLabels(DELAY))
    whole = stream("numbers")
    for start in range(0, 60, 7):
        late.step(whole.take(slice(start, start + 7)))
    again.load_state_dict(late.state_dict())
    rest = whole.take(slice(63, N))
    assert again.step(rest).metrics == late.step(rest).metrics
    assert again.finish().metrics == late.finish().metrics
    with pytest.raises(CheckpointError, match=r"^late.delay: saved 6, this pipeline has 7$"):
        pipeline(DelayedLabels(7)).load_state_dict(late.state_dict())


def test_labels_cannot_begin_to_come_late() -> None:
    evaluator = Prequential()
    learner = TorchLearner(linear(), partial(SGD, lr=0.01))
    in_time = Pipeline(learner=learner, evaluator=evaluator)
    late = Pipeline(
        late=LateLabels(), learner=learner, verification=Verification(), evaluator=evaluator
    )
    in_time.step(Batch.from_arrays([[1.0]], [0], id=["a"]))
    with pytest.raises(
        ValueError, match=r"of classes\[\] so far, got classes\[\] with late labels$"
    ):
        late.step(Batch.from_arrays([[1.0]], id=["b"]))


def test_a_record_of_latency_follows_scores_alone() -> None:
    stage = LateLabels()
    live = Pipeline(
        late=stage,
        learner=TorchLearner(linear(), partial(SGD, lr=0.01)),
        verification=Verification(),
        evaluator=Prequential(report_every=4),
        latency=LabelLatency(lambda: {"pending": len(stage), **stage.latency.record()}),
    )
    kinds = []
    for i in range(8):
        batch = Batch.from_arrays([[float(i)]], [-1 if i < 5 else i % 2], id=[f"{i % 5}"])
        kinds.append([(r["kind"], r["position"]) for r in live.step(batch).metrics])
    due = [("prequential", 4), ("labels", 4)], [("prequential", 8), ("labels", 8)]
    assert kinds == [[], [], [], due[0], [], [], [], due[1]]
    (last,) = (r for r in live.finish().metrics if r["kind"] == "labels")
    assert (last["pending"], last["latency_rows"]["mean"]) == (2, 5.0)
