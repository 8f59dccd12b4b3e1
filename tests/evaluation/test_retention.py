"""What the records of held-out rounds say, by hand-made numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreplay.batch import Batch
from streamreplay.evaluation import Holdout, Prequential
from streamreplay.labels import Labels
from streamreplay.pipeline import Pipeline
from streamreplay.records import Report, Scored


def rows(n: int, experience: int, y: int | list[int] = 0, start: int = 0) -> Batch:
    labels = [y] * n if isinstance(y, int) else y
    return Batch.from_arrays(np.zeros((n, 1)), labels, start=start, experience=experience)


def stream(*experiences: int, size: int = 4) -> list[Batch]:
    """Build a batch for each experience named, all labels being the experience."""
    return [rows(size, e, e, start=i * size) for i, e in enumerate(experiences)]


class Parrot:
    """Predict for every row the last label it learned."""

    def __init__(self) -> None:
        self.label = -1

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Scored]:
        for batch in stream:
            n = len(batch)
            prediction = np.full(n, self.label)
            if n and not batch.held_out:
                self.label = int(batch.y[-1])
            ones = np.ones(n, np.float32)
            yield Scored(batch, prediction, ones, ones)

    def state_dict(self) -> dict[str, Any]:
        return {"label": self.label}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.label = state["label"]


class Script:
    """Predict the k-th round's held-out rows as told, whatever was learned."""

    def __init__(self, rounds: list[list[int]]) -> None:
        self.rounds = rounds
        self.round = -1

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Scored]:
        for batch in stream:
            prediction = np.zeros(len(batch), np.int64)
            if batch.held_out:
                self.round += bool(batch.t[0] == 0)
                prediction = np.array(self.rounds[self.round])[batch.t]
            ones = np.ones(len(batch), np.float32)
            yield Scored(batch, prediction, ones, ones)


def records(reports: Iterable[Report], kind: str | None = None) -> list[dict[str, Any]]:
    found = [record for report in reports for record in report.metrics]
    return [record for record in found if kind in (None, record["kind"])]


TEST = Batch.from_arrays(np.zeros((6, 1)), [0, 0, 1, 1, 2, 2], experience=[0, 0, 1, 1, 2, 2])


def test_an_unseen_class_counts_as_wrong() -> None:
    holdout = Holdout(replace(TEST, labels=Labels(["a", "b", "c"])))
    named = [replace(batch, labels=Labels(["?", "b"])) for batch in stream(1)]
    reports = Pipeline(named, h=holdout, learner=Parrot(), e=Prequential())
    (record,) = records(reports, "retention")
    assert record["accuracy"] == 2 / 6
    assert record["accuracy_by_experience"] == {0: 0.0, 1: 1.0, 2: 0.0}
    assert record["by_class"] == {1: {"rows": 2, "accuracy": 1.0}}


def test_records_at_an_end_come_in_order() -> None:
    pipeline = Pipeline(stream(0, 0, 1), h=Holdout(TEST), learner=Parrot(), e=Prequential())
    reports = list(pipeline)
    assert [
        [(m["kind"], m["position"], m["experience_end"]) for m in report.metrics]
        for report in reports
    ] == [
        [],
        [],
        [("prequential", 8, True), ("retention", 8, True)],
        [("prequential", 12, True), ("retention", 12, True)],
    ]
    assert [len(report) for report in reports] == [4, 4, 4, 0]


# Ten held-out rows of each of three experiences, one class each; the matrix of the example:
#          j = 0    1    2
# i = 0:     0.9  0.0  0.1
# i = 1:     0.6  0.8  0.0
# i = 2:     0.7  0.3  1.0
MATRIX = [[0.9, 0.0, 0.1], [0.6, 0.8, 0.0], [0.7, 0.3, 1.0]]
LABELS = np.repeat([0, 1, 2], 10)
TENS = Batch.from_arrays(np.zeros((30, 1)), LABELS, experience=LABELS)


def answers(accuracies: list[float]) -> list[int]:
    """Predict right for the given share of each experience's ten rows."""
    return [
        j if k < round(10 * accuracy) else 9
        for j, accuracy in enumerate(accuracies)
        for k in range(10)
    ]


def replay(
    experiences: list[int], matrix: list[list[float]], **options: Any
) -> tuple[list[dict[str, Any]], Prequential]:
    evaluator = Prequential()
    pipeline = Pipeline(
        stream(*experiences),
        holdout=Holdout(TENS, chunk=7, **options),
        learner=Script([answers(row) for row in matrix]),
        evaluator=evaluator,
    )
    return records(pipeline, "retention"), evaluator


def test_scores_of_a_matrix_computed_by_hand() -> None:
    got, evaluator = replay([0, 1, 2], MATRIX)
    assert [record["after_experience"] for record in got] == [0, 1, 2]
    assert [record["rows"] for record in got] == [30, 30, 30]
    assert [record["accuracy"] for record in got] == pytest.approx([10 / 30, 14 / 30, 20 / 30])
    assert [list(r["accuracy_by_experience"].values()) for r in got] == MATRIX
    assert [r["average_accuracy"] for r in got] == pytest.approx([0.9, 0.7, 2 / 3])
    assert [r["forgetting"] for r in got[:1]] == [None]
    # After 1: 0.9 - 0.6. After 2: (0.9 - 0.7 + 0.8 - 0.3) / 2.
    assert [r["forgetting"] for r in got[1:]] == pytest.approx([0.3, 0.35])
    assert got[0]["backward_transfer"] is None
    assert [r["backward_transfer"] for r in got[1:]] == pytest.approx([-0.3, -0.35])
    ids, columns, matrix = evaluator.R
    assert (ids.tolist(), columns.tolist(), matrix.tolist()) == ([0, 1, 2], [0, 1, 2], MATRIX)
    assert matrix.dtype == np.float64
    json.dumps(got, allow_nan=False)


def test_forgetting_is_from_the_best_and_transfer_from_the_diagonal() -> None:
    got, _ = replay([0, 1, 2], [[0.5, 0.0, 0.0], [0.9, 0.5, 0.0], [0.6, 0.7, 0.5]])
    assert got[2]["forgetting"] == pytest.approx(((0.9 - 0.6) + (0.5 - 0.7)) / 2)
    assert got[2]["backward_transfer"] == pytest.approx(((0.6 - 0.5) + (0.7 - 0.5)) / 2)


def test_only_classes_seen_in_the_stream_are_listed() -> None:
    got, _ = replay([0, 1, 2], MATRIX)
    assert [list(record["by_class"]) for record in got] == [[0], [0, 1], [0, 1, 2]]
    # After 1: class 0 lost 0.3. After 2: 0 is 0.2 below its best, 1 is 0.5 below.
    assert got[0]["class_forgetting"] is None
    assert [r["class_forgetting"] for r in got[1:]] == pytest.approx([0.3, 0.35])


def test_experiences_in_any_order_that_come_again() -> None:
    got, evaluator = replay([2, 0, 2], MATRIX)
    ids, columns, matrix = evaluator.R
    assert (ids.tolist(), columns.tolist()) == ([2, 0], [0, 1, 2])
    assert matrix.tolist() == [MATRIX[2], MATRIX[1]]
    # Experience 1 never came. After the second 2: only 0 was learned beside it.
    assert got[2]["average_accuracy"] == pytest.approx((0.7 + 1.0) / 2)
    assert got[2]["forgetting"] == pytest.approx(0.9 - 0.7)
    assert got[2]["backward_transfer"] == pytest.approx(0.7 - 0.6)


def test_a_round_within_an_experience_is_not_in_the_matrix() -> None:
    got, evaluator = replay([0, 0, 0, 0], MATRIX, every=8)
    assert [(r["position"], r["experience_end"]) for r in got] == [(8, False), (16, True)]
    assert [r["average_accuracy"] for r in got] == [None, pytest.approx(0.6)]
    assert got[1]["class_forgetting"] == pytest.approx(0.9 - 0.6)
    assert evaluator.R[2].tolist() == [MATRIX[1]]


def test_a_stream_of_untested_experiences_has_no_average() -> None:
    got, evaluator = replay([7], MATRIX)
    assert (got[0]["average_accuracy"], got[0]["forgetting"]) == (None, None)
    assert evaluator.R[0].tolist() == [7]


def test_without_rounds_the_matrix_is_empty() -> None:
    ids, columns, matrix = Prequential().R
    assert (ids.shape, columns.shape, matrix.shape) == ((0,), (0,), (0, 0))


def build(source: list[Batch] | None) -> Pipeline:
    return Pipeline(
        source,
        holdout=Holdout(TEST, chunk=4, every=10),
        learner=Parrot(),
        evaluator=Prequential(report_every=6, window=5),
    )


@st.composite
def cut_streams(draw: st.DrawFn) -> list[Batch]:
    batches: list[Batch] = []
    for experience in draw(st.lists(st.integers(0, 3), max_size=4)):
        y = draw(st.lists(st.integers(-1, 2), min_size=1, max_size=20))
        edges = sorted({0, len(y), *draw(st.lists(st.integers(1, 19), max_size=5))})
        parts = [y[a:b] for a, b in pairwise(edges) if y[a:b]]
        for part in parts:
            start = sum(map(len, batches))
            batches.append(rows(len(part), experience, part, start=start))
    return batches


@settings(max_examples=60)
@given(cut_streams())
def test_stepping_and_resuming_give_the_same_records(batches: list[Batch]) -> None:
    want = [report.metrics for report in build(batches)]
    stepped = build(None)
    got = []
    for batch in batches:
        state = stepped.state_dict()
        twice = build(None)
        twice.load_state_dict(state)
        stepped = build(None)
        stepped.load_state_dict(twice.state_dict())
        got.append(stepped.step(batch).metrics)
    got.append(stepped.finish().metrics)
    assert got == want


@settings(max_examples=60)
@given(cut_streams(), st.data())
def test_any_cut_gives_the_same_records(batches: list[Batch], data: st.DataObject) -> None:
    def run(stream: list[Batch]) -> list[dict[str, Any]]:
        learner, evaluator = Script([[0, 1, 1, 1, 2, 0]] * 9), Prequential(report_every=6, window=5)
        return records(Pipeline(stream, h=Holdout(TEST), learner=learner, e=evaluator))

    finer = []
    for batch in batches:
        at = data.draw(st.integers(0, len(batch)))
        finer += [part for s in (slice(0, at), slice(at, None)) if len(part := batch.take(s))]
    assert run(finer) == run(batches)


class Faulty(Parrot):
    """Fail once, at the n-th batch of any kind."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Scored]:
        for scored in super().__call__(stream):
            self.left -= 1
            if self.left == 0:
                raise RuntimeError("fault")
            yield scored


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize(
    ("fault", "rest"),
    [
        (3, stream(1)),  # in the round after 0: it is repeated before the next batch
        (3, stream(0)),  # even though that batch alone would not ask for it
        (5, stream(1)),  # on the batch after the round: the round counts as it is
    ],
)
def test_a_round_around_a_fault_counts_once(fault: int, rest: list[Batch], restore: bool) -> None:
    def build(batches: list[Batch], learner: Parrot) -> Pipeline:
        return Pipeline(batches, h=Holdout(TEST, chunk=2), learner=learner, e=Prequential())

    pipeline = build(stream(0, 1), Faulty(fault))
    with pytest.raises(RuntimeError, match="fault"):
        list(pipeline)
    pipeline.source = rest
    if restore:
        state = pipeline.state_dict()
        pipeline = build(rest, Faulty(0))
        pipeline.load_state_dict({**state, "source": {}})
    first = records(pipeline, "retention")[0]
    assert (first["position"], first["after_experience"], first["rows"]) == (4, 0, 6)
    assert first["accuracy_by_experience"][2] == 0.0
    assert first["by_class"] == {0: {"rows": 2, "accuracy": 1.0}}


def test_the_matrix_survives_a_restore() -> None:
    _, evaluator = replay([2, 0], MATRIX)
    other = Prequential()
    other.load_state_dict(evaluator.state_dict())
    np.testing.assert_equal(other.R, evaluator.R)
