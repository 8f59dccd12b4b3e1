"""River's classifiers as a stage: River's own figures, replay, and states that are pickles."""

from __future__ import annotations

import copy
import csv
import gzip
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from river import (
    base,
    compose,
    dummy,
    ensemble,
    evaluate,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
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
from streamreplay.labels import Labels
from streamreplay.learners.predictions import LOSS_LIMIT
from streamreplay.learners.river.parts import as_rows
from streamreplay.memory import FixedMemory

ROWS = 2000
BAYES: Any = naive_bayes.GaussianNB  # River types not all of its constructors
ACCURACY: Any = metrics.Accuracy

MODELS: dict[str, Callable[[], Any]] = {
    "arf": lambda: forest.ARFClassifier(n_models=2, seed=1),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=50),
    "hat": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=1),
    "softmax": lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
    "logistic": lambda: (
        preprocessing.StandardScaler()
        | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    ),
    "bayes": BAYES,
    "knn": lambda: neighbors.KNNClassifier(3, neighbors.SWINN(seed=1)),
    "voting": lambda: ensemble.VotingClassifier([BAYES(), tree.HoeffdingTreeClassifier()]),
    "no change": dummy.NoChangeClassifier,
}
RESUMED = [*MODELS, "amf", "srp", "leveraging bagging"]
MORE: dict[str, Callable[[], Any]] = {
    "amf": lambda: forest.AMFClassifier(n_estimators=2, seed=1),
    "srp": lambda: ensemble.SRPClassifier(n_models=2, seed=1),
    "leveraging bagging": lambda: ensemble.LeveragingBaggingClassifier(
        tree.HoeffdingTreeClassifier(grace_period=20), n_models=2, seed=1
    ),
}


def source(batch_size: int = 1, limit: int = ROWS) -> CsvSource:
    path = data_path("covtype.csv.gz")
    return CsvSource(path, label="Cover_Type", batch_size=batch_size, limit=limit)


def pipeline(model: Any, rows: CsvSource, **stages: Any) -> Pipeline:
    return Pipeline(
        rows,
        **stages,
        learner=RiverLearner(
            model,
            allow_pickle=True,
            trusted=True,
        ),
        evaluator=Prequential(report_every=500),
    )


def river_rows(n: int) -> list[tuple[dict[Any, float], int]]:
    """Read the file as River's users do, in float64."""
    with gzip.open(data_path("covtype.csv.gz"), "rt") as file:
        records = list(islice(csv.DictReader(file), n))
    return [
        ({k: float(v) for k, v in r.items() if k != "Cover_Type"}, int(r["Cover_Type"]))
        for r in records
    ]


def stream(*, labels: list[int] | None = None, size: int = 1, n: int = 60) -> list[Batch]:
    rng = np.random.default_rng(0)
    y = np.array(labels) if labels is not None else rng.integers(0, 2, n)
    x = rng.standard_normal((len(y), 2)) + 3 * y[:, None]
    whole = Batch.from_arrays(x, y)
    return [whole.take(slice(i, i + size)) for i in range(0, len(y), size)]


@pytest.mark.parametrize("name", [n for n in MODELS if n != "knn"])
def test_one_row_at_a_time_is_rivers_progressive_validation(name: str) -> None:
    rows = source()
    reports = list(pipeline(MODELS[name](), rows))
    metric: Any = ACCURACY()
    theirs = [
        step["Prediction"]
        for step in evaluate.iter_progressive_val_score(
            river_rows(ROWS), MODELS[name](), metric, step=1, yield_predictions=True
        )
    ]
    names: list[Any] = [*rows.labels.names, None]
    scored = [report.scored for report in reports if report.scored is not None]
    ours = [names[int(each.prediction[0])] for each in scored]
    assert ours[1:] == theirs[1:]
    assert ours[0] is None  # no class has a name yet; River leaves such a row out of its figure
    counted = sum(prediction is not None for prediction in theirs)
    accuracy = reports[-1].metrics[-1]["accuracy"]
    assert round(accuracy * ROWS) == round(metric.get() * counted)
    assert accuracy == pytest.approx(metric.get(), abs=1 / ROWS)


def test_knn_on_fewer_rows_as_it_is_slow() -> None:
    rows, want = source(limit=300), []
    reports = list(pipeline(MODELS["knn"](), rows))
    model = MODELS["knn"]()
    for x, y in river_rows(300):
        want.append(model.predict_one(x))
        model.learn_one(x, y)
    names: list[Any] = [*rows.labels.names, None]
    assert [names[r.scored.prediction[0]] for r in reports if r.scored] == want


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_model_says_what_one_that_was_not_says(name: str) -> None:
    make = {**MODELS, **MORE}[name]

    def run(cuts: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
        at = pipeline(make(), source(10, 400), buffer=ReservoirSamplingBuffer(50), mixer=Mixer(5))
        said: list[Any] = []
        log: list[Any] = []
        for i, report in enumerate(at):
            if report.scored is not None:
                said += [c.tobytes() for c in _columns(report.scored)]
            log += report.metrics
            if i in cuts:
                state = copy.deepcopy(at.state_dict())
                buffer, mixer = ReservoirSamplingBuffer(50, 9), Mixer(5, seed=9)
                fresh = pipeline(make(), source(10, 400), buffer=buffer, mixer=mixer)
                fresh.load_state_dict(state)
                rest = run_on(fresh)
                return said + rest[0], log + rest[1]
        return said, log

    def run_on(at: Pipeline) -> tuple[list[Any], list[Any]]:
        reports = list(at)
        said = [c.tobytes() for r in reports if r.scored for c in _columns(r.scored)]
        return said, [record for r in reports for record in r.metrics]

    want = run(())
    for cut in (0, 7, 39):
        assert run((cut,)) == want


def _columns(scored: Scored) -> tuple[Any, ...]:
    return scored.prediction, scored.probability, scored.loss


@pytest.mark.parametrize("name", ["tree", "softmax", "arf"])
def test_decimals_in_a_file_give_rivers_own_probabilities(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400).tolist()
    table = [[f"{v:.4f}" for v in rng.normal(label, 1, 3)] for label in y]
    lines = [",".join([*row, f"c{label}"]) for row, label in zip(table, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["u,v,w,y", *lines]))
    rows = CsvSource(tmp_path / "rows.csv", batch_size=1)
    model, theirs = MODELS[name](), []
    for row, label in zip(table, y, strict=True):
        x = dict(zip("uvw", map(float, row), strict=True))
        theirs.append(max(model.predict_proba_one(x).values(), default=math.nan))
        model.learn_one(x, f"c{label}")
    ours = [float(r.scored.probability[0]) for r in pipeline(MODELS[name](), rows) if r.scored]
    assert ours[1:] == np.array(theirs[1:], np.float32).tolist()


def test_features_are_the_decimals_of_the_file() -> None:
    (batch,) = source(ROWS)
    names = list(river_rows(1)[0][0])
    assert as_rows(batch.x, names) == [x for x, _ in river_rows(ROWS)]
    decimals = [0.056443, 0.1, 1e-6, 123456.0, -7.5e20, float("inf")]
    (row,) = as_rows(np.array([decimals], np.float32), range(6))
    assert list(row.values()) == decimals
    (nan,) = as_rows(np.array([[np.nan, 0.1]], np.float32), "ab")
    assert (math.isnan(nan["a"]), nan["b"]) == (True, 0.1)
    assert as_rows(np.array([[[3, 4]]], np.uint8), [0, 1]) == [{0: 3, 1: 4}]


class Diary(base.Classifier):
    """Writes down what it is taught; predicts what was last learned."""

    def __init__(self) -> None:
        self.learned: list[tuple[Any, Any]] = []

    def learn_one(self, x: Any, y: Any) -> None:
        self.learned.append((tuple(x.items()), y))

    def predict_proba_one(self, x: Any, **_: Any) -> dict[Any, float]:
        self.asked = dict(x)
        return {self.learned[-1][1]: 0.75, "never seen": 0.9} if self.learned else {}

    @property
    def _multiclass(self) -> bool:
        return True


def test_each_pass_learns_the_incoming_rows_and_then_its_own_draw() -> None:
    memory = Batch.from_arrays([[10.0], [11.0], [12.0]], [0, 1, 2])
    incoming = Batch.from_arrays([[1.0], [2.0], [3.0]], [1, -1, 0], feature_names=["a"])
    rehearsal = Rehearsal(incoming, FixedMemory(memory), rows=np.array([[0, 2], [1, 1]]))
    diary = Diary()
    (scored,) = RiverLearner(diary)([rehearsal])
    new = [((("a", 1.0),), 1), ((("a", 3.0),), 0)]
    one, two = [10.0, 12.0], [11.0, 11.0]
    of = {10.0: 0, 11.0: 1, 12.0: 2}
    assert diary.learned == [
        *new,
        *((((("a", v),), of[v])) for v in one),
        *new,
        *((((("a", v),), of[v])) for v in two),
    ]
    assert scored.replayed == 4
    without = Diary()
    (scored,) = RiverLearner(without, replay=False)([rehearsal])
    assert (without.learned, scored.replayed) == (new, 0)


def test_a_batch_is_predicted_before_it_is_learned() -> None:
    names = Labels(["a", "b", "c"])
    batches = [Batch.from_arrays([[0.0]] * 3, y, labels=names) for y in ([0, 1, 1], [0, 0, 2])]
    first, second = RiverLearner(Diary())(batches)
    assert first.prediction.tolist() == [-1, -1, -1]
    assert np.isnan(first.probability).all()
    assert first.loss.tolist() == [np.float32(LOSS_LIMIT)] * 3
    # "never seen" is no class that a label has named
    assert second.prediction.tolist() == [1, 1, 1]
    assert second.probability.tolist() == [0.75] * 3
    assert second.loss.tolist() == [np.float32(LOSS_LIMIT)] * 3
    (third,) = RiverLearner(Diary())([Batch.from_arrays([[0.0]], [-1])])
    assert np.isnan(third.loss).all()


def test_losses_are_those_of_torch_learners() -> None:
    learner = RiverLearner(Diary())
    list(learner([Batch.from_arrays([[0.0]], [1])]))
    asked = Batch.from_arrays([[0.0]] * 4, [1, 0, 3, -1])
    loss = learner.losses(asked)
    assert loss[0] == np.float32(-math.log(0.75))
    assert loss[1:3].tolist() == [np.float32(LOSS_LIMIT)] * 2
    assert np.isnan(loss[3])
    assert learner.predict_proba(asked.x).tolist() == [[0, 0.75]] * 4
    assert learner.batches == 1


def test_held_out_and_unlabelled_rows_are_not_learned() -> None:
    diary = Diary()
    batch = Batch.from_arrays([[0.0]], [0])
    held_out, blank = replace(batch, held_out="test"), Batch.from_arrays([[0.0]])
    scored = list(RiverLearner(diary)([held_out, blank, batch, held_out, blank]))
    assert len(diary.learned) == 1
    assert [int(each.prediction[0]) for each in scored] == [-1, -1, -1, 0, 0]


def test_features_without_names_have_positions() -> None:
    diary = Diary()
    learner = RiverLearner(diary)
    images = np.ones((1, 2, 2), np.uint8)
    list(learner([Batch.from_arrays(images, [0], feature_names=["image"])]))
    assert learner.feature_names == ["0", "1", "2", "3"]
    message = r"^x: this learner has learned from \[n, 2, 2\], got uint8\[1, 4\]$"
    with pytest.raises(ValueError, match=message):
        list(learner([Batch.from_arrays(np.ones((1, 4), np.uint8), [0])]))


def test_a_model_without_probabilities_is_taken_at_its_word() -> None:
    class Sure(Diary):
        def predict_proba_one(self, x: Any, **_: Any) -> dict[Any, float]:
            raise NotImplementedError

        def predict_one(self, x: Any, **_: Any) -> Any:  # noqa: ARG002 - River's signature
            return self.learned[-1][1] if self.learned else None

    batches = [Batch.from_arrays([[0.0]], [label]) for label in (0, 0, 1)]
    first, second, third = RiverLearner(Sure())(batches)
    assert first.prediction.tolist() == [-1]
    assert (second.probability.tolist(), second.loss.tolist()) == ([1.0], [0.0])
    assert third.loss.tolist() == [np.float32(LOSS_LIMIT)]


def test_two_classes_are_false_and_true() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    names = Labels(["no", "yes"])
    scored = list(RiverLearner(model)(replace(batch, labels=names) for batch in stream()))
    assert np.mean([s.prediction[0] == s.incoming.y[0] for s in scored[20:]]) > 0.9
    message = "^learner: LogisticRegression tells two classes apart, and the stream has named a thi"
    with pytest.raises(ConfigError, match=message):
        list(RiverLearner(linear_model.LogisticRegression())(stream(labels=[0, 1, 2])))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (preprocessing.StandardScaler(), "must be a River classifier or regressor, got StandardSc"),
        (BAYES, "must be an object, got the class GaussianNB"),
        (len, "must be a River classifier or regressor"),
    ],
)
def test_only_what_predicts(model: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        RiverLearner(model)


def test_a_label_without_a_name_is_a_mistake() -> None:
    batches = [replace(batch, labels=Labels(["a"])) for batch in stream(labels=[0, 1])]
    with pytest.raises(ValueError, match=r"^labels: has 1 names, label 1 has arrived$"):
        list(RiverLearner(BAYES())(batches))


class TestState:
    message: ClassVar[dict[str, str]] = {
        "write": "^model: River's models can be saved only as pickles, .*allow_pickle=True",
        "read": "^model: is a pickle, which can run any code .* pass trusted=True",
    }

    def learned(self) -> RiverLearner:
        learner = RiverLearner(BAYES(), allow_pickle=True, trusted=True)
        list(learner(stream()))
        return learner

    def test_it_is_written_and_read_only_when_told(self) -> None:
        with pytest.raises(CheckpointError, match=self.message["write"]):
            RiverLearner(BAYES()).state_dict()
        state = self.learned().state_dict()
        careful = RiverLearner(BAYES(), allow_pickle=True)
        with pytest.raises(CheckpointError, match=self.message["read"]):
            careful.load_state_dict(state)

    def test_nothing_is_unpickled_before_all_else_is_checked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[Any] = []
        monkeypatch.setattr("streamreplay.learners.river.learner.load", opened.append)
        state = self.learned().state_dict()
        versions = state["versions"]
        bad: list[tuple[dict[str, Any], str]] = [
            (
                {"versions": {**versions, "river": "0.1"}},
                r"^versions\.river: saved with 0\.1, this",
            ),
            ({"versions": {**versions, "python": "2.7"}}, r"^versions\.python: saved with 2\.7"),
            ({"model_kind": "ARFClassifier"}, "^model_kind: saved ARFClassifier, this pipeline ha"),
            ({"settings": {"replay": False, "many": False}}, "^settings: saved {'replay': False"),
        ]
        for change, message in bad:
            with pytest.raises(CheckpointError, match=message):
                self.learned().load_state_dict({**state, **change})
        careful = RiverLearner(BAYES())
        with pytest.raises(CheckpointError, match=self.message["read"]):
            careful.load_state_dict(state)
        assert opened == []

    def test_what_cannot_be_pickled_is_named(self) -> None:
        model = compose.FuncTransformer(lambda x: x) | BAYES()
        with pytest.raises(CheckpointError, match=r"^model: cannot be pickled: .*lambda"):
            RiverLearner(model, allow_pickle=True).state_dict()

    def test_bytes_that_are_no_pickle(self) -> None:
        learner = self.learned()
        state = {**learner.state_dict(), "model": np.arange(9, dtype=np.uint8)}
        with pytest.raises(CheckpointError, match=r"^model: cannot be unpickled: "):
            learner.load_state_dict(state)

    def test_a_state_does_not_follow_the_model(self) -> None:
        learner = self.learned()
        state = learner.state_dict()
        before = state["model"].tobytes()
        list(learner(stream(n=20)))
        assert state["model"].tobytes() == before
        assert learner.state_dict()["model"].tobytes() != before


def test_many_needs_a_model_that_has_it() -> None:
    with pytest.raises(TypeError, match=r"^many: not all of KNNClassifier has learn_many$"):
        RiverLearner(neighbors.KNNClassifier(), many=True)


def test_rows_without_names_are_learned_many_at_once() -> None:
    """What learns many rows makes frames, whose columns must be named by strings."""
    model: Any = preprocessing.StandardScaler()
    model |= linear_model.LogisticRegression()
    batches = stream(size=6)
    assert len(list(RiverLearner(model, many=True)(batches))) == len(batches)
    assert set(model["StandardScaler"].means) == {"0", "1"}


def test_many_rows_at_once() -> None:
    pd = pytest.importorskip("pandas")

    def make() -> Any:
        return preprocessing.StandardScaler() | linear_model.LogisticRegression()

    batches = stream(size=6)
    ours, theirs = make(), make()
    named = [replace(batch, feature_names=["a", "b"]) for batch in batches]
    scored = list(RiverLearner(ours, many=True)(named))
    for i, (batch, each) in enumerate(zip(batches, scored, strict=True)):
        frame = pd.DataFrame(as_rows(batch.x, ["a", "b"]))
        if i:
            want = theirs.predict_proba_many(frame)
            assert each.prediction.tolist() == [int(v) for v in want.idxmax(axis="columns")]
        theirs.learn_many(frame, pd.Series([label == 1 for label in batch.y.tolist()]))
    assert ours["LogisticRegression"].weights == theirs["LogisticRegression"].weights
