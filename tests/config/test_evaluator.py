"""Metrics in a job: what is understood, what it is called, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from streamreplay.config import Job, build
from streamreplay.errors import ConfigError


def job(folder: Path, metrics: Any, n: int = 40, **source: Any) -> Job:
    rng = np.random.default_rng(0)
    rows = [
        {
            "x": float(rng.random()),
            "class": ["UP", "DOWN"][int(rng.random() < 0.4)],
            "price": float(rng.random()),
            "a": bool(rng.random() < 0.5),
            "b": bool(rng.random() < 0.5),
        }
        for _ in range(n)
    ]
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    settings = {"path": str(path), "features": ["x"], "batch_size": 1}
    settings |= source or {"label": "class"}
    tree = {"source": settings, "evaluator": {"metrics": metrics}, "learner": {"method": "er"}}
    return Job.model_validate(tree)


def last(made: Job) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for report in build(made):
        for record in report.metrics:
            found = record if record["kind"] == "prequential" else found
    return found


def test_names_are_those_of_classes_or_as_written(tmp_path: Path) -> None:
    texts = ["CohenKappa", "river.metrics.MacroF1()", " FBeta(beta=0.5) ", "metrics.MCC", "ROCAUC"]
    record = last(job(tmp_path, texts))
    names = ["CohenKappa", "MacroF1", "FBeta(beta=0.5)", "MCC", "ROCAUC"]
    assert list(record["metrics"])[::3] == names
    assert all(isinstance(record["metrics"][name], float) for name in names)
    assert record["metrics"]["CohenKappa"] == pytest.approx(record["kappa"], abs=0.1)


def test_a_positive_class_goes_by_the_streams_name(tmp_path: Path) -> None:
    texts = ["Recall(pos_val='UP')", 'Recall(pos_val="DOWN")', "Recall"]
    record = last(job(tmp_path, texts))
    up, down, default = (record["metrics"][text] for text in texts)
    classes = record["by_class"]
    first = "UP" if classes[0]["rows"] > classes[1]["rows"] else "DOWN"
    recalls = {"UP": up, "DOWN": down}
    assert recalls[first] == pytest.approx(classes[0]["accuracy"], abs=0.05)
    assert default == recalls[{"UP": "DOWN", "DOWN": "UP"}[first]]  # the second to come


def test_of_numbers_and_of_labels(tmp_path: Path) -> None:
    record = last(job(tmp_path, ["MAPE", "MAE"], target="price"))
    assert record["metrics"]["MAE"] == pytest.approx(record["mae"])
    record = last(
        job(tmp_path, ["multioutput.ExactMatch", "MacroAverage(F1())"], multilabel=["a", "b"])
    )
    assert record["metrics"]["ExactMatch"] == pytest.approx(record["exact_match"])
    assert record["metrics"]["MacroAverage(F1())"] is not None


@pytest.mark.parametrize(
    ("texts", "source", "message"),
    [
        (
            ["MacroF"],
            {},
            "evaluator.metrics, character 1: River has no class 'MacroF', did you mea",
        ),
        (
            ["FBeta"],
            {},
            "evaluator.metrics, character 1: 'FBeta' cannot be made: TypeError: .*beta",
        ),
        (["open('x')"], {}, "evaluator.metrics, character 1: River has no class 'open'"),
        (["F1", "F1()"], {}, "evaluator.metrics: must be different, got F1 twice"),
        (["Silhouette"], {}, "evaluator.metrics: Silhouette judges clusters"),
        (["ConfusionMatrix"], {}, "evaluator.metrics: ConfusionMatrix is no single number"),
        (["tree.HoeffdingTreeClassifier"], {}, "evaluator.metrics: .* must be a metric of River"),
        (
            ["MAE"],
            {},
            "evaluator.metrics: MAE scores numbers, and the stream has classes: see source.target",
        ),
        (
            ["F1"],
            {"target": "price"},
            "F1 scores classes, and the stream has numbers: see source.la",
        ),
        (["F1"], {"multilabel": ["a"]}, "F1 scores classes, and the stream has labels"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, texts: list[str], source: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(job(tmp_path, texts, **source))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ROCAUC", "ROCAUC is of two classes, and the stream has 3"),
        ("F1(pos_val='5')", r"F1\(pos_val='5'\): no class of the stream is called '5'"),
    ],
)
def test_where_all_classes_are_known_before(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, x=np.zeros((6, 1), np.float32), y=np.arange(6) % 3)
    source = {"path": str(path)}
    made = Job.model_validate({"source": source, "evaluator": {"metrics": [text]}})
    with pytest.raises(ConfigError, match=f"^evaluator.metrics: {message}"):
        build(made)
