"""Predictions are those that the learner itself would have made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay import build, latest_checkpoint, load_job
from streamreplay.learners.neural.predictor import Predictor
from streamreplay.learners.neural.targets import ClassTargets
from streamreplay.predicting.inputs import open_input
from streamreplay.predicting.trained import open_run
from streamreplay.run import RunOptions, run_job
from tests.predicting.conftest import (
    Predict,
    Record,
    Train,
    as_csv,
    numbers,
    table,
    without,
    write,
)

BATCH = "source.batch_size=50"


def the_run_itself(out: Path, more: Path) -> list[Record]:
    """Go on with a run, with all further rows in one batch, and return its predictions of them."""
    seen = latest_checkpoint(out / "checkpoints")
    assert seen is not None
    job = load_job(out / "job.toml", ["run.save_predictions=true"])
    files = [job.source.path, str(more)] if isinstance(job.source.path, str) else job.source.path
    source = job.source.model_copy(update={"path": files})
    job = job.model_copy(update={"source": source})
    run_job(job, RunOptions(out=out, resume=True, go_on=True, quiet=True, trust=True))
    lines = map(json.loads, (out / "predictions.jsonl").read_text().splitlines())
    return [line for line in lines if line["position"] >= seen.position]


SETTINGS: dict[str, list[str]] = {
    "er-slda": [],
    "er": ["learner.method=er"],
    "ncm": ["learner.method=ncm"],
    "averages": ["learner.method=er", "learner.ema=0.9"],
    "averages and means": ["learner.method=ncm", "learner.ema=0.9"],
    "gdumb, due": ["learner.method=gdumb", "learner.retrain_every=200", "learner.retrain_passes=8"],
    "gdumb, not due": [
        "learner.method=gdumb",
        "learner.retrain_every=150",
        "learner.retrain_passes=8",
    ],
    "linear": ["learner.module=linear"],
    "cosine head": ["learner.method=er", "learner.head=cosine"],
    "River": ["learner.river=tree.HoeffdingTreeClassifier()", "learner.allow_pickle=true"],
    "unscaled": ["learner.normalize=none"],
}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("rows", [table, numbers])
def test_they_are_those_of_the_next_batch(
    kind: str, rows: Any, train: Train, predict: Predict, tmp_path: Path
) -> None:
    """The run ends at a whole batch, so that the rows behind it are one batch in both cases."""
    all_rows = rows(250)
    first = write(tmp_path / "a.csv", as_csv(all_rows[:200]))
    more = write(tmp_path / "b.csv", as_csv(all_rows[200:]))
    out = train(first, BATCH, *SETTINGS[kind])
    code, lines, err = predict(out, more, trust=True)
    own = the_run_itself(out, more)
    assert code == 0, err
    assert len(own) == len(lines) == 50
    assert [line["prediction"] for line in lines] == [line["prediction"] for line in own]
    mine = [line["probability"] for line in lines]
    np.testing.assert_allclose(mine, [line["probability"] for line in own], rtol=2e-5)
    assert len({line["prediction"] for line in lines}) > 1
    right = sum(line["correct"] for line in own)
    assert f"accuracy {right / 50:.4f} over 50 with a label" in err


def test_class_means_that_are_too_old_are_computed_again(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    """They are computed at the second batch, and are as old as they may be behind the 51st."""
    rows = table(208)
    first = write(tmp_path / "a.csv", as_csv(rows[:204]))
    more = write(tmp_path / "b.csv", as_csv(rows[204:]))
    out = train(first, "learner.method=ncm", "source.batch_size=4")
    state = open_run(out).learner.state_dict()["predictor"]["classifiers"]["ncm"]
    assert state["age"] == 0
    _, lines, _ = predict(out, more)
    own = the_run_itself(out, more)
    mine = [line["probability"] for line in lines]
    np.testing.assert_allclose(mine, [line["probability"] for line in own], rtol=2e-5)


@pytest.mark.parametrize("method", ["er-slda", "er", "mkd"])
def test_every_bit_is_that_of_predict_proba(method: str, train: Train, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", as_csv(table(300)))
    out = train(path, f"learner.method={method}")
    trained = open_run(out)
    checkpoint = latest_checkpoint(out / "checkpoints")
    assert checkpoint is not None
    pipeline = build(load_job(out / "job.toml"))
    pipeline.load_state_dict(checkpoint.state["pipeline"])
    more = write(tmp_path / "b.csv", as_csv(without(table(70, seed=1), "y")))
    batches = 0
    for batch, _ in open_input(trained.job, trained.columns, [str(more)]):
        found = trained.foresee(batch)
        expected = pipeline["learner"].predict_proba(batch.x)
        np.testing.assert_array_equal(found.probabilities(), expected)
        np.testing.assert_array_equal(found.predictions.prediction, expected.argmax(1))
        batches += 1
    assert batches == 3


def test_all_of_it_runs_with_the_threads_of_the_learner(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others change the last digits, and make small batches several times as slow."""
    path = write(tmp_path / "a.csv", as_csv(table(100)))
    trained = open_run(train(path, "learner.threads=1"))
    found: list[int] = []

    def noting(function: Any) -> Any:
        def noted(*args: Any) -> Any:
            found.append(torch.get_num_threads())
            return function(*args)

        return noted

    for owner, name in (
        (Predictor, "predict"),
        (ClassTargets, "predict"),
        (ClassTargets, "probabilities"),
    ):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ((batch, _), *_) = open_input(trained.job, trained.columns, [str(path)])
        trained.foresee(batch).probabilities()
        assert found == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_several_learners_are_each_as_alone(train: Train, predict: Predict, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", as_csv(table(200)))
    first = '[[learner]]\nname = "one"\nmethod = "ncm"\nhidden = [8]\nlr = 0.01\n'
    toml = f'{first}[[learner]]\nname = "two"\n'
    job = load_job(write(tmp_path / "job.toml", toml), [f"source.path={path}", "run.emit=none"])
    run_job(job, RunOptions(out=tmp_path / "both", quiet=True))
    alone = train(path, "learner.hidden=[8]", "learner.method=ncm", name="alone")
    more = write(tmp_path / "b.csv", as_csv(table(40, seed=1)))
    _, both, _ = predict(tmp_path / "both", more, learner="one")
    assert both == predict(alone, more)[1]
    _, two, _ = predict(tmp_path / "both", more, learner="two")
    assert two != both


def test_numbers_are_predicted_on_their_own_scale(
    train: Train, predict: Predict, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": a, "price": 100 + 20 * a, "tax": -a} for a in rng.normal(size=400).tolist()]
    out = train(
        write(tmp_path / "a.csv", as_csv(rows[:350])), 'source.target=["price", "tax"]', BATCH,
        "learner.lr=0.02",
    )  # fmt: skip
    more = write(tmp_path / "b.csv", as_csv(rows[350:]))
    code, lines, err = predict(out, more)
    assert code == 0
    assert "mae" in err
    bare = write(tmp_path / "c.csv", as_csv(without(rows[350:], "price", "tax")))
    _, unlabelled, err = predict(out, bare)
    assert unlabelled == lines
    assert "mae" not in err
    own = the_run_itself(out, more)
    assert [line["prediction"] for line in lines] == [line["prediction"] for line in own]


def test_several_labels_of_a_row(train: Train, predict: Predict, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"a": round(a, 3), "hot": int(a > 0), "cold": int(a < 0.5)}
        for a in rng.normal(size=400).tolist()
    ]
    out = train(
        write(tmp_path / "a.csv", as_csv(rows[:350])), 'source.multilabel=["hot", "cold"]', BATCH
    )
    more = write(tmp_path / "b.csv", as_csv(rows[350:]))
    _, lines, err = predict(out, more)
    assert lines[0]["probability"].keys() == {"hot", "cold"}
    assert "exact match" in err
    bare = write(tmp_path / "c.csv", as_csv(without(rows[350:], "hot", "cold")))
    assert predict(out, bare)[1] == lines
    own = the_run_itself(out, more)
    assert [line["prediction"] for line in lines] == [line["prediction"] for line in own]
