"""A drift is where River's detector alone has one, and what it sets off happens once."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from river import drift as river_drift
from river import naive_bayes
from river.base import DriftAndWarningDetector, DriftDetector
from river.datasets import synth

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.evaluation import Detector, DriftMonitor, Prequential
from streamreplay.evaluation.drift.change import find_change
from streamreplay.ingest import ArraySource
from streamreplay.labels import Labels
from streamreplay.learners import RiverLearner
from streamreplay.pipeline import Pipeline
from streamreplay.records import Report, Scored
from streamreplay.safepickle import dump
from tests.contract.digest import plain

Records = list[dict[str, Any]]

drift: Any = river_drift  # its constructors have no types
gaussian: Any = naive_bayes.GaussianNB

DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN": drift.ADWIN,
    "ADWIN(clock)": partial(drift.ADWIN, delta=0.05, clock=1),
    "PageHinkley": partial(drift.PageHinkley, threshold=10),
    "PageHinkley(up)": partial(drift.PageHinkley, threshold=10, mode="up"),
    "KSWIN": partial(drift.KSWIN, 0.05, window_size=40, stat_size=15, seed=1),
    "DDM": drift.binary.DDM,
    "EDDM": drift.binary.EDDM,
    "HDDMA": drift.binary.HDDMA,
    "HDDMA(two)": partial(drift.binary.HDDMA, two_sided_test=True),
    "HDDMW": drift.binary.HDDMW,
    "FHDDM": partial(drift.binary.FHDDM, short_window_size=20),
}
CALM = 100


def scored(hits: Sequence[Any] | NDArray[Any], start: int = 0, **columns: Any) -> Scored:
    """Score rows whose label is 0: right where a hit is true."""
    n = len(hits)
    batch = Batch.from_arrays(np.zeros((n, 1)), np.zeros(n, np.int64), start=start, **columns)
    wrong = 1 - np.asarray(hits, np.int64)
    return Scored(batch, wrong, np.ones(n, np.float32), np.zeros(n, np.float32))


def watch(monitor: DriftMonitor, stream: Iterable[Scored]) -> Records:
    reports = monitor(Report(each) for each in stream)
    return [record for report in reports for record in report.metrics]


def alone(detector: Any, values: Iterable[float]) -> list[tuple[int, str]]:
    """Tell what a detector says of numbers: each drift, and the first of each phase of warnings."""
    found, calm = [], CALM
    for place, value in enumerate(values, 1):
        detector.update(value)
        calm += 1
        if detector.drift_detected:
            found.append((place, "drift"))
            calm = CALM + 1
        elif getattr(detector, "warning_detected", False):
            if calm > CALM:
                found.append((place, "warning"))
            calm = 0
    return found


def changing(n: int, seed: int = 0, every: int = 700) -> NDArray[np.int64]:
    """Draw errors whose rate changes for good or bad."""
    rng = np.random.default_rng(seed)
    rate = np.where(np.arange(n) // every % 2, 0.45, 0.1)
    return (rng.random(n) < rate).astype(np.int64)


def found(records: Records) -> list[tuple[int, str]]:
    return [(record["position"], record["level"]) for record in records]


# -- what a detector says -------------------------------------------------------------------------


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_says_what_it_says_alone_however_the_stream_is_cut(name: str) -> None:
    errors = changing(1400 if name == "KSWIN" else 6000)
    want = alone(DETECTORS[name](), errors.tolist())
    assert any(level == "drift" for _, level in want)
    for size in (1, 32, 5000):
        monitor = DriftMonitor([Detector(DETECTORS[name]())])
        cuts = range(0, len(errors), size)
        records = watch(monitor, [scored(1 - errors[at : at + size], at) for at in cuts])
        assert found(records) == want
        assert monitor.drifts + monitor.warnings == len(want)


@pytest.mark.parametrize("size", [1, 40, 4000])
@pytest.mark.parametrize("on", ["error", "loss"])
def test_a_drift_has_the_means_before_and_after_its_change(on: str, size: int) -> None:
    rate = np.repeat([0.1, 0.6, 0.2], [1500, 600, 900])
    errors = (np.random.default_rng(3).random(3000) < rate).astype(np.int64)
    stream = [
        replace(each, loss=errors[at : at + size].astype("f4"))
        for at in range(0, 3000, size)
        for each in [scored(1 - errors[at : at + size], at)]
    ]
    records = watch(DriftMonitor([Detector(drift.ADWIN(), on)]), stream)
    rose, *_, fell = [each for each in records if abs(each["after"] - each["before"]) > 0.2]
    start = rose["position"] - rose["after_rows"]
    assert abs(start - 1500) < 20
    assert rose["before"] == pytest.approx(errors[start - 1000 + rose["after_rows"] : start].mean())
    assert rose["after"] == pytest.approx(errors[start : rose["position"]].mean())
    start = fell["position"] - fell["after_rows"]
    assert abs(start - 2100) < 20
    assert fell["before"] > 0.5
    assert fell["after"] < 0.3
    first = errors[start - 600 : start]  # none of before the rise is among them
    assert fell["before"] == pytest.approx(first.mean(), abs=0.03)


def test_a_change_is_where_two_means_fit_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random(int(rng.integers(20, 60)))
        halves = [(values[:k], values[k:]) for k in range(10, len(values) - 9)]
        before, after = min(
            halves, key=lambda pair: sum(((half - half.mean()) ** 2).sum() for half in pair)
        )
        assert find_change(values) == pytest.approx((before.mean(), after.mean(), len(after)))
    assert find_change(np.arange(19.0)) == (None, None, None)


@given(cuts=st.lists(st.integers(0, 900), max_size=6), resumed=st.sets(st.integers(0, 6)))
def test_any_cut_and_any_resume_give_the_same(cuts: list[int], resumed: set[int]) -> None:
    errors = changing(900, every=200)
    places = [0, *sorted(cuts), 900]
    make = partial(_three, {})
    monitor, records = make(), []
    for number, (start, stop) in enumerate(pairwise(places)):
        records += watch(monitor, [scored(1 - errors[start:stop], start)])
        if number in resumed:
            state = copy.deepcopy(monitor.state_dict())
            monitor = make()
            monitor.load_state_dict(state)
            assert plain(monitor.state_dict()) == plain(state)
    assert records == watch(make(), [scored(1 - errors)])
    assert {record["name"] for record in records} == {"a", "b", "c"}


def _three(actions: dict[str, Any]) -> DriftMonitor:
    return DriftMonitor(
        [
            Detector(drift.ADWIN(delta=0.05, clock=8), name="a", actions=actions),
            Detector(drift.binary.DDM(), name="b", warning_actions=actions, cooldown=50),
            Detector(drift.PageHinkley(threshold=5), name="c", actions=actions),
        ]
    )


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_survives_thousands_of_numbers_to_the_last_digit(name: str) -> None:
    half = 350 if name == "KSWIN" else 5000
    pattern = Detector(DETECTORS[name]())
    if not pattern.binary:
        pattern = Detector(DETECTORS[name](), "loss")
    errors = changing(2 * half, every=half // 3)
    first, rest = (_noisy_losses(errors[part], part) for part in (slice(half), slice(half, None)))
    unbroken, fresh = DriftMonitor([pattern]), DriftMonitor([pattern])
    watch(unbroken, [first])
    fresh.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    records = watch(fresh, [rest])
    assert records == watch(unbroken, [rest])
    assert records
    assert plain(fresh.state_dict()) == plain(unbroken.state_dict())


def _noisy_losses(errors: NDArray[Any], part: slice) -> Scored:
    made = scored(1 - errors, part.start or 0)
    noise = np.random.default_rng(1).normal(0, 1e-3, len(errors))
    return replace(made, loss=(errors + noise).astype(np.float32))


STREAMS: dict[str, Callable[[int], Any]] = {
    "SEA": lambda width: _drifting(synth.SEA, {"variant": 2}, {"variant": 3}, width),
    "Agrawal": lambda width: _drifting(
        synth.Agrawal, {"classification_function": 0}, {"classification_function": 2}, width
    ),
}


def _drifting(kind: Any, before: dict[str, int], after: dict[str, int], width: int) -> Any:
    return synth.ConceptDriftStream(
        kind(seed=1, **before), kind(seed=2, **after), position=2000, width=width, seed=3
    )


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("width", [20, 500])
def test_planted_drifts_are_found_as_by_the_detectors_alone(stream: str, width: int) -> None:
    rows = list(islice(STREAMS[stream](width).take(4000), 4000))
    x, y = np.array([list(x.values()) for x, _ in rows]), [int(y) for _, y in rows]
    names = ("ADWIN", "PageHinkley(up)", "DDM", "EDDM", "HDDMA", "HDDMW")
    monitor = DriftMonitor([Detector(DETECTORS[name](), name=name) for name in names])
    pipeline = Pipeline(
        ArraySource(x, y, batch_size=32),
        learner=RiverLearner(gaussian()),
        evaluator=Prequential(report_every=500),
        drift=monitor,
    )
    errors: list[bool] = []
    records: Records = []
    for report in pipeline:
        records += report.metrics
        if report.scored is not None:
            errors += (report.scored.prediction != report.scored.incoming.y).tolist()
    assert [r["position"] for r in records] == sorted(r["position"] for r in records)
    delays = {}
    for name in names:
        mine = [record for record in records if record.get("name") == name]
        assert found(mine) == alone(DETECTORS[name](), map(int, errors))
        after = [r["position"] - 2000 for r in mine if r["level"] == "drift"]
        delays[name] = min((delay for delay in after if delay >= -width), default=math.inf)
        false = [record for record in mine if record["position"] < 2000 - width]
        assert sum(record["level"] == "drift" for record in false) <= 1, name
    assert sum(delay <= 300 for delay in delays.values()) >= 4, delays


# -- what it is fed with --------------------------------------------------------------------------


def fed(on: str, stream: Iterable[Scored]) -> dict[str, list[tuple[int, float]]]:
    """Return each number that a signal is, with its row, by what it is of."""
    monitor = DriftMonitor([Detector(Tell(), on)])
    told: dict[str, list[tuple[int, float]]] = {}
    for record in watch(monitor, stream):
        assert record["level"] == "drift"
        told.setdefault(record["on"], []).append((record["position"], record["value"]))
    return told


class Tell(DriftDetector):
    """Finds a drift at every row."""

    def __init__(self) -> None:
        super().__init__()

    def update(self, x: float) -> None:
        assert type(x) in (int, float)
        self._drift_detected = True


def said(x: Any, y: Any, prediction: Any, start: int = 0, **columns: Any) -> Scored:
    batch = Batch.from_arrays(x, y, start=start, **columns)
    n = len(batch)
    loss = np.where(np.arange(n) % 3 == 1, np.nan, np.arange(n) + 0.5).astype(np.float32)
    return Scored(batch, np.asarray(prediction), np.ones(n, np.float32), loss)


X = [[1.0, 10.0], [2.0, np.nan], [3.0, 30.0], [4.0, 40.0]]


def test_the_error_of_classes_is_of_labelled_rows() -> None:
    stream = [said(X, [0, -1, 2, 1], [0, 0, 1, -1]), said(X, [1] * 4, [1] * 4, start=4)]
    assert fed("error", stream) == {
        "error": [(1, 0.0), (3, 1.0), (4, 1.0), (5, 0.0), (6, 0.0), (7, 0.0), (8, 0.0)]
    }


def test_the_error_of_numbers_is_their_distance_and_of_labels_whether_one_is_wrong() -> None:
    target = [[1.0, 2.0], [1.0, 2.0], [np.nan, 0.0], [0.0, 0.0]]
    told = [[2.0, 4.0], [np.nan, np.nan], [0.0, 0.0], [1e300, 0.0]]
    assert fed("error", [said(X, None, told, target=target)]) == {"error": [(1, 1.5)]}
    labels = np.array([[True, False], [True, True], [False, False], [True, True]])
    wrong = np.array([[True, False], [True, False], [True, True], [True, True]])
    stream = [said(X, [0, 0, 0, -1], wrong, target=labels)]
    assert fed("error", stream) == {"error": [(1, 0.0), (2, 1.0), (3, 1.0)]}


def test_the_loss_is_of_rows_that_have_a_finite_one() -> None:
    assert fed("loss", [said(X, [0] * 4, [0] * 4)]) == {"loss": [(1, 0.5), (3, 2.5), (4, 3.5)]}


def test_features_are_of_all_rows_and_found_by_name_or_number() -> None:
    stream = [said(X, [-1] * 4, [0] * 4)]
    second = [(1, 10.0), (3, 30.0), (4, 40.0)]
    assert fed("feature:1", stream) == {"feature:1": second}
    named = [said(X, [-1] * 4, [0] * 4, feature_names=["a", "0"])]
    assert fed("feature:0", named) == {"feature:0": second}
    assert fed("feature:1", named) == {"feature:1": second}
    both = fed("features", named)
    assert both == {"feature:a": [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)], "feature:0": second}
    for name in ("2", "b"):
        with pytest.raises(ConfigError, match=f"drift on feature:{name}: rows have no such column"):
            fed(f"feature:{name}", stream)


def test_images_have_features_by_number() -> None:
    images = np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2)
    assert fed("feature:3", [said(images, [0, 0], [0, 0])]) == {"feature:3": [(1, 3.0), (2, 11.0)]}
    wide = said(np.zeros((2, 101)), [0, 0], [0, 0])
    with pytest.raises(ConfigError, match="at most 100 columns are watched, rows have 101"):
        fed("features", [wide])


def test_a_class_is_one_where_a_row_is_of_it() -> None:
    names = Labels(["cat"])
    stream = [
        said(X, [0, -1, 0, 0], [0] * 4, labels=names),
        said(X, [1, 0, -1, 1], [0] * 4, start=4, labels=names),
    ]

    def grow() -> Iterable[Scored]:
        yield stream[0]
        names.index(7)
        yield stream[1]

    before = [(1, 0.0), (3, 0.0), (4, 0.0)]
    told = fed("label:7", grow())
    assert told == {"label:7": [*before, (5, 1.0), (6, 0.0), (8, 1.0)]}


def test_classes_that_no_row_had_so_far_are_known() -> None:
    names = Labels(["cat"])
    patterns = [
        Detector(drift.ADWIN(), on) for on in ("error", "labels", "label:cat", "label:7", "label:x")
    ]
    monitor = DriftMonitor(patterns)
    assert [each.on for each in monitor.unseen_classes(names)] == ["label:7", "label:x"]
    names.index(7)
    assert [each.on for each in monitor.unseen_classes(names)] == ["label:x"]


def test_each_class_is_looked_at_from_its_first_row_on() -> None:
    stream = [said(X, [0, -1, 0, 0], [0] * 4), said(X, [0, 2, -1, 1], [0] * 4, start=4)]
    zero = [(1, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (6, 0.0), (8, 0.0)]
    want = {"label:0": zero, "label:2": [(6, 1.0), (8, 0.0)], "label:1": [(8, 1.0)]}
    assert fed("labels", stream) == want
    rows = [said([row], [y], [0], start) for start, (row, y) in enumerate(both(stream))]
    assert fed("labels", rows) == want
    many = [said(np.zeros((120, 1)), np.arange(120), np.zeros(120, np.int64))]
    assert len(fed("labels", many)) == 100


@pytest.mark.parametrize("size", [1, 7, 64])
def test_classes_are_looked_at_from_their_first_row_on_at_any_cut(size: int) -> None:
    """Also where their indices do not come in order."""
    y = np.array([2] * 40 + [0, 2, 1, 2] * 10)
    stream = [
        said(np.zeros((len(part), 1)), part, part) for part in np.split(y, range(size, 80, size))
    ]
    want = {
        f"label:{k}": [(row + 1, float(y[row] == k)) for row in range(int((y == k).argmax()), 80)]
        for k in range(3)
    }
    assert fed("labels", stream) == want


def test_labels_of_which_a_row_has_several() -> None:
    labels = np.array([[True, False], [True, True], [False, False], [True, True]])
    stream = [said(X, [0, 0, 0, -1], labels, target=labels, labels=Labels(["a", "b"]))]
    want = {"label:a": [(1, 1.0), (2, 1.0), (3, 0.0)], "label:b": [(1, 0.0), (2, 1.0), (3, 0.0)]}
    assert fed("labels", stream) == want
    assert fed("label:b", stream) == {"label:b": want["label:b"]}
    with pytest.raises(ConfigError, match="drift on label:c: is none of"):
        fed("label:c", stream)
    with pytest.raises(ConfigError, match="rows have numbers to predict, and no labels"):
        fed("labels", [said(X, None, np.zeros((4, 1)), target=np.zeros((4, 1)))])


def both(stream: Sequence[Scored]) -> list[tuple[Any, int]]:
    return [
        (x, int(y))
        for each in stream
        for x, y in zip(each.incoming.x, each.incoming.y, strict=True)
    ]


def test_names_that_read_alike_are_told_apart() -> None:
    stream = [said(X, [0, 1, 1, 0], [0] * 4, labels=Labels([1, "1"]))]
    assert list(fed("labels", stream)) == ["label:1", "label:1'"]


# -- what follows ---------------------------------------------------------------------------------


class Scripted(DriftAndWarningDetector):
    """Says what it is told: 1 is a warning, 2 a drift."""

    def __init__(self) -> None:
        super().__init__()

    def update(self, x: float) -> None:
        self._warning_detected, self._drift_detected = x == 1, x == 2


def script(levels: Sequence[int], start: int = 0) -> Scored:
    return replace(scored([1] * len(levels), start), loss=np.array(levels, np.float32))


def test_a_phase_of_warning_is_told_once() -> None:
    levels = [0, 1, 1, 0, 1, *[0] * 99, 1, *[0] * 100, 1, 2, 1, 1]
    records = watch(DriftMonitor([Detector(Scripted(), "loss")]), [script(levels)])
    assert found(records) == [(2, "warning"), (206, "warning"), (207, "drift"), (208, "warning")]


def test_after_a_drift_there_is_quiet_and_after_a_warning_no_other_one() -> None:
    levels = [1, 2, 2, 0, 0, 2, 1, 0, 0, 0, 2]
    make = partial(Detector, Scripted(), "loss")
    for cooldown, want in (
        (0, [1, 2, 3, 6, 7, 11]),
        (3, [1, 2, 6, 11]),
        (4, [1, 2, 7, 11]),
        (9, [1, 2]),
    ):
        records = watch(DriftMonitor([make(cooldown=cooldown)]), [script(levels)])
        assert [record["position"] for record in records] == want, cooldown
    phases = [1, *[0] * 101, 1, *[0] * 101, 1]
    for cooldown, want in ((0, [1, 103, 205]), (102, [1, 205]), (300, [1])):
        records = watch(DriftMonitor([make(cooldown=cooldown)]), [script(phases)])
        assert [record["position"] for record in records] == want, cooldown


def test_the_quiet_is_one_for_all_columns() -> None:
    monitor = DriftMonitor([Detector(Tell(), "features", cooldown=3)])
    records = watch(monitor, [said(X, [0] * 4, [0] * 4), said(X, [0] * 4, [0] * 4, start=4)])
    assert [(r["position"], r["on"]) for r in records] == [(1, "feature:0"), (5, "feature:0")]


def test_actions_are_carried_out_in_order_of_the_rows_and_once() -> None:
    done: list[tuple[str, int]] = []

    def note(name: str) -> dict[str, Any]:
        return {name: lambda record: done.append((name, record["position"]))}

    monitor = DriftMonitor(
        [
            Detector(Scripted(), "loss", "x", note("a") | note("b"), note("w")),
            Detector(Scripted(), "label:1", "y", note("c")),
            Detector(Tell(), "feature:0", "z", note("d"), cooldown=3),
        ]
    )
    reports = monitor([Report(script([0, 2, 1])), Report(None), Report(script([0, 0, 2], 3))])
    assert done == []
    records = list(next(reports).metrics)
    assert done == [("d", 1), ("a", 2), ("b", 2), ("w", 3)]
    assert [record["actions"] for record in records] == [["d"], ["a", "b"], ["w"]]
    assert records[1] == {
        "kind": "drift",
        "position": 2,
        "experience": 0,
        "level": "drift",
        "name": "x",
        "detector": "Scripted",
        "on": "loss",
        "value": 2.0,
        "before": None,  # of fewer than 20 numbers nothing is known
        "after": None,
        "after_rows": None,
        "actions": ["a", "b"],
    }
    assert [*next(reports).metrics, *next(reports).metrics][-1]["position"] == 6
    assert done[4:] == [("d", 5), ("a", 6), ("b", 6)]
    assert (monitor.drifts, monitor.warnings) == (4, 1)


def test_records_stand_among_those_of_the_evaluator_by_position() -> None:
    stream = [script([0, 2, 0, 2, 2, 0]), script([2], 6)]
    stream[1] = replace(stream[1], incoming=replace(stream[1].incoming, experience=np.array([1])))
    reports = DriftMonitor([Detector(Scripted(), "loss")])(Prequential(report_every=4)(stream))
    records = [[(r["kind"][0], r["position"], r["experience"]) for r in x.metrics] for x in reports]
    assert records == [
        [("d", 2, 0), ("p", 4, 0), ("d", 4, 0), ("d", 5, 0)],
        [("p", 6, 0), ("d", 7, 1)],
        [("p", 7, 1)],
    ]


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Detector(drift.ADWIN(), "errors"), "on must be error, loss, .*, got 'errors'"),
        (lambda: Detector(drift.ADWIN(), "label:"), "on must be error, loss, .*, got 'label:'"),
        (lambda: Detector(drift.ADWIN(), cooldown=-1), "cooldown must be at least 0, got -1"),
        (lambda: Detector(drift.binary.DDM(), "loss"), "DDM takes 0 and 1: on must be .* 'loss'"),
        (lambda: Detector(drift.KSWIN()), r"KSWIN draws .* give it a seed, as KSWIN\(seed=1\)"),
        (
            lambda: Detector(drift.ADWIN(), warning_actions={"a": print}),
            "ADWIN gives no warnings, got warning_actions",
        ),
        (
            lambda: DriftMonitor([Detector(drift.ADWIN()), Detector(drift.ADWIN(0.1))]),
            "each detector must have its own name, got 'adwin-error' twice",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_only_detectors_of_river_detect() -> None:
    with pytest.raises(TypeError, match=r"must be one of river\.drift, got GaussianNB"):
        Detector(gaussian())


def test_the_error_of_numbers_is_not_for_detectors_of_0_and_1() -> None:
    stream = [said(X, None, np.zeros((4, 1)), target=np.zeros((4, 1)))]
    with pytest.raises(ConfigError, match="drift ddm-error: DDM takes 0 and 1, and the error"):
        watch(DriftMonitor([Detector(drift.binary.DDM())]), stream)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Detector(drift.ADWIN(0.1), name="a"),
            "a.watches.error.delta: saved 0.002, this pipeline has 0.1",
        ),
        (Detector(drift.binary.DDM(), name="a"), "a.detector: saved ADWIN, this pipeline has DDM"),
        (Detector(drift.ADWIN(), "loss", "a"), "a.on: saved error, this pipeline has loss"),
        (Detector(drift.ADWIN(), name="b"), r"monitors: saved \['a'\], this pipeline has \['b'\]"),
    ],
)
def test_a_state_of_another_detector_is_refused(other: Detector, message: str) -> None:
    monitor = DriftMonitor([Detector(drift.ADWIN(), name="a")])
    watch(monitor, [scored([1, 0, 1])])
    with pytest.raises(CheckpointError, match=f"^{message}"):
        DriftMonitor([other]).load_state_dict(monitor.state_dict())


class Bomb:
    """Would run code if a state with it were unpickled."""

    def __reduce__(self) -> Any:
        return print, ("boom",)


@pytest.mark.parametrize("bytes_", [dump([drift.ADWIN()]), dump(drift.PageHinkley())])
def test_a_state_holds_its_detector_and_nothing_else(bytes_: NDArray[np.uint8]) -> None:
    monitor = DriftMonitor([Detector(drift.ADWIN(), name="a")])
    watch(monitor, [scored([1])])
    state = monitor.state_dict()
    state["monitors"]["a"]["watches"]["error"]["detector"] = bytes_
    with pytest.raises(
        CheckpointError, match=r"^a\.watches.error.(detector: saved list|cannot be loaded: river)"
    ):
        DriftMonitor([Detector(drift.ADWIN(), name="a")]).load_state_dict(state)


def test_a_state_runs_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = DriftMonitor([Detector(drift.ADWIN(), name="a")])
    watch(monitor, [scored([1])])
    state = monitor.state_dict()
    bomb = np.frombuffer(pickle.dumps(Bomb()), np.uint8)
    state["monitors"]["a"]["watches"]["error"]["detector"] = bomb
    with pytest.raises(CheckpointError, match=r"builtins\.print is not allowed"):
        DriftMonitor([Detector(drift.ADWIN(), name="a")]).load_state_dict(state)
    assert capsys.readouterr().out == ""
