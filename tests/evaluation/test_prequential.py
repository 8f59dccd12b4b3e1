"""Prequential scores against a reference that takes one row at a time, and against River."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import dummy, metrics

from streamreplay.batch import Batch, Sample
from streamreplay.errors import CheckpointError
from streamreplay.evaluation import Prequential
from streamreplay.pipeline import Pipeline
from streamreplay.records import Report, Scored

Row: TypeAlias = tuple[int, int, float, int, int]  # y, prediction, loss, task, experience
Record: TypeAlias = dict[str, Any]

SETTINGS: dict[str, Any] = {"report_every": 7, "window": 5, "fading": 0.9}


def scored(rows: Sequence[Row], start: int = 0, *, held_out: Sample | None = None) -> Scored:
    """Build the `Scored` of some rows."""
    y, prediction, loss, task, experience = zip(*rows, strict=True) if rows else ((),) * 5
    batch = Batch.from_arrays(
        np.zeros((len(rows), 1)),
        np.array(y, np.int64),
        start=start,
        task=np.array(task, np.int64),
        experience=np.array(experience, np.int64),
    )
    if held_out:
        batch = Batch(batch.x, batch.y, batch.t, batch.task, batch.experience, held_out=held_out)
    probability, squares = np.array([said(row) for row in rows], np.float32).reshape(-1, 2).T
    return Scored(
        batch,
        np.array(prediction, np.int64),
        probability,
        np.array(loss, np.float32),
        square_sum=squares,
    )


def said(row: Row) -> tuple[float, float]:
    """Make up a probability and a sum of squares for a row, exact in float32."""
    place = (7 * row[0] + 3 * row[1] + int(16 * row[2] if row[2] < 9 else 5)) % 17
    return math.nan if row[1] < 0 else place / 16, math.nan if place == 3 else place / 16


def cut(rows: Sequence[Row], cuts: Sequence[int]) -> list[Scored]:
    """Cut rows into batches at the given places and wherever the experience changes."""
    changes = [i for i in range(1, len(rows)) if rows[i][4] != rows[i - 1][4]]
    edges = sorted({0, len(rows), *changes, *(c for c in cuts if c < len(rows))})
    return [scored(rows[a:b], a) for a, b in pairwise(edges)]


def records(reports: Iterable[Report]) -> list[Record]:
    return [record for report in reports for record in report.metrics]


# The reference: lists and loops, one row at a time.


def share(hits: Sequence[Any]) -> float | None:
    return sum(map(bool, hits)) / len(hits) if hits else None


def finite_mean(values: Sequence[float]) -> float | None:
    values = [value for value in values if math.isfinite(value)]
    return math.fsum(values) / len(values) if values else None


class Reference:
    """Everything a record says, from the list of all rows so far."""

    def __init__(self, *, report_every: int, window: int, fading: float) -> None:
        self.report_every, self.window, self.fading = report_every, window, fading
        self.rows: list[Row] = []
        self.hits: list[tuple[bool, bool, bool]] = []
        self.counts: Counter[int] = Counter()
        self.last, self.leader = -2, -2
        self.ended = 0
        self.marked = 0
        self.faded = [0.0, 0.0]

    def run(self, rows: Sequence[Row]) -> list[Record]:
        out = []
        for row in rows:
            if self.rows and row[4] != self.rows[-1][4] and len(self.rows) > self.ended:
                out.append(self.record(end=True))
            self.learn(row)
            if len(self.rows) % self.report_every == 0:
                out.append(self.record(end=False))
        if len(self.rows) > self.ended:
            out.append(self.record(end=True))
        return out

    def learn(self, row: Row) -> None:
        self.rows.append(row)
        y, prediction = row[:2]
        if y < 0:
            return
        hit = y == prediction
        self.hits.append((hit, y == self.last, y == self.leader))
        self.last = y
        self.counts[y] += 1
        if self.leader < 0 or self.counts[y] > self.counts[self.leader]:
            self.leader = y
        self.faded = [hit + self.fading * self.faded[0], 1 + self.fading * self.faded[1]]

    def record(self, *, end: bool) -> Record:
        labelled = [row for row in self.rows if row[0] >= 0]
        recent = deque(self.hits, self.window)
        n = len(labelled)
        predicted = Counter(row[1] for row in labelled)
        p0 = share([hit[0] for hit in self.hits])
        pe = sum(self.counts[y] * predicted[y] for y in self.counts) / n**2 if n else 1
        record: Record = {
            "kind": "prequential",
            "position": len(self.rows),
            "experience": self.rows[-1][4],
            "experience_end": end,
            "rows": n,
            "unlabelled": len(self.rows) - n,
            "accuracy": p0,
            "accuracy_window": share([hit[0] for hit in recent]),
            "accuracy_fading": self.faded[0] / self.faded[1] if n else None,
            "loss": finite_mean([row[2] for row in labelled]),
            "loss_window": finite_mean([row[2] for row in labelled[-self.window :]]),
            "kappa": None if p0 is None or pe == 1 else (p0 - pe) / (1 - pe),
            "kappa_temporal": self.kappa_temporal(self.hits),
            "kappa_temporal_window": self.kappa_temporal(recent),
            "brier": self.brier(labelled),
            "brier_window": self.brier(labelled[-self.window :]),
            "ece": self.ece(labelled),
            "ece_window": self.ece(labelled[-self.window :]),
            "no_change": {
                "accuracy": share([hit[1] for hit in self.hits]),
                "accuracy_window": share([hit[1] for hit in recent]),
            },
            "majority": {
                "accuracy": share([hit[2] for hit in self.hits]),
                "accuracy_window": share([hit[2] for hit in recent]),
            },
        }
        for name, column in (("by_class", 0), ("by_task", 3), ("by_experience", 4)):
            ids = sorted({int(row[column]) for row in labelled})
            if name == "by_class" or ids not in ([], [0]):
                record[name] = {g: self.group(labelled, column, g) for g in ids}
        for g, group in record["by_class"].items():
            right = sum(row[0] == row[1] == g for row in labelled)
            group["precision"] = right / predicted[g] if predicted[g] else None
            group["f1"] = 2 * right / (group["rows"] + predicted[g])
        self.marked = n
        if end:
            self.ended = len(self.rows)
        return {**record, "replayed": 0, "skipped": 0}

    def kappa_temporal(self, hits: Sequence[tuple[bool, bool, bool]]) -> float | None:
        p0, p = share([hit[0] for hit in hits]), share([hit[1] for hit in hits])
        return None if p0 is None or p is None or p == 1 else (p0 - p) / (1 - p)

    def brier(self, rows: Sequence[Row]) -> float | None:
        scores = [said(row)[1] - 2 * math.exp(-row[2]) + 1 for row in rows]
        return finite_mean([max(score, 0.0) for score in scores if math.isfinite(score)])

    def ece(self, rows: Sequence[Row]) -> float | None:
        rows = [row for row in rows if row[1] >= 0]
        error = 0.0
        for b in range(15):
            inside = [
                (row[0] == row[1], said(row)[0])
                for row in rows
                if b / 15 < said(row)[0] <= (b + 1) / 15 or (b == 0 and said(row)[0] == 0)
            ]
            error += abs(sum(hit for hit, _ in inside) - sum(p for _, p in inside))
        return error / len(rows) if rows else None

    def group(self, labelled: list[Row], column: int, group: int) -> Record:
        hits = [row[0] == row[1] for row in labelled if row[column] == group]
        recent = [row[0] == row[1] for row in labelled[self.marked :] if row[column] == group]
        return {
            "rows": len(hits),
            "accuracy": share(hits),
            "rows_recent": len(recent),
            "accuracy_recent": share(recent),
        }


def assert_close(got: Any, want: Any) -> None:
    """Equal in structure, types and integers; floats to rounding."""
    if isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_close(got[key], want[key])
    elif isinstance(want, float):
        assert type(got) is float
        assert got == pytest.approx(want, rel=1e-12, abs=1e-12)
    else:
        assert type(got) is type(want)
        assert got == want


# Exact in float32, which is what a learner gives.
LOSSES = st.sampled_from([0.1875, 0.7109375, 2.25, 2**-11, 17.0, math.nan, math.inf])
IDS = st.sampled_from([0, 1, 2, 5, 70_000])


@st.composite
def streams(draw: st.DrawFn, max_size: int = 40) -> list[Row]:
    """Draw rows in a few experiences, which may come again."""
    rows: list[Row] = []
    row = st.tuples(st.sampled_from([-1, 0, 1, 2, 9]), st.sampled_from([-1, 0, 1, 2, 9]), LOSSES)
    for experience in draw(st.lists(st.sampled_from([0, 1, -3, 1 << 40]), max_size=4)):
        task = draw(IDS)
        part = draw(st.lists(row, max_size=max_size // 2))
        rows += [(y, p, loss, task, experience) for y, p, loss in part]
    return rows


CUTS = st.lists(st.integers(1, 80), max_size=12)


@given(streams(), CUTS)
def test_matches_the_reference(rows: list[Row], cuts: list[int]) -> None:
    got = records(list(Prequential(**SETTINGS)(cut(rows, cuts))))
    assert_close(dict(enumerate(got)), dict(enumerate(Reference(**SETTINGS).run(rows))))


@given(streams(), CUTS, st.sampled_from([1, 3, 7, 1000]))
def test_any_cut_gives_the_same_digits(rows: list[Row], cuts: list[int], every: int) -> None:
    options = {**SETTINGS, "report_every": every}
    whole = records(list(Prequential(**options)(cut(rows, []))))
    assert records(list(Prequential(**options)(cut(rows, cuts)))) == whole


def test_matches_the_reference_with_many_groups() -> None:
    rng = np.random.default_rng(1)
    rows: list[Row] = [
        (int(rng.integers(40)), int(rng.integers(40)), 0.5, int(rng.integers(20)), i // 50)
        for i in range(600)
    ]
    options: dict[str, Any] = {"report_every": 90, "window": 33, "fading": 0.99}
    got = records(Prequential(**options)(cut(rows, range(0, 600, 11))))
    assert_close(dict(enumerate(got)), dict(enumerate(Reference(**options).run(rows))))


def test_any_cut_gives_the_same_digits_over_many_folds() -> None:
    rng = np.random.default_rng(0)
    n = 13_000  # three folds at 4,096, then a record in the middle of a fold
    y, prediction = rng.integers(0, 30, n).tolist(), rng.integers(0, 30, n).tolist()
    loss = rng.exponential(size=n).tolist()
    rows = [(*row, 0, 0) for row in zip(y, prediction, loss, strict=True)]
    options: dict[str, Any] = {"report_every": 10_000, "window": 6_000}
    want = records(list(Prequential(**options)(cut(rows, []))))
    assert [record["position"] for record in want] == [10_000, 13_000]
    for size in (1, 10, 4_096, 9_999):
        got = records(list(Prequential(**options)(cut(rows, range(size, n, size)))))
        assert got == want


@settings(max_examples=40)
@given(streams(), CUTS)
def test_resumes_exactly_at_every_cut(rows: list[Row], cuts: list[int]) -> None:
    batches = cut(rows, cuts)
    whole = list(Prequential(**SETTINGS)(batches))
    for at in range(len(batches) + 1):
        first = Prequential(**SETTINGS)
        steps = first(batches[:at])
        done = [next(steps) for _ in range(at)]
        second = Prequential(**SETTINGS)
        second.load_state_dict(first.state_dict())
        third = Prequential(**SETTINGS)
        third.load_state_dict(second.state_dict())
        done += third(batches[at:])
        assert records(done) == records(whole)


@settings(max_examples=40)
@given(streams(), CUTS)
def test_asking_changes_nothing(rows: list[Row], cuts: list[int]) -> None:
    batches = cut(rows, cuts)
    asked = Prequential(**SETTINGS)
    reports = []
    for report in asked(batches):
        before = copy.deepcopy(asked.state_dict())
        asked.summary()
        after = asked.state_dict()
        np.testing.assert_equal(after, before)
        reports.append(report)
    assert records(reports) == records(list(Prequential(**SETTINGS)(batches)))


def test_resumes_between_an_experience_end_and_the_next_record() -> None:
    rows: list[Row] = [(0, 0, 0.5, 0, int(i >= 3)) for i in range(12)]
    batches = cut(rows, [3, 5])
    first, second = Prequential(**SETTINGS), Prequential(**SETTINGS)
    steps = first(batches)
    done = [next(steps), next(steps)]
    second.load_state_dict(first.state_dict())
    done += second(batches[2:])
    assert [record["position"] for record in records(done)] == [3, 7, 12]


def test_the_state_is_a_snapshot() -> None:
    rows = [(i % 3, 1, 0.5, 0, 0) for i in range(20)]
    evaluator = Prequential(**SETTINGS)
    steps = evaluator(cut(rows, range(1, 20)))
    for _ in range(9):
        next(steps)
    state = evaluator.state_dict()
    kept = copy.deepcopy(state)
    list(steps)
    np.testing.assert_equal(state, kept)


@given(streams())
def test_summary_is_the_record_as_of_now(rows: list[Row]) -> None:
    evaluator = Prequential(report_every=1000, window=5, fading=0.9)
    *_, last = evaluator(cut(rows, []))
    before_end = Prequential(report_every=1000, window=5, fading=0.9)
    steps = before_end(cut(rows, []))
    for _ in cut(rows, []):
        next(steps)
    summary = before_end.summary()
    if rows:
        assert {**summary, "experience_end": True} == last.metrics[0]
    else:
        assert summary["position"] == 0
        assert summary["accuracy"] is None


@given(streams())
def test_records_are_plain_json(rows: list[Row]) -> None:
    got = records(list(Prequential(**SETTINGS)(cut(rows, [3, 9]))))
    json.dumps(got, allow_nan=False)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=60))
def test_agrees_with_river(pairs: list[tuple[int, int]]) -> None:
    rows = [(y, prediction, 0.1, 0, 0) for y, prediction in pairs]
    evaluator = Prequential(report_every=1000, window=10)
    (record,) = records(list(evaluator(cut(rows, [7, 20]))))
    river: Any = metrics  # without types
    accuracy, kappa, window = river.Accuracy(), river.CohenKappa(), river.Accuracy()
    no_change, model = river.Accuracy(), dummy.NoChangeClassifier()
    for y, prediction in pairs:
        accuracy.update(y, prediction)
        kappa.update(y, prediction)
        no_change.update(y, model.predict_one({}))
        model.learn_one({}, y)
    for y, prediction in pairs[-10:]:
        window.update(y, prediction)
    assert record["accuracy"] == pytest.approx(accuracy.get())
    assert record["accuracy_window"] == pytest.approx(window.get())
    assert record["no_change"]["accuracy"] == pytest.approx(no_change.get())
    if record["kappa"] is not None:  # where chance agrees always, River says 0
        assert record["kappa"] == pytest.approx(kappa.get())


def test_an_empty_stream_ends_with_an_empty_report() -> None:
    (report,) = Prequential()([])
    assert report.scored is None
    assert report.metrics == ()


def test_a_batch_without_rows_passes() -> None:
    first, last = Prequential()([scored([])])
    assert (len(first), first.metrics, last.metrics) == (0, (), ())


def test_a_large_batch_holds_several_records() -> None:
    rows = [(0, 0, 0.1, 0, 0)] * 23
    first, last = Prequential(report_every=10)([scored(rows)])
    assert first.scored is not None
    assert [record["position"] for record in first.metrics] == [10, 20]
    assert [record["position"] for record in last.metrics] == [23]


def test_every_end_of_an_experience_has_a_record_of_its_own() -> None:
    rows = [(0, 0, 0.1, 0, e) for e in (0, 1) for _ in range(10)]
    got = records(list(Prequential(report_every=5)(cut(rows, []))))
    assert [record["position"] for record in got] == [5, 10, 10, 15, 20, 20]
    assert [record["position"] for record in got if record["experience_end"]] == [10, 20]


def test_exhausting_again_adds_no_record() -> None:
    evaluator = Prequential(report_every=10)
    assert len(records(list(evaluator([scored([(0, 0, 0.1, 0, 0)] * 3)])))) == 1
    (report,) = evaluator([])
    assert report.metrics == ()


def test_unlabelled_rows_are_counted_but_not_scored() -> None:
    rows = [(-1, 2, math.nan, 0, 0), (2, 2, 0.5, 0, 0), (-1, -1, math.nan, 0, 0)]
    (record,) = records(list(Prequential()([scored(rows)])))
    assert (record["position"], record["rows"], record["unlabelled"]) == (3, 1, 2)
    assert (record["accuracy"], record["loss"]) == (1.0, 0.5)


def test_no_known_class_is_wrong() -> None:
    (record,) = records(list(Prequential()([scored([(0, -1, 3.0, 0, 0), (0, 0, 1.0, 0, 0)])])))
    assert record["accuracy"] == 0.5
    assert record["by_class"] == {
        0: {
            "rows": 2,
            "accuracy": 0.5,
            "rows_recent": 2,
            "accuracy_recent": 0.5,
            "precision": 1.0,
            "f1": 2 / 3,
        }
    }


def test_counts_the_work_of_the_learner() -> None:
    one = scored([(0, 0, 0.1, 0, 0)] * 2)
    batches = [
        Scored(one.incoming, one.prediction, one.probability, one.loss, replayed, skipped)
        for replayed, skipped in ((10, 0), (20, 1))
    ]
    got = records(list(Prequential(report_every=3)(batches)))
    assert [(r["replayed"], r["skipped"]) for r in got] == [(30, 1), (30, 1)]


def test_gives_only_the_groups_asked_for() -> None:
    rows = [(0, 0, 0.1, 4, 0), (0, 0, 0.1, 0, 0)]
    evaluator = Prequential(by=("task",))
    (record,) = records(evaluator([scored(rows)]))
    assert [key for key in record if key.startswith("by_")] == ["by_task"]


def test_held_out_rows_change_no_prequential_score() -> None:
    rows: list[Row] = [(i % 3, i % 2, 0.3, 0, i // 10) for i in range(30)]
    plain = cut(rows, range(0, 30, 4))
    mixed = []
    for batch in plain:
        mixed += [scored([(1, 0, 9.0, 3, 5)] * 3, held_out="test"), batch]
    reports = list(Prequential(**SETTINGS)(mixed))
    assert [report.scored for report in reports] == [*plain, None]
    got = [record for record in records(reports) if record["kind"] == "prequential"]
    assert got == records(list(Prequential(**SETTINGS)(plain)))


def test_stepping_gives_the_same_reports() -> None:
    rows: list[Row] = [(i % 4, i % 3, 0.1 * i, 0, i // 20) for i in range(50)]
    batches = [one.incoming for one in cut(rows, range(0, 50, 6))]

    def learner(stream: Iterable[Batch]) -> Iterator[Scored]:
        for batch in stream:
            yield scored([rows[t] for t in batch.t.tolist()], int(batch.t[0]))

    whole = list(Pipeline(batches, learner=learner, evaluator=Prequential(**SETTINGS)))
    stepped = Pipeline(None, learner=learner, evaluator=Prequential(**SETTINGS))
    reports = [*(stepped.step(batch) for batch in batches), stepped.finish()]
    assert [report.metrics for report in reports] == [report.metrics for report in whole]


def test_refuses_a_batch_over_two_experiences() -> None:
    with pytest.raises(ValueError, match="must not span two experiences, got 0 and 1"):
        list(Prequential()([scored([(0, 0, 0.1, 0, 0), (0, 0, 0.1, 0, 1)])]))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"report_every": 0}, "report_every must be at least 1, got 0"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"fading": 0.0}, "fading must be above 0 and at most 1, got 0.0"),
        ({"fading": 1.5}, "fading must be above 0 and at most 1, got 1.5"),
        ({"by": ("colour",)}, "by must be some of class, task, experience"),
        ({"by": "class"}, "by must be some of class, task, experience"),
    ],
)
def test_refuses_options(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prequential(**option)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"window": 500}, "^window: saved 1000, this pipeline has 500$"),
        ({"report_every": 10}, "^report_every: saved 1000, this pipeline has 10$"),
        ({"fading": 0.5}, r"^fading: saved 0\.999, this pipeline has 0\.5$"),
    ],
)
def test_refuses_a_state_of_other_settings(option: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Prequential(**option).load_state_dict(Prequential().state_dict())


def test_groups_of_which_no_row_has_a_label_are_left_out() -> None:
    batch = Batch.from_arrays(np.zeros((4, 1)), [-1] * 4, task=[1, 1, 2, 2], experience=3)
    scored = Scored(batch, np.zeros(4, np.int64), np.ones(4, "f4"), np.full(4, np.nan, "f4"))
    *_, report = Prequential()([scored])
    (record,) = report.metrics
    assert not {"by_task", "by_experience"} & record.keys()
