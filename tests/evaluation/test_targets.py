"""Scores of numbers and of labels against plain lists, one row at a time, and against River."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from river import metrics

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.evaluation import Holdout, Prequential
from streamreplay.records import Scored

Record = dict[str, Any]
SETTINGS: dict[str, Any] = {"report_every": 7, "window": 5, "fading": 0.9}
D = 2


class Stream:
    """Rows by lot: targets, predictions, and which rows are labelled, of which experience."""

    def __init__(self, seed: int, n: int, *, labels: bool, d: int = D) -> None:
        rng = np.random.default_rng(seed)
        self.y = np.where(rng.random(n) < 0.15, -1, 0)
        self.task = rng.integers(0, 2, n)
        self.experience = np.arange(n) // 11
        self.loss = rng.random(n).astype(np.float32)
        self.target: NDArray[Any]
        self.prediction: NDArray[Any]
        if labels:
            self.target = rng.random((n, d)) < 0.4
            self.prediction = self.target ^ (rng.random((n, d)) < 0.3)
        else:
            self.target = 1000 + rng.standard_normal((n, d)) * [1, 20][:d]
            self.prediction = self.target + rng.standard_normal((n, d))
            self.prediction[rng.random(n) < 0.1, 0] = rng.choice([np.nan, np.inf, 1e300])

    def cut(self, cuts: Sequence[int]) -> list[Scored]:
        n = len(self.y)
        edges = sorted({0, n, *(c for c in cuts if c < n), *range(0, n, 11)})
        return [self.scored(slice(a, b)) for a, b in pairwise(edges)]

    def scored(self, rows: slice) -> Scored:
        batch = Batch.from_arrays(
            np.zeros((len(self.y), 1)),
            self.y,
            target=self.target,
            task=self.task,
            experience=self.experience,
        ).take(rows)
        probability = np.full(len(batch), np.nan, np.float32)
        return Scored(batch, self.prediction[rows], probability, self.loss[rows])


def records(scored: Sequence[Scored], **settings: Any) -> list[Record]:
    reports = list(Prequential(**{**SETTINGS, **settings})(scored))
    return [record for report in reports for record in report.metrics]


# -- numbers: the slow way --------------------------------------------------------------------


def regression(target: Any, prediction: Any, weight: Sequence[float] | None = None) -> Record:
    """Score one output, row by row."""
    w = [1.0] * len(target) if weight is None else list(weight)
    total = math.fsum(w)
    if not total:
        return dict.fromkeys(("mae", "mse", "rmse", "r2"))
    rows = list(zip(w, target, prediction, strict=True))
    mean = math.fsum(a * y for a, y, _ in rows) / total
    squared = math.fsum(a * (y - p) ** 2 for a, y, p in rows)
    spread = math.fsum(a * (y - mean) ** 2 for a, y, _ in rows)
    return {
        "mae": math.fsum(a * abs(y - p) for a, y, p in rows) / total,
        "mse": squared / total,
        "rmse": math.sqrt(squared / total),
        "r2": 1 - squared / spread if len(rows) > 1 else None,
    }


def mean_over(each: Sequence[Record]) -> Record:
    found: Record = {}
    for key in each[0]:
        values = [scores[key] for scores in each if scores[key] is not None]
        found[key] = sum(values) / len(values) if values else None
    return found


def number_record(stream: Stream, end: int) -> Record:
    """Score all rows before one."""
    known = [i for i in range(end) if stream.y[i] == 0]
    said = [i for i in known if (abs(stream.prediction[i]) < 1e38).all()]
    window = [i for i in said if i in known[-5:]]
    d = range(stream.target.shape[1])

    def scores(rows: Sequence[int], weight: Sequence[float] | None = None) -> list[Record]:
        return [regression(stream.target[rows, j], stream.prediction[rows, j], weight) for j in d]

    fading = [0.9 ** (len(said) - 1 - i) for i in range(len(said))]
    record: Record = {
        "rows": len(known),
        "unlabelled": end - len(known),
        "unpredicted": len(known) - len(said),
    }
    total, recent = mean_over(scores(said)), mean_over(scores(window))
    faded = mean_over(scores(said, fading))
    for key in total:
        record |= {key: total[key], f"{key}_window": recent[key], f"{key}_fading": faded[key]}
    means = [stream.target[known[:i]].mean(axis=0) for i in range(1, len(known))]
    for name, guesses in (
        ("no_change", [stream.target[i] for i in known[:-1]]),
        ("mean", means),
    ):
        found: Record = {}
        for key, first in (("", 1), ("_window", max(1, len(known) - 5))):
            rows = known[first:]
            part = [
                regression(stream.target[rows, j], [g[j] for g in guesses[first - 1 :]]) for j in d
            ]
            found |= {f"{score}{key}": mean_over(part)[score] for score in ("mae", "rmse")}
        record[name] = found
    if len(d) > 1:
        record["by_output"] = dict(enumerate(scores(said)))
    return record


def assert_close(got: Any, want: Any) -> None:
    if isinstance(want, dict):
        for key in want:
            assert_close(got[key], want[key])
    elif isinstance(want, float):
        assert got == pytest.approx(want, rel=1e-9, abs=1e-9)
    else:
        assert got == want


@pytest.mark.parametrize("d", [1, 2])
@given(st.integers(0, 1 << 30), st.integers(3, 50), st.lists(st.integers(1, 50), max_size=9))
def test_numbers_match_the_reference(d: int, seed: int, n: int, cuts: list[int]) -> None:
    stream = Stream(seed, n, labels=False, d=d)
    for record in records(stream.cut(cuts)):
        assert_close(record, number_record(stream, record["position"]))


# -- labels: the slow way ---------------------------------------------------------------------


def multilabel(
    target: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    weight: Sequence[float] | None = None,
) -> Record:
    n, d = target.shape
    w = [1.0] * n if weight is None else list(weight)
    total = math.fsum(w)
    cells = [[0.0] * 3 for _ in range(d)]
    for a, true, said in zip(w, target.tolist(), prediction.tolist(), strict=True):
        for j in range(d):
            cells[j][0] += a * (true[j] and said[j])
            cells[j][1] += a * (said[j] and not true[j])
            cells[j][2] += a * (true[j] and not said[j])
    exact = math.fsum(a for a, t, p in zip(w, target, prediction, strict=True) if (t == p).all())
    hit, false, missed = (math.fsum(c[k] for c in cells) for k in range(3))
    f1 = [2 * c[0] / (2 * c[0] + c[1] + c[2]) for c in cells if sum(c)]
    return {
        "exact_match": exact / total if total else None,
        "hamming_loss": (false + missed) / (total * d) if total else None,
        "f1_micro": 2 * hit / (2 * hit + false + missed) if hit + false + missed else None,
        "f1_macro": sum(f1) / len(f1) if f1 else None,
    }


def label_record(stream: Stream, end: int) -> Record:
    known = [i for i in range(end) if stream.y[i] == 0]
    window, n = known[-5:], len(known)
    target, d = stream.target, stream.target.shape[1]
    record: Record = {"rows": n, "unlabelled": end - n}
    fading = [0.9 ** (n - 1 - i) for i in range(n)]
    total = multilabel(target[known], stream.prediction[known])
    recent = multilabel(target[window], stream.prediction[window])
    faded = multilabel(target[known], stream.prediction[known], fading)
    for key in total:
        record |= {key: total[key], f"{key}_window": recent[key], f"{key}_fading": faded[key]}
    last = np.zeros((n, d), bool)
    majority = np.zeros((n, d), bool)
    for i in range(1, n):
        last[i] = target[known[i - 1]]
        majority[i] = target[known[:i]].sum(axis=0) > i / 2
    for name, guesses in (("no_change", last), ("majority", majority)):
        whole, late = multilabel(target[known], guesses), multilabel(target[window], guesses[-5:])
        record[name] = whole | {f"{key}_window": value for key, value in late.items()}
    losses = stream.loss[known].astype(float)
    record["loss"] = math.fsum(losses) / n if n else None
    record["loss_window"] = math.fsum(losses[-5:]) / len(window) if n else None
    record["by_label"] = {}
    for j in range(d):
        true, said = target[known, j], stream.prediction[known, j]
        hits = int((true & said).sum())
        record["by_label"][j] = {
            "rows": int(true.sum()),
            "precision": hits / int(said.sum()) if said.any() and true.any() else None,
            "recall": hits / int(true.sum()) if true.any() else None,
        }
    return record


@given(st.integers(0, 1 << 30), st.integers(3, 50), st.lists(st.integers(1, 50), max_size=9))
def test_labels_match_the_reference(seed: int, n: int, cuts: list[int]) -> None:
    stream = Stream(seed, n, labels=True)
    for record in records(stream.cut(cuts)):
        assert_close(record, label_record(stream, record["position"]))


# -- both -------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [False, True])
@given(st.integers(0, 99), st.lists(st.integers(1, 60), max_size=12), st.sampled_from([1, 7, 1000]))
def test_any_cut_gives_the_same_digits(
    labels: bool, seed: int, cuts: list[int], every: int
) -> None:
    stream = Stream(seed, 60, labels=labels)
    whole = records(stream.cut([]), report_every=every)
    assert records(stream.cut(cuts), report_every=every) == whole
    json.dumps(whole, allow_nan=False)


@pytest.mark.parametrize("labels", [False, True])
def test_a_resume_anywhere_gives_the_same_digits(labels: bool) -> None:
    scored = Stream(1, 60, labels=labels).cut([3, 8, 20, 21, 40])
    want = records(scored)
    for cut in range(len(scored) + 1):
        first = Prequential(**SETTINGS)
        got: list[Record] = []
        for part in scored[:cut]:
            got += next(iter(first([part]))).metrics
        second = Prequential(**SETTINGS)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        got += [r for report in second(scored[cut:]) for r in report.metrics]
        assert got == want, cut


@pytest.mark.parametrize("labels", [False, True])
def test_groups_add_up(labels: bool) -> None:
    stream = Stream(2, 60, labels=labels)
    last = records(stream.cut([]))[-1]
    name = "exact_match" if labels else "mae"
    said = stream.y == 0
    if not labels:
        said &= (np.abs(stream.prediction) < 1e38).all(axis=1)
    for by, column in (("by_task", stream.task), ("by_experience", stream.experience)):
        for group, scores in last[by].items():
            rows = said & (column == group)
            part = stream.target[rows], stream.prediction[rows]
            each = (part[0] == part[1]).all(1) if labels else np.abs(part[0] - part[1]).mean(1)
            assert scores["rows"] == rows.sum()
            assert scores[name] == pytest.approx(each.mean())
            assert type(scores["rows_recent"]) is int


def test_rivers_metrics_say_the_same() -> None:
    stream = Stream(3, 60, labels=False, d=1)
    keep = (stream.y == 0) & (np.abs(stream.prediction) < 1e38).all(axis=1)
    river: Any = metrics  # whose constructors are not typed
    theirs = {"mae": river.MAE(), "mse": river.MSE(), "rmse": river.RMSE(), "r2": river.R2()}
    for y, p in zip(
        stream.target[keep, 0].tolist(), stream.prediction[keep, 0].tolist(), strict=True
    ):
        for metric in theirs.values():
            metric.update(y, p)
    last = records(stream.cut([]))[-1]
    for name, metric in theirs.items():
        assert last[name] == pytest.approx(metric.get(), rel=1e-9)


def test_rivers_metrics_of_labels_say_the_same() -> None:
    stream = Stream(4, 60, labels=True, d=3)
    river: Any = metrics
    exact = river.multioutput.ExactMatch()
    micro = river.multioutput.MicroAverage(river.F1())
    for y, true, said in zip(
        stream.y, stream.target.tolist(), stream.prediction.tolist(), strict=True
    ):
        if y == 0:
            for metric in (exact, micro):
                metric.update(dict(enumerate(true)), dict(enumerate(said)))
    last = records(stream.cut([]))[-1]
    assert last["exact_match"] == pytest.approx(exact.get())
    assert last["f1_micro"] == pytest.approx(micro.get())


@pytest.mark.parametrize("value", [0.1, 1 / 3, 12345.6789])
def test_a_constant_target_has_no_r2(value: float) -> None:
    """Its mean is not quite the value, after rounding."""
    batch = Batch.from_arrays(np.zeros((40, 1)), target=np.full(40, value))
    said = np.full((40, 1), value + 0.5)
    nothing = np.full(40, np.nan, np.float32)
    found = records([Scored(batch, said, nothing, nothing)], report_every=1)
    assert len(found) == 41
    for record in found:
        assert (record["r2"], record["r2_window"], record["r2_fading"]) == (None, None, None)
        assert record["mae"] == pytest.approx(0.5)


def test_one_kind_a_stream() -> None:
    numbers, labels = (Stream(0, 5, labels=kind).scored(slice(0, 5)) for kind in (False, True))
    with pytest.raises(
        ValueError, match=r"predictions are of numbers\[2\] so far, got labels\[2\]"
    ):
        list(Prequential()([numbers, labels]))
    narrow = Stream(0, 5, labels=False, d=1).scored(slice(0, 5))
    with pytest.raises(ValueError, match=r"of numbers\[2\] so far, got numbers\[1\]"):
        list(Prequential()([numbers, narrow]))
    batch = Batch.from_arrays([[0.0]], [0], start=5)
    classes = Scored(batch, np.array([0]), np.ones(1, "f4"), np.zeros(1, "f4"))
    with pytest.raises(ValueError, match=r"of numbers\[2\] so far, got classes\[\]"):
        list(Prequential()([numbers, classes]))


# -- retention --------------------------------------------------------------------------------


def rounds(offs: list[list[float]]) -> list[Record]:
    """Test after each experience; offs[i][j] is how far off experience j's rows are then."""
    n = len(offs)
    test = Batch.from_arrays(
        np.zeros((2 * n, 1)),
        target=np.arange(2 * n) + 0.0,
        experience=np.repeat(np.arange(n), 2),
    )
    rows = [Batch.from_arrays([[0.0]], target=[1.0], start=i, experience=i) for i in range(n)]
    scored, turn = [], -1
    for batch in Holdout(test)(rows):
        nothing = np.full(len(batch), np.nan, np.float32)
        said = np.zeros((len(batch), 1))
        if batch.held_out and batch.target is not None:
            turn += 1
            said = batch.target + np.array(offs[turn])[batch.experience][:, None]
        scored.append(Scored(batch, said, nothing, nothing))
    stage = Prequential()
    found = [r for report in stage(scored) for r in report.metrics if r["kind"] == "retention"]
    assert stage.R[2].tolist() == offs
    return found


def test_retention_of_numbers_goes_by_the_error() -> None:
    first, _, last = rounds([[1.0, 9.0, 9.0], [4.0, 2.0, 9.0], [2.0, 5.0, 1.0]])
    assert (first["rows"], first["mae"]) == (6, pytest.approx(19 / 3))
    assert first["forgetting"] is None
    assert last["average_mae"] == pytest.approx(8 / 3)
    assert last["forgetting"] == pytest.approx(((2 - 1) + (5 - 2)) / 2)
    assert last["backward_transfer"] == pytest.approx(-((2 - 1) + (5 - 2)) / 2)
    assert {j: s["mae"] for j, s in last["by_experience"].items()} == {0: 2.0, 1: 5.0, 2: 1.0}
    assert last["by_experience"][2]["r2"] == pytest.approx(1 - 2 / 0.5)
    assert "class_forgetting" not in last


def test_a_test_set_of_another_kind_is_refused() -> None:
    test = Batch.from_arrays([[0.0]], target=[1.0])
    with pytest.raises(
        ConfigError, match=r"test rows have targets float64\[1, 1\], the stream has cl"
    ):
        list(Holdout(test)([Batch.from_arrays([[0.0]], [0])]))


def test_a_state_of_another_kind_takes_over() -> None:
    numbers = Prequential(**SETTINGS)
    list(numbers(Stream(0, 9, labels=False).cut([])))
    fresh = Prequential(**SETTINGS)
    fresh.load_state_dict(numbers.state_dict())
    assert fresh.summary() == numbers.summary()
    classes = Prequential(**SETTINGS)
    fresh.load_state_dict(classes.state_dict())
    assert fresh.summary() == classes.summary()
    with pytest.raises(CheckpointError, match="window"):
        Prequential(**{**SETTINGS, "window": 9}).load_state_dict(numbers.state_dict())
