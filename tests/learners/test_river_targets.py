"""River's regressors and multi-label classifiers as a stage: River's own figures, and weights."""

from __future__ import annotations

import copy
import csv
import gzip
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from river import (
    dummy,
    evaluate,
    forest,
    linear_model,
    metrics,
    multioutput,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    stats,
    tree,
)

from streamreplay import (
    Batch,
    CheckpointError,
    ConfigError,
    CsvSource,
    Mixer,
    Pipeline,
    Prequential,
    Rehearsal,
    ReservoirSamplingBuffer,
    RiverLearner,
    Scored,
    data_path,
)
from streamreplay.memory import FixedMemory

ROWS = 1000
RIVER: Any = metrics  # whose constructors are not typed
TARGETS = ["Elevation", "Slope"]
FEATURES = [f"x{i}" for i in range(54)]

REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(),
    "scaled": lambda: (
        preprocessing.StandardScaler()
        | preprocessing.TargetStandardScaler(linear_model.LinearRegression())
    ),
    "tree": lambda: tree.HoeffdingTreeRegressor(grace_period=50),
    "arf": lambda: forest.ARFRegressor(n_models=2, seed=1),
    "mean": lambda: dummy.StatisticRegressor(stats.Mean()),
}
CHAIN: Callable[[], Any] = lambda: (  # noqa: E731
    preprocessing.StandardScaler()
    | multioutput.RegressorChain(
        linear_model.LinearRegression(optim.SGD(1e-3)), order=[*TARGETS]
    )  # which River adds to
)


def source(target: str | list[str], batch_size: int = 1) -> CsvSource:
    path = data_path("covtype.csv.gz")
    return CsvSource(path, target=target, batch_size=batch_size, limit=ROWS)


def pipeline(model: Any, rows: CsvSource, **stages: Any) -> Pipeline:
    learner = RiverLearner(
        model,
        allow_pickle=True,
        trusted=True,
    )
    return Pipeline(rows, **stages, learner=learner, evaluator=Prequential(report_every=300))


def river_rows(targets: list[str]) -> list[tuple[dict[Any, float], dict[str, float]]]:
    """Read the file as River's users do."""
    with gzip.open(data_path("covtype.csv.gz"), "rt") as file:
        records = list(islice(csv.DictReader(file), ROWS))
    numbers = [{key: float(value) for key, value in record.items()} for record in records]
    return [
        ({k: v for k, v in r.items() if k not in targets}, {k: r[k] for k in targets})
        for r in numbers
    ]


@pytest.mark.parametrize("name", REGRESSORS)
def test_one_row_at_a_time_is_rivers_progressive_validation(name: str) -> None:
    reports = list(pipeline(REGRESSORS[name](), source("Elevation")))
    dataset = [(x, y["Elevation"]) for x, y in river_rows(["Elevation"])]
    mae, rmse, r2 = RIVER.MAE(), RIVER.RMSE(), RIVER.R2()
    theirs = [
        step["Prediction"]
        for step in evaluate.iter_progressive_val_score(
            dataset, REGRESSORS[name](), mae + rmse + r2, step=1, yield_predictions=True
        )
    ]
    ours = [float(r.scored.prediction[0, 0]) for r in reports if r.scored is not None]
    assert ours == theirs
    last = reports[-1].metrics[-1]
    assert last["unpredicted"] == 0
    for key, metric in (("mae", mae), ("rmse", rmse), ("r2", r2)):
        assert last[key] == pytest.approx(metric.get(), rel=1e-12)


def test_several_numbers_are_rivers_progressive_validation() -> None:
    reports = list(pipeline(CHAIN(), source(TARGETS)))
    mae = RIVER.multioutput.MacroAverage(RIVER.MAE())
    model, want = CHAIN(), []
    for x, y in river_rows(TARGETS):
        said = model.predict_one(x)
        want.append([said.get(name, np.nan) for name in TARGETS])
        if said:
            mae.update(y, said)
        model.learn_one(x, y)
    ours = [r.scored.prediction[0] for r in reports if r.scored is not None]
    np.testing.assert_array_equal(np.array(ours), np.array(want))
    last = reports[-1].metrics[-1]
    assert last["unpredicted"] == 1  # the first row, of which the chain says nothing
    assert last["mae"] == pytest.approx(mae.get(), rel=1e-12)


def tags(n: int = 200) -> list[Batch]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3))
    target = np.stack([x[:, 0] > 0, x[:, 1] - x[:, 2] > 0.5], 1)
    whole = Batch.from_arrays(x, target=target)
    return [whole.take(slice(i, i + 1)) for i in range(n)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: multioutput.ClassifierChain(linear_model.LogisticRegression(), order=[0, 1]),
        lambda: (
            preprocessing.StandardScaler()
            | multioutput.ClassifierChain(linear_model.LogisticRegression(), order=[0, 1])
        ),
        lambda: multioutput.ProbabilisticClassifierChain(linear_model.LogisticRegression()),
    ],
)
def test_labels_are_what_river_says(make: Callable[[], Any]) -> None:
    model, want, sure = make(), [], []
    for batch in tags():
        x = {str(i): float(np.float64(str(v))) for i, v in enumerate(batch.x[0])}
        said, p = model.predict_one(x), model.predict_proba_one(x)
        want.append([bool(said.get(j, False)) for j in (0, 1)])
        sure.append([p.get(j, {}).get(True, np.nan) for j in (0, 1)])
        assert batch.target is not None
        model.learn_one(x, dict(enumerate(batch.target[0].tolist())))
    scored = list(RiverLearner(make())(tags()))
    assert [s.prediction[0].tolist() for s in scored] == want
    got = np.array([s.probability[0] for s in scored])
    np.testing.assert_array_equal(got, np.array(sure, np.float32))
    *_, last = Prequential()(scored)
    assert last.metrics[-1]["hamming_loss"] < last.metrics[-1]["majority"]["hamming_loss"]


def test_probabilities_of_labels() -> None:
    learner = RiverLearner(multioutput.ClassifierChain(linear_model.LogisticRegression()))
    list(learner(tags()))
    rows = Batch.concat(tags()[:9])
    p = learner.predict_proba(rows.x)
    assert p.shape == (9, 2)
    np.testing.assert_array_equal(learner.predict(rows.x), p > 0.5)


# -- replay, many at once, weights ------------------------------------------------------------


class Recorder(linear_model.LinearRegression):
    """Writes down what it is taught."""

    def __init__(self) -> None:
        super().__init__()
        self.lessons: list[tuple[float, float]] = []

    def learn_one(self, _x: Any, y: Any, w: Any = 1.0) -> None:
        self.lessons.append((y, w))


def numbers(n: int, start: int = 0, **columns: Any) -> Batch:
    rng = np.random.default_rng(start)
    x = rng.standard_normal((n, 2))
    return Batch.from_arrays(x, target=np.arange(start, start + n), start=start, **columns)


def test_rows_of_memory_are_taught_with_their_own_targets_and_weights() -> None:
    incoming = numbers(3, 10, y=np.array([0, -1, 0]), weight=[1, 2, 3])
    memory = numbers(4, weight=[5, 6, 7, 8])
    learner = RiverLearner(Recorder(), many=False)
    record = Rehearsal(incoming, FixedMemory(memory), rows=np.array([[3, 0], [1, 1]]))
    (scored,) = learner([record])
    assert learner.model.lessons == [
        *[(10, 1), (12, 3), (3, 8), (0, 5)],
        *[(10, 1), (12, 3), (1, 6), (1, 6)],
    ]
    assert scored.replayed == 4
    assert np.isnan(scored.loss).tolist() == [False, True, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_many_at_once_is_what_river_makes_of_it(weighted: bool) -> None:
    model = linear_model.LinearRegression()
    batches = [numbers(5, 5 * i, weight=np.arange(5) if weighted else None) for i in range(4)]
    scored = list(RiverLearner(linear_model.LinearRegression())(batches))
    for batch, each in zip(batches, scored, strict=True):
        frame = pd.DataFrame(batch.x.astype(str).astype(float))
        np.testing.assert_array_equal(each.prediction[:, 0], model.predict_many(frame))
        assert batch.target is not None
        extra = {} if batch.weight is None else {"w": pd.Series(batch.weight.astype(float))}
        model.learn_many(frame, pd.Series(batch.target[:, 0]), **extra)


def test_replay_of_numbers_in_a_pipeline() -> None:
    stages = {"buffer": ReservoirSamplingBuffer(50), "mixer": Mixer(5)}
    *_, last = pipeline(REGRESSORS["tree"](), source("Elevation", 10), **stages)
    assert last.metrics[-1]["replayed"] == 5 * (ROWS // 10 - 1)
    assert last.metrics[-1]["mae"] < last.metrics[-1]["mean"]["mae"]


def test_weights_reach_classifiers_too() -> None:
    class Writer(naive_bayes.GaussianNB):
        lessons: list[tuple[int, float]] = []  # noqa: RUF012

        def learn_one(self, _x: Any, y: Any, w: float = 1.0) -> None:
            self.lessons.append((y, w))

    batch = Batch.from_arrays(np.zeros((2, 1)), [0, 1], weight=[2.0, 0.5])
    list(RiverLearner(Writer(), many=False)([batch]))  # type: ignore[no-untyped-call]
    assert Writer.lessons == [(0, 2.0), (1, 0.5)]


@pytest.mark.parametrize(
    "model", [preprocessing.StandardScaler() | neighbors.KNNRegressor(), forest.ARFRegressor()]
)
def test_models_that_take_no_weights_say_so(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"learner: \w+ takes no weights of rows .*source.weight"):
        list(RiverLearner(model)([numbers(3, weight=[1, 2, 3])]))


# -- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (
            linear_model.LinearRegression(),
            Batch.from_arrays([[1.0]], target=[[1.0, 2.0]]),
            "LinearRegression predicts one number, and rows have 2; wrap the regressor: multiout",
        ),
        (
            linear_model.LinearRegression(),
            Batch.from_arrays([[1.0]], [1]),
            "LinearRegression predicts numbers, and the stream has classes: see source.target",
        ),
        (
            linear_model.SoftmaxRegression(),
            Batch.from_arrays([[1.0]], target=[1.0]),
            "SoftmaxRegression predicts classes, and the stream has numbers: see source.label",
        ),
        (
            multioutput.ClassifierChain(linear_model.LogisticRegression()),
            Batch.from_arrays([[1.0]], target=[1.0]),
            "ClassifierChain predicts labels, and the stream has numbers: see source.multilabel",
        ),
    ],
)
def test_streams_of_another_kind(model: Any, batch: Batch, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^learner: {message}"):
        list(RiverLearner(model)([batch]))


def test_a_question_without_a_target() -> None:
    learner = RiverLearner(linear_model.LinearRegression())
    ask = Batch.from_arrays(np.ones((2, 2)))
    before, _, after = learner([ask, numbers(5), ask])
    assert np.isnan(before.prediction).all()
    assert np.isfinite(after.prediction).all()
    with pytest.raises(ValueError, match="numbers have no probabilities: see predict"):
        learner.predict_proba(ask.x)
    np.testing.assert_array_equal(learner.predict(ask.x), after.prediction)
    with pytest.raises(ValueError, match=r"target: this learner has learned \[n, 2\]"):
        list(RiverLearner(CHAIN())([numbers(1).take(slice(0, 0)), *both()]))


def both() -> list[Batch]:
    two = Batch.from_arrays(np.ones((1, 2)), target=[[1.0, 2.0]])
    return [two, numbers(1, 1)]


# -- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REGRESSORS, "chain"])
def test_a_resumed_model_says_what_one_that_was_not_says(name: str) -> None:
    target = TARGETS if name == "chain" else ["Elevation"]
    make = CHAIN if name == "chain" else REGRESSORS[name]
    batches = list(source(target, 10))[:40]

    def learner() -> RiverLearner:
        return RiverLearner(
            make(),
            allow_pickle=True,
            trusted=True,
        )

    def said(scored: Iterator[Scored]) -> list[Any]:
        return [each.prediction.tobytes() for each in scored]

    whole = learner()
    want = said(whole(batches))
    for cut in (0, 1, 17, 39):
        first, second = learner(), learner()
        start = said(first(batches[:cut]))
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        assert start + said(second(batches[cut:])) == want
    other = RiverLearner(multioutput.RegressorChain(linear_model.LinearRegression()), trusted=True)
    with pytest.raises(CheckpointError, match="saved"):
        other.load_state_dict(whole.state_dict())


def test_who_asks_before_the_first_row_decides_nothing() -> None:
    learner = RiverLearner(linear_model.LinearRegression(), replay=False)
    x = np.ones((2, 2), np.float32)
    learner.predict(x)
    list(learner([Batch.from_arrays(x, target=[1.0, 2.0], feature_names=["a", "b"])]))
    assert learner.feature_names == ["a", "b"]
