"""River's metrics by name, against River's own objects fed row by row."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import river.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from river import utils
from river.metrics.base import MultiClassMetric, RegressionMetric

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.evaluation import Prequential
from streamreplay.evaluation.river_metrics.confusion_metrics import pair, unpair
from streamreplay.evaluation.river_metrics.river_scores import class_index
from streamreplay.labels import Labels
from streamreplay.records import Report, Scored

metrics: Any = river.metrics  # which has no types of its own
multioutput: Any = metrics.multioutput

SETTINGS: dict[str, Any] = {"report_every": 60, "window": 35, "fading": 0.97}
PARAMETERS: dict[str, dict[str, Any]] = {
    "FBeta": {"beta": 0.5},
    "MacroFBeta": {"beta": 0.5},
    "MicroFBeta": {"beta": 2},
    "WeightedFBeta": {"beta": 0.5},
    "MultiFBeta": {
        "betas": {0: 0.25, 1: 1, 2: 4, 3: 1},
        "weights": {0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25},
    },
}
NO_NUMBER = {"ClassificationReport", "ConfusionMatrix", "Silhouette"}
NOT_THERE = {"ClusteringReport"}  # River's own list names it


def kinds(base: type, *, labels: bool | None = None) -> list[str]:
    """Name River's metrics of a kind."""
    found = []
    for name in sorted(set(metrics.__all__) - NO_NUMBER - NOT_THERE):
        kind = getattr(metrics, name)
        if inspect.isclass(kind) and issubclass(kind, base):
            made = make(name)
            if labels is None or made.requires_labels is labels:
                found.append(name)
    return found


def make(name: str) -> Any:
    return getattr(metrics, name)(**PARAMETERS.get(name, {}))


def batches(
    n: int,
    size: int,
    *,
    classes: int = 2,
    seed: int = 0,
    prepare: Callable[[dict[str, NDArray[Any]]], object] = len,
) -> list[Scored]:
    """Score rows by lot; some have no label, and of some nothing is predicted."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    said = np.where(rng.random(n) < 0.6, y, rng.integers(0, classes, n))
    probability = rng.uniform(1 / classes, 1, n).astype(np.float32)
    said[:3], probability[:3] = -1, np.nan
    y[rng.random(n) < 0.1] = -1
    columns = {
        "y": y,
        "said": said,
        "probability": probability,
        "loss": np.where(y < 0, np.nan, rng.exponential(size=n)).astype(np.float32),
        "task": rng.integers(0, 2, n),
        "experience": np.arange(n) // 100,
    }
    prepare(columns)
    return cut(columns, size)


def cut(columns: dict[str, NDArray[Any]], size: int) -> list[Scored]:
    found = []
    n = len(columns["y"])
    for start in range(0, n, 100):
        edges = [*range(start, min(start + 100, n), size), min(start + 100, n)]
        for a, b in pairwise(edges):
            part = {name: column[a:b] for name, column in columns.items()}
            batch = Batch.from_arrays(
                np.zeros((b - a, 1)),
                part["y"],
                start=a,
                task=part["task"],
                experience=part["experience"],
                target=part.get("target"),
            )
            found.append(Scored(batch, part["said"], part["probability"], part["loss"]))
    return found


def records(reports: Iterator[Report]) -> list[dict[str, Any]]:
    return [record for report in reports for record in report.metrics]


Row = tuple[int, int, float, float]  # label, prediction, probability, loss


def rows_before(scored: Sequence[Scored], position: int, by: str = "", group: int = 0) -> list[Row]:
    """Return the labelled rows before a position, or those of one task or experience."""
    found = []
    for each in scored:
        batch = each.incoming
        ids = batch.task if by == "task" else batch.experience
        columns = batch.y, each.prediction, each.probability, each.loss, batch.t, ids
        found += [
            (y, said, p, loss)
            for y, said, p, loss, t, own in zip(*(c.tolist() for c in columns), strict=True)
            if y >= 0 and t < position and (not by or own == group)
        ]
    return found


def fed_by_row(metric: Any, rows: Sequence[Any], fading: float = 1.0) -> float | None:
    """Feed River's own object one row after the other; the newest has weight 1."""
    said = [row for row in rows if row[1] >= 0]
    if not said:
        return None
    for age, (y, prediction, probability, loss) in zip(
        range(len(said) - 1, -1, -1), said, strict=True
    ):
        if isinstance(metric, metrics.CrossEntropy):
            told: Any = y, {y: math.exp(-loss)}
        elif metric.requires_labels:
            told = y, prediction
        else:
            told = y == 1, probability if prediction == 1 else 1 - probability
        if fading == 1:
            metric.update(*told)
        else:
            metric.update(*told, w=fading**age)
    value = float(metric.get())
    return value if math.isfinite(value) else None


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("size", [1, 64])
def test_every_metric_of_a_confusion_matrix_gives_rivers_figure(classes: int, size: int) -> None:
    names = kinds(metrics.base.ClassificationMetric, labels=True)
    assert len(names) > 30
    stream = batches(260, size, classes=classes)
    got = records(Prequential(**SETTINGS, metrics=[make(name) for name in names])(stream))
    assert [record["position"] for record in got] == [60, 100, 120, 180, 200, 240, 260]
    for record in got:
        check_views(record, rows_before(stream, record["position"]), names)


def check_views(record: dict[str, Any], past: list[Row], names: Sequence[str]) -> None:
    found = record["metrics"]
    assert list(found) == [name + view for name in names for view in ("", "_window", "_fading")]
    for name in names:
        assert found[name] == fed_by_row(make(name), past), name
        recent = fed_by_row(make(name), past[-SETTINGS["window"] :])
        assert found[f"{name}_window"] == recent, name
        faded = None
        if make(name).works_with_weights:
            faded = pytest.approx(fed_by_row(make(name), past, SETTINGS["fading"]), rel=1e-9)
        assert found[f"{name}_fading"] == faded, name


PROBABLE = ["ROCAUC", "LogLoss", "CrossEntropy", "RollingROCAUC", "RollingPRAUC"]


@pytest.mark.parametrize("size", [1, 64])
def test_every_metric_of_probabilities_gives_rivers_figure(size: int) -> None:
    assert set(kinds(metrics.base.ClassificationMetric, labels=False)) == set(PROBABLE)
    stream = batches(260, size)
    got = records(Prequential(**SETTINGS, metrics=[make(name) for name in PROBABLE])(stream))
    for record in got:
        check_views(record, rows_before(stream, record["position"]), PROBABLE)


@pytest.mark.parametrize("thresholds", [3, 40])
def test_any_number_of_thresholds(thresholds: int) -> None:
    def put_some_on_the_threshold(columns: dict[str, NDArray[Any]]) -> None:
        columns["probability"][10:80] = 0.5

    stream = batches(260, 20, prepare=put_some_on_the_threshold)
    evaluator = Prequential(metrics=[metrics.ROCAUC(n_thresholds=thresholds)])
    (*_, record) = records(evaluator(stream))
    want = fed_by_row(metrics.ROCAUC(n_thresholds=thresholds), rows_before(stream, 260))
    assert record["metrics"]["ROCAUC"] == want


def test_groups_have_the_metrics_of_their_rows() -> None:
    names = ["CohenKappa", "F1", "AdjustedMutualInfo", *PROBABLE]
    stream = batches(260, 64)
    got = records(Prequential(**SETTINGS, metrics=[make(name) for name in names])(stream))
    assert sorted(got[-1]["by_experience"]) == [0, 1, 2]
    for record in got:
        for by in ("task", "experience"):
            for group, entry in record.get(f"by_{by}", {}).items():
                own = rows_before(stream, record["position"], by, group)
                want = {name: fed_by_row(make(name), own) for name in names}
                assert entry["metrics"] == want, (by, group)


def test_a_group_that_nothing_was_predicted_of_has_no_figure() -> None:
    def hide(columns: dict[str, NDArray[Any]]) -> None:
        columns["said"][columns["task"] == 1] = -1

    evaluator = Prequential(metrics=[metrics.Accuracy(), metrics.RollingROCAUC()])
    (*_, record) = records(evaluator(batches(100, 10, prepare=hide)))
    assert record["by_task"][1]["metrics"] == {"Accuracy": None, "RollingROCAUC": None}
    assert record["by_task"][0]["metrics"]["Accuracy"] > 0.5


def test_before_the_first_prediction_there_is_no_figure() -> None:
    def hide(columns: dict[str, NDArray[Any]]) -> None:
        columns["said"][:] = -1

    names = [*kinds(metrics.base.ClassificationMetric)]
    evaluator = Prequential(metrics=[make(name) for name in names])
    (*_, record) = records(evaluator(batches(50, 10, prepare=hide)))
    assert set(record["metrics"].values()) == {None}


def test_a_third_class_leaves_metrics_of_two_without_a_figure() -> None:
    names = ["ROCAUC", "LogLoss", "RollingROCAUC", "CrossEntropy", "F1"]
    evaluator = Prequential(metrics=[make(name) for name in names])
    (*_, record) = records(evaluator(batches(100, 10, classes=3)))
    found = record["metrics"]
    assert [name for name in names if found[name] is None] == names[:3]
    assert record["by_task"][0]["metrics"]["ROCAUC"] is None
    assert record["by_task"][0]["metrics"]["F1"] is not None


UNDEFINED = {  # by labels and predictions that do not change: what has no figure
    (1, 1): {"ROCAUC", "MCC", "CohenKappa", "RollingROCAUC", "RollingPRAUC"},
    (0, 0): {
        *("ROCAUC", "MCC", "CohenKappa", "RollingROCAUC", "RollingPRAUC"),
        *("Precision", "Recall", "F1", "Jaccard", "FBeta"),
    },
    (0, 1): {"ROCAUC", "MCC", "RollingROCAUC", "RollingPRAUC", "Recall"},
    (1, 0): {"ROCAUC", "MCC", "RollingROCAUC", "RollingPRAUC", "Precision"},
}


@pytest.mark.parametrize(("label", "said"), UNDEFINED)
def test_what_is_undefined_is_null(label: int, said: int) -> None:
    def fix(columns: dict[str, NDArray[Any]]) -> None:
        columns["y"][:], columns["said"][:], columns["probability"][:] = label, said, 0.75

    names = ["ROCAUC", "RollingROCAUC", "RollingPRAUC", "MCC", "CohenKappa", "Precision"]
    names += ["Recall", "F1", "Jaccard", "FBeta", "Accuracy", "LogLoss", "MacroF1"]
    evaluator = Prequential(**SETTINGS, metrics=[make(name) for name in names])
    *_, record = records(evaluator(batches(120, 10, prepare=fix)))
    groups = record["by_task"].values()
    for figures, view in (
        (record["metrics"], ""),
        (record["metrics"], "_window"),
        *((each["metrics"], "") for each in groups),
    ):
        none = {name for name in names if figures[f"{name}{view}"] is None}
        assert none == UNDEFINED[label, said]
    assert record["metrics"]["Precision_fading"] == record["metrics"]["Precision"]


@pytest.mark.parametrize("kind", ["RollingROCAUC", "RollingPRAUC"])
@pytest.mark.parametrize("size", [1, 7])
def test_a_rolling_metric_has_a_figure_while_both_classes_are_in_its_window(
    kind: str, size: int
) -> None:
    def fix(columns: dict[str, NDArray[Any]]) -> None:
        columns["y"][:], columns["said"][:] = 0, 1
        columns["y"][20], columns["probability"][:] = 1, np.linspace(0.5, 1, 100)

    evaluator = Prequential(report_every=1, metrics=[getattr(metrics, kind)(window_size=10)])
    got = records(evaluator(batches(100, size, prepare=fix)))
    with_figure = [r["position"] for r in got if r["metrics"][kind] is not None]
    assert with_figure == list(range(21, 31))


def test_r2_of_one_target_is_null() -> None:
    stream = [
        replace(each, incoming=replace(each.incoming, target=np.ones((len(each.incoming.y), 1))))
        for each in numbers(40, 10)
    ]
    *_, record = records(Prequential(metrics=[metrics.R2()])(stream))
    assert record["metrics"]["R2"] is None


def named(stream: Iterable[Scored], labels: Labels | None) -> Iterator[Scored]:
    for scored in stream:
        yield replace(scored, incoming=replace(scored.incoming, labels=labels))


class TestPositive:
    def test_any_class_can_be_the_positive_one(self) -> None:
        # River counts rows as positive or not, and looks for them under the class's own name:
        # here it is told of booleans
        stream = batches(260, 64, classes=3)
        rows = [(y == 2, said == 2) for y, said, *_ in rows_before(stream, 260) if said >= 0]
        want = metrics.F1()
        for row in rows:
            want.update(*row)
        for positive, names in ((2, None), ("c", Labels(["a", "b", "c"]))):
            evaluator = Prequential(metrics=[metrics.F1(pos_val=positive)])
            (*_, record) = records(evaluator(named(stream, names)))
            assert record["metrics"]["F1"] == want.get()

    def test_each_metric_has_its_own(self) -> None:
        stream = batches(260, 64)
        named = {"up": metrics.Recall(pos_val=1), "down": metrics.Recall(pos_val=0)}
        (*_, record) = records(Prequential(metrics=named)(stream))
        assert list(record["metrics"])[::3] == ["up", "down"]
        classes = record["by_class"]
        said = [row for row in rows_before(stream, 260) if row[1] >= 0]
        for name, label in (("up", 1), ("down", 0)):
            own = [row[1] == label for row in said if row[0] == label]
            assert record["metrics"][name] == sum(own) / len(own)
        assert classes[0]["rows"] != classes[1]["rows"]

    @pytest.mark.parametrize("kind", [metrics.ROCAUC, metrics.RollingROCAUC, metrics.LogLoss])
    def test_of_probabilities(self, kind: Any) -> None:
        stream = batches(260, 64)
        metric = kind() if kind is metrics.LogLoss else kind(pos_val=True)
        evaluator = Prequential(metrics=[metric])
        (*_, record) = records(evaluator(named(stream, Labels(["true", "false"]))))
        want = kind()
        for y, said, p, _ in rows_before(stream, 260):
            if said >= 0:
                want.update(y == 0, p if said == 0 else 1 - p)
        assert record["metrics"][kind.__name__] == want.get()

    def test_a_name_that_has_not_come_yet(self) -> None:
        evaluator = Prequential(metrics=[metrics.F1(pos_val="c")])
        (*_, record) = records(evaluator(named(batches(50, 10), Labels(["a", "b"]))))
        assert record["metrics"]["F1"] is None

    @pytest.mark.parametrize(
        ("positive", "names", "index"),
        [
            (True, None, 1),
            (False, None, 0),
            (3, None, 3),
            ("UP", None, None),
            (True, ["DOWN", "UP"], 1),
            (False, ["DOWN", "UP"], 0),
            (True, ["True", "False"], 0),
            (True, [1, 0], 0),
            (False, [1, 0], 1),
            (True, ["a", "0", "1"], 2),
            ("UP", ["DOWN", "UP"], 1),
            (3, ["5", "3"], 1),
            ("3", [5, 3], 1),
            (3, ["a"], None),
        ],
    )
    def test_which_class_it_is(self, positive: Any, names: Any, index: int | None) -> None:
        assert class_index(positive, names) == index


def numbers(n: int, size: int, *, outputs: int = 1, positive: bool = True) -> list[Scored]:
    rng = np.random.default_rng(1)
    target = rng.lognormal(size=(n, outputs)) - (0 if positive else 3)
    said = target + rng.normal(size=(n, outputs)) * 0.3
    said = np.maximum(said, 0) if positive else said
    said[:2] = np.nan
    target[2] = 0
    nothing = np.full(n, np.nan, np.float32)
    columns = {
        "y": np.where(rng.random(n) < 0.1, -1, 0),
        "said": said,
        "target": target,
        "probability": nothing,
        "loss": nothing,
        "task": rng.integers(0, 2, n),
        "experience": np.arange(n) // 100,
    }
    return cut(columns, size)


def pairs_before(stream: Sequence[Scored], position: int) -> list[tuple[Any, Any]]:
    found = []
    for each in stream:
        batch = each.incoming
        assert batch.target is not None
        rows = batch.y, batch.t, batch.target.tolist(), each.prediction.tolist()
        found += [
            (target, said)
            for y, t, target, said in zip(*rows, strict=True)
            if y >= 0 and t < position
        ]
    return found


REGRESSION = kinds(metrics.base.RegressionMetric)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("size", [1, 64])
def test_every_metric_of_numbers_gives_rivers_figure(size: int, outputs: int) -> None:
    assert set(REGRESSION) == {"MAE", "MAPE", "MSE", "R2", "RMSE", "RMSLE", "SMAPE"}
    stream = numbers(260, size, outputs=outputs)
    got = records(Prequential(**SETTINGS, metrics=[make(name) for name in REGRESSION])(stream))
    for record in got:
        past = pairs_before(stream, record["position"])
        for name in REGRESSION:
            for suffix, rows in (("", past), ("_window", past[-SETTINGS["window"] :])):
                want = multioutput.MacroAverage(make(name))
                for target, said in rows:
                    if not math.isnan(said[0]):
                        want.update(dict(enumerate(target)), dict(enumerate(said)))
                assert record["metrics"][name + suffix] == want.get()
    assert set(got[-1]["by_task"][1]["metrics"]) == set(REGRESSION)


def test_faded_means_weigh_rows_by_age() -> None:
    stream = numbers(260, 64)
    (*_, record) = records(Prequential(**SETTINGS, metrics=[metrics.MAPE()])(stream))
    rows = [(t[0], s[0]) for t, s in pairs_before(stream, 260) if not math.isnan(s[0])]
    weights = [SETTINGS["fading"] ** age for age in range(len(rows) - 1, -1, -1)]
    errors = [abs(t - s) / abs(t) if t else 0 for t, s in rows]
    mean = sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
    assert record["metrics"]["MAPE_fading"] == pytest.approx(100 * mean, rel=1e-12)


def test_a_row_that_a_metric_is_not_defined_for() -> None:
    # the logarithm of a negative number
    stream = numbers(260, 64, positive=False)
    (*_, record) = records(Prequential(metrics=[metrics.RMSLE(), metrics.MAE()])(stream))
    assert record["metrics"]["RMSLE"] is None
    assert record["metrics"]["MAE"] is not None

    got = records(Prequential(**SETTINGS, metrics={"strict": Strict()})(numbers(260, 64)))
    assert {record["metrics"]["strict"] for record in got} == {None}
    assert got[0]["metrics"]["strict_window"] is not None  # the row has left the window


def labels(n: int, size: int, outputs: int = 3) -> list[Scored]:
    rng = np.random.default_rng(2)
    target = rng.random((n, outputs)) < 0.4
    columns = {
        "y": np.where(rng.random(n) < 0.1, -1, 0),
        "said": target ^ (rng.random((n, outputs)) < 0.2),
        "target": target,
        "probability": np.full((n, outputs), np.nan, np.float32),
        "loss": rng.exponential(size=n).astype(np.float32),
        "task": rng.integers(0, 2, n),
        "experience": np.arange(n) // 100,
    }
    return cut(columns, size)


OF_LABELS: dict[str, Callable[[], Any]] = {
    "exact": multioutput.ExactMatch,
    "macro": lambda: multioutput.MacroAverage(metrics.F1()),
    "micro": lambda: multioutput.MicroAverage(metrics.Jaccard()),
    "samples": lambda: multioutput.SampleAverage(metrics.Recall()),
}


@pytest.mark.parametrize("size", [1, 64])
def test_every_metric_of_labels_gives_rivers_figure(size: int) -> None:
    stream = labels(260, size)
    named = {name: kind() for name, kind in OF_LABELS.items()}
    got = records(Prequential(**SETTINGS, metrics=named)(stream))
    for record in got:
        past = pairs_before(stream, record["position"])
        for name, kind in OF_LABELS.items():
            for suffix, rows in (("", past), ("_window", past[-SETTINGS["window"] :])):
                want = kind()
                for target, said in rows:
                    want.update(dict(enumerate(target)), dict(enumerate(said)))
                assert record["metrics"][name + suffix] == want.get(), name
    assert got[-1]["metrics"]["exact"] == pytest.approx(got[-1]["exact_match"])
    assert set(got[-1]["by_task"][1]["metrics"]) == set(OF_LABELS)


STREAMS: dict[str, tuple[Callable[[int], list[Scored]], dict[str, Any]]] = {
    "classes": (
        lambda size: batches(260, size),
        {name: make(name) for name in ("MacroF1", "MCC", "AdjustedMutualInfo", *PROBABLE)},
    ),
    "numbers": (lambda size: numbers(260, size, outputs=2), {n: make(n) for n in REGRESSION}),
    "labels": (lambda size: labels(260, size), {name: kind() for name, kind in OF_LABELS.items()}),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_any_cut_gives_the_same_digits(kind: str) -> None:
    stream, named = STREAMS[kind]
    want = records(Prequential(**SETTINGS, metrics=named)(stream(100)))
    for size in (1, 7, 64):
        assert records(Prequential(**SETTINGS, metrics=named)(stream(size))) == want


@pytest.mark.parametrize("kind", STREAMS)
def test_resumes_exactly_at_every_cut_and_twice(kind: str) -> None:
    stream, named = STREAMS[kind]
    scored = stream(20)
    unbroken = Prequential(**SETTINGS, metrics=named)
    whole = [report.metrics for report in unbroken(scored)]
    evaluator = Prequential(**SETTINGS, metrics=named)
    got: list[Any] = []
    for batch in scored:
        got.append(next(evaluator([batch])).metrics)
        evaluator.summary()  # leaves no trace
        for _ in range(2):
            state = evaluator.state_dict()
            evaluator = Prequential(**SETTINGS, metrics=named)
            evaluator.load_state_dict(state)
    assert [*got, next(evaluator([])).metrics] == whole
    assert flat(evaluator.state_dict()) == flat(unbroken.state_dict())


@pytest.mark.parametrize("kind", STREAMS)
def test_a_state_replaces_all_that_was_there(kind: str) -> None:
    stream, named = STREAMS[kind]
    first, used = (Prequential(**SETTINGS, metrics=named) for _ in range(2))
    whole = [report.metrics for report in first(stream(20))]
    list(used(stream(20)[5:]))
    used.load_state_dict(Prequential(**SETTINGS, metrics=named).state_dict())
    assert [report.metrics for report in used(stream(20))] == whole


def flat(tree: Any) -> Any:
    """Make a state comparable."""
    if isinstance(tree, dict):
        return {key: flat(value) for key, value in tree.items()}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree


def test_the_metrics_given_are_not_updated() -> None:
    given = [metrics.Accuracy(), metrics.LogLoss(), metrics.RollingROCAUC()]
    list(Prequential(metrics=given)(batches(100, 10)))
    assert [metric.get() for metric in given[:2]] == [0.0, 0.0]
    assert given[0].cm.total_weight == 0


def test_a_summary_has_them_and_leaves_no_trace() -> None:
    stream = batches(250, 64)
    evaluator = Prequential(**SETTINGS, metrics=[metrics.CohenKappa(), metrics.LogLoss()])
    steps = evaluator(stream)
    for _ in range(3):
        next(steps)
    want = fed_by_row(metrics.CohenKappa(), rows_before(stream, evaluator.position))
    assert evaluator.summary()["metrics"]["CohenKappa"] == want
    rest = records(steps)
    whole = records(
        Prequential(**SETTINGS, metrics=[metrics.CohenKappa(), metrics.LogLoss()])(stream)
    )
    assert rest == whole[-len(rest) :]


def test_without_metrics_there_is_no_such_field() -> None:
    (*_, record) = records(Prequential()(batches(100, 10)))
    assert "metrics" not in record
    assert "metrics" not in record["by_task"][1]


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ([metrics.F1], TypeError, "metrics: .* must be an object, got the class F1"),
            ([3], TypeError, "metrics: int must be a metric of River, got 3"),
            ([metrics.Silhouette()], ValueError, "Silhouette judges clusters, and nothing here"),
            ([metrics.ConfusionMatrix()], ValueError, "ConfusionMatrix is no single number"),
            ([metrics.ClassificationReport()], ValueError, "is no single number"),
            ([multioutput.PerOutput(metrics.F1())], ValueError, "PerOutput is no single number"),
            ([metrics.F1() + metrics.MCC()], ValueError, "holds several metrics: give them one"),
            ([utils.Rolling(metrics.F1, 10)], ValueError, "a figure of the window already"),
            ([metrics.F1(), metrics.F1()], ValueError, "2 of them are called F1: give a dict"),
            (
                [multioutput.MacroAverage(metrics.LogLoss())],
                ValueError,
                "MacroAverage needs probabilities, which are not kept of outputs",
            ),
        ],
    )
    def test_what_has_no_figure(self, given: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Prequential(metrics=given)

    def test_probabilities_of_all_classes(self) -> None:
        with pytest.raises(ValueError, match="Soft needs the probabilities of all classes"):
            Prequential(metrics=[Soft()])

    @pytest.mark.parametrize(
        ("stream", "metric", "message"),
        [
            (batches, metrics.MAE, "MAE scores numbers, and the stream has classes"),
            (numbers, metrics.F1, "F1 scores classes, and the stream has numbers"),
            (labels, metrics.F1, "F1 scores classes, and the stream has labels"),
            (batches, multioutput.ExactMatch, "ExactMatch scores labels, and the stream has cla"),
        ],
    )
    def test_of_another_kind_than_the_stream(self, stream: Any, metric: Any, message: str) -> None:
        evaluator = Prequential(metrics=[metric()])
        assert evaluator.summary()["metrics"] == dict.fromkeys(evaluator.summary()["metrics"])
        with pytest.raises(ValueError, match=f"^metrics: {message}"):
            next(evaluator(stream(10, 5)))

    def test_a_state_of_other_metrics(self) -> None:
        state = Prequential(metrics=[metrics.F1()]).state_dict()
        with pytest.raises(CheckpointError, match=r"metric_settings: saved .*F1.*, this .*MCC"):
            Prequential(metrics=[metrics.MCC()]).load_state_dict(state)
        with pytest.raises(CheckpointError, match="metric_settings: saved"):
            Prequential().load_state_dict(state)

    @pytest.mark.parametrize(
        ("saved", "live"),
        [
            (metrics.FBeta(beta=2), metrics.FBeta(beta=0.5)),
            (metrics.F1(pos_val="cat"), metrics.F1(pos_val="dog")),
            (
                multioutput.MicroAverage(metrics.FBeta(beta=2)),
                multioutput.MicroAverage(metrics.FBeta(beta=0.5)),
            ),
        ],
        ids=["number", "class", "inside"],
    )
    def test_a_state_of_a_metric_made_with_other_settings(self, saved: Any, live: Any) -> None:
        state = Prequential(metrics={"m": saved}).state_dict()
        with pytest.raises(CheckpointError, match=r"metric_settings: saved .*m: "):
            Prequential(metrics={"m": live}).load_state_dict(state)

    def test_a_state_of_another_river(self) -> None:
        evaluator = Prequential(metrics=[metrics.RollingROCAUC()])
        state = evaluator.state_dict()
        state["running"]["river"]["families"]["rows"]["versions"]["river"] = "0.1"
        with pytest.raises(CheckpointError, match=r"river: saved with 0\.1"):
            evaluator.load_state_dict(state)


class Strict(RegressionMetric):
    """Cannot do with a target of 0."""

    def update(self, y_true: float, y_pred: float) -> None:
        if y_true == 0:
            raise ZeroDivisionError(y_pred)

    def revert(self, y_true: float, y_pred: float) -> None:
        raise NotImplementedError

    def get(self) -> float:
        return 1.0


class Soft(MultiClassMetric):
    requires_labels = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def get(self) -> float:
        raise NotImplementedError


class Own(RegressionMetric):
    """A user's own: the largest error."""

    def __init__(self) -> None:
        self.largest = 0.0

    def update(self, y_true: float, y_pred: float) -> None:
        self.largest = max(self.largest, abs(y_true - y_pred))

    def revert(self, y_true: float, y_pred: float) -> None:
        raise NotImplementedError

    def get(self) -> float:
        return self.largest


def test_a_metric_of_ones_own_is_resumed_too() -> None:
    stream = numbers(260, 10)
    first, second = (Prequential(**SETTINGS, metrics=[Own()]) for _ in range(2))
    steps = first(stream)
    for _ in range(12):
        next(steps)
    second.load_state_dict(first.state_dict())
    got = records(second(stream[12:]))
    errors = [abs(t[0] - s[0]) for t, s in pairs_before(stream, 260) if not math.isnan(s[0])]
    assert got[-1]["metrics"]["Own"] == max(errors)


@given(st.lists(st.tuples(*2 * [st.integers(0, 2**31 - 1)]), min_size=1, max_size=20))
def test_pairs_have_codes_of_their_own(pairs: list[tuple[int, int]]) -> None:
    y, prediction = np.array(pairs).T
    codes = pair(y, prediction)
    assert len(set(codes.tolist())) == len(set(pairs))
    assert list(zip(*(column.tolist() for column in unpair(codes)), strict=True)) == pairs
