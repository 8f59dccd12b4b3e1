"""The same figures as River's own evaluation of a real stream, to the last digit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import river.metrics
import river.naive_bayes
from numpy.typing import NDArray
from river import datasets, evaluate, preprocessing

from streamreplay import ArraySource, Pipeline, Prequential, RiverLearner
from streamreplay.records import Scored

metrics: Any = river.metrics
naive_bayes: Any = river.naive_bayes
NAMES = (
    "Accuracy", "BalancedAccuracy", "CohenKappa", "F1", "GeometricMean", "Jaccard", "MCC",
    "MacroF1", "MacroPrecision", "MicroF1", "MutualInfo", "Precision", "Recall", "WeightedF1",
)  # fmt: skip
PROBABLE = ("ROCAUC", "LogLoss")


@cache
def phishing() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rows = [(list(x.values()), int(y)) for x, y in datasets.Phishing()]
    return np.array([x for x, _ in rows], np.float32), np.array([y for _, y in rows])


def model() -> Any:
    return preprocessing.StandardScaler() | naive_bayes.GaussianNB()


def ours(size: int) -> tuple[dict[str, float], list[Scored]]:
    """Return the figures at the end, and all that was predicted."""
    x, y = phishing()
    source = ArraySource(x, y, batch_size=size)
    pipeline = Pipeline(
        source,
        learner=RiverLearner(model(), many=False),
        evaluator=Prequential(
            metrics=[getattr(metrics, name)() for name in (*NAMES, *PROBABLE)],
        ),
    )
    reports = list(pipeline)
    assert source.labels.names == [1, 0]  # in order of first sight
    return reports[-1].metrics[-1]["metrics"], [each.scored for each in reports if each.scored]


def test_rows_one_by_one_are_rivers_progressive_validation() -> None:
    x, y = phishing()
    rows: list[Any] = [
        (dict(enumerate(row)), label) for row, label in zip(x.tolist(), y.tolist(), strict=True)
    ]
    labels = metrics.base.Metrics([getattr(metrics, name)() for name in NAMES])
    evaluate.progressive_val_score(rows, model(), labels)
    got, _ = ours(1)
    assert {name: got[name] for name in NAMES} == {
        type(each).__name__: each.get() for each in labels
    }
    # ours are rounded to float32 on the way, to 1 where a wrong prediction was nearly sure
    for name, rounding in zip(PROBABLE, (1e-6, 1e-2), strict=True):
        metric = evaluate.progressive_val_score(rows, model(), getattr(metrics, name)())
        assert got[name] == pytest.approx(metric.get(), rel=rounding)


@pytest.mark.parametrize("size", [1, 64])
def test_rivers_objects_told_of_the_same_predictions(size: int) -> None:
    got, scored = ours(size)
    rows: list[Any] = [
        row
        for each in scored
        for row in zip(
            each.incoming.y.tolist(),
            each.prediction.tolist(),
            each.probability.tolist(),
            strict=True,
        )
        if row[1] >= 0
    ]
    assert len(rows) == 1250 - size
    for name in NAMES + PROBABLE:
        metric = getattr(metrics, name)()
        for y, said, p in rows:
            metric.update(y == 0, (1 - p if said else p) if name in PROBABLE else said == 0)
        assert got[name] == metric.get(), name
