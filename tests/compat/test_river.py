"""Our learner and buffer as a River classifier: River's own checks, and replay in River's loops."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from river import checks, datasets, evaluate, metrics, preprocessing

from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.compat.river import ReplayClassifier
from streamreplay.learners import linear


def _rivers_checks() -> list[Callable[[Any], None]]:
    """List what River's `check_estimator` does; scikit-learn, which it imports, is not used."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("sklearn", "sklearn.datasets"):
            if name not in sys.modules:
                patch.setitem(sys.modules, name, ModuleType(name))
        patch.setattr(sys.modules["sklearn"], "datasets", None, raising=False)
        return list(checks.yield_checks(_small()))


def _small(**settings: Any) -> ReplayClassifier:
    return ReplayClassifier(max_size=20, batch_size_mem=4, **settings)


CHECKS = _rivers_checks()
SEGMENTS: Any = datasets.ImageSegments  # River types not all of its constructors
ACCURACY: Any = metrics.Accuracy


# not those it says do not hold: a batch is one averaged step, as in River's linear models
HOLD = [n for n, c in enumerate(CHECKS) if c.__name__ not in _small()._unit_test_skips()]


@pytest.mark.parametrize("number", HOLD, ids=lambda n: f"{n}-{CHECKS[n].__name__}")
def test_rivers_own_checks(number: int) -> None:
    CHECKS[number](_small())


def test_there_are_checks() -> None:
    names = {check.__name__ for check in CHECKS}
    assert len(CHECKS) > 40
    assert {"check_pickling", "check_emerging_features", "check_predict_proba_one"} < names
    assert _small()._unit_test_skips() == {"check_learn_many_matches_learn_one"}


def test_replay_remembers_what_a_plain_model_forgets() -> None:
    rng = np.random.default_rng(0)
    blobs: list[tuple[dict[Any, float], str]]
    blobs = [(dict(zip("ab", rng.normal([3 * y, -y], 0.5), strict=True)), f"c{y}") for y in range(3)
             for _ in range(150)]  # fmt: skip
    right = {}
    for k in (0, 10):
        model = ReplayClassifier(max_size=60, batch_size_mem=k, seed=1)
        for x, y in blobs:  # one class after the other
            model.learn_one(x, y)
        right[k] = np.mean([model.predict_one(x) == y for x, y in blobs])
    assert right[10] > 0.95
    assert right[0] < 0.7


def test_rivers_progressive_validation_in_a_pipeline() -> None:
    model = preprocessing.StandardScaler() | _small(seed=2)
    metric: Any = evaluate.progressive_val_score(SEGMENTS().take(500), model, ACCURACY())
    assert metric.get() > 0.6


def _after(model: ReplayClassifier, n: int, start: int = 0) -> list[Any]:
    said = []
    for x, y in list(SEGMENTS().take(start + n))[start:]:
        said.append(model.predict_proba_one(x))
        model.learn_one(x, y)
    return said


@pytest.mark.parametrize(
    "carry",
    [
        lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - our own
        copy.deepcopy,
        lambda model: model.clone(include_attributes=True),
    ],
    ids=["pickle", "deepcopy", "clone"],
)
def test_copies_go_on_as_the_original(carry: Callable[[Any], Any]) -> None:
    model = _small(seed=3)
    _after(model, 40)
    copied = carry(model)
    assert _after(copied, 40, start=40) == _after(model, 40, start=40)
    assert _after(model.clone(), 40) == _after(_small(seed=3), 40) != _after(_small(seed=4), 40)


def test_features_are_those_of_the_first_row() -> None:
    model = _small()
    model.learn_one({"a": 1.0, "b": 2.0}, "x")
    model.learn_one({"b": 1.0, "c": 9.0}, "y")
    plain = model.predict_proba_one({"a": 0.0, "b": 1.0})
    assert (
        plain
        == model.predict_proba_one({"b": 1.0, "c": 5.0})
        == model.predict_proba_one({"b": True, "a": None})
    )


def test_room_for_features_to_come() -> None:
    roomy = _small(max_features=3)
    rows: list[dict[Any, float]] = [{"b": 1.0}, {"a": 2.0, "b": 1.0}, {"d": 1.0, "c": 4.0}]
    for x in rows:
        roomy.learn_one(x, "x")
        roomy.learn_one({name: -value for name, value in x.items()}, "y")
    said = roomy.predict_proba_one({"c": 4.0})
    assert said != roomy.predict_proba_one({})
    assert roomy.predict_proba_one({"d": 4.0}) == roomy.predict_proba_one({})  # no room was left
    with pytest.raises(ValueError, match=r"^max_features must be at least 1, got 0$"):
        _small(max_features=0)


def test_words_are_refused() -> None:
    message = r"^x: feature 'a' must be a number, got 'red'; preprocessing\.OneHotEncoder\(\)"
    with pytest.raises(TypeError, match=message):
        _small().learn_one({"a": "red"}, 0)


def test_labels_of_any_kind_come_back_as_they_were() -> None:
    model = _small(by="class", normalize="none")
    labels = ["a", 7, (1, 2), None]
    for label in labels:
        model.learn_one({"a": float(labels.index(label))}, label)  # type: ignore[arg-type]
    said = model.predict_proba_one({"a": 1.0})
    assert list(said) == labels
    assert sum(said.values()) == pytest.approx(1, abs=1e-12)


def test_parts_of_ones_own() -> None:
    made = []

    def buffer(max_size: int, seed: Any) -> ReservoirSamplingBuffer:
        made.append(ReservoirSamplingBuffer(max_size, seed))
        return made[-1]

    model = ReplayClassifier(linear(), partial(torch.optim.SGD, lr=0.1), buffer=buffer, max_size=7)
    _after(model, 20)
    assert len(made[0]) == 7


def test_many_rows_at_once() -> None:
    pd = pytest.importorskip("pandas")
    rows = list(SEGMENTS().take(60))
    frame, labels = pd.DataFrame([x for x, _ in rows]), pd.Series([y for _, y in rows])
    model = _small()
    assert model.predict_many(frame).empty
    for start in range(0, 60, 10):
        model.learn_many(frame[start : start + 10], labels[start : start + 10])
    said = model.predict_proba_many(frame)
    assert said.shape == (60, labels.nunique())
    assert said.index.equals(frame.index)
    one = [model.predict_proba_one(x) for x, _ in rows]
    assert said.to_numpy() == pytest.approx(np.array([list(p.values()) for p in one]), abs=1e-6)
