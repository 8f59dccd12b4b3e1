"""Numbers and labels on the command line: job files, logs, resume, and what a user does wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.commands.test_kill import kill_and_resume

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

Run = Callable[..., tuple[int, str, str]]

NUMBERS = """
[source]
path = "rows.jsonl"
target = "price"
weight = "w"
features = ["a", "b"]
id = "id"
batch_size = 10

[learner]
hidden = [16]
lr = 0.01
huber = 2.0

[buffer]
max_size = 100

[evaluator]
report_every = 100
"""
SEVERAL = NUMBERS.replace('"price"', '["price", "size"]')
LABELS = """
[source]
path = "rows.csv"
multilabel = ["red", "big"]
features = ["a", "b"]
batch_size = 10

[learner]
hidden = [16]
lr = 0.01

[evaluator]
report_every = 100
"""
LISTED = """
[source]
path = "rows.jsonl"
label = "tags"
multilabel = ["red", "big", "new"]
features = ["a", "b"]
batch_size = 10
"""
JOBS = {"numbers": NUMBERS, "several": SEVERAL, "labels": LABELS, "listed": LISTED}


def write(cli: Cli, n: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, n)).round(4).tolist()
    lines, cells = [], ["a,b,red,big"]
    for i, (x, z) in enumerate(zip(a, b, strict=True)):
        tags = [name for name, there in (("red", x > 0), ("big", x + z > 0.5)) if there]
        record: dict[str, Any] = {"id": f"r{i}", "a": x, "b": z, "tags": tags, "w": 1 + i % 2}
        record |= {"price": round(1000 + 50 * x - 20 * z, 3), "size": round(z / 100, 6)}
        if i % 20 == 7:
            del record["price"], record["size"], record["tags"]
        if i % 50 == 11:
            record |= {"price": "much", "tags": ["blue"]}
        lines.append(json.dumps(record))
        cells.append(f"{x},{z},{int('red' in tags)},{int('big' in tags)}")
    (cli.folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (cli.folder / "rows.csv").write_text("\n".join(cells) + "\n")
    for name, text in JOBS.items():
        (cli.folder / f"{name}.toml").write_text(text)


def read(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("job", ["numbers", "several"])
def test_numbers(in_process: Run, cli: Cli, job: str) -> None:
    write(cli, 600)
    code, out, err = in_process("run", f"{job}.toml", "-o", "out", "--emit", "predictions")
    assert code == 0, err
    lines = read(out)
    assert (cli.folder / "out" / "predictions.jsonl").read_text() == out
    assert len(lines) == 588  # 12 dead letters
    first, unlabelled, later = lines[0], lines[7], lines[-1]
    assert list(later) == ["position", "id", "prediction", "target", "absolute_error"]
    nothing = None if job == "numbers" else {"price": None, "size": None}
    assert (first["prediction"], first["absolute_error"]) == (nothing, None)
    assert (unlabelled["id"], unlabelled["target"]) == ("r7", None)
    if job == "numbers":
        assert type(later["prediction"]) is float
        assert later["absolute_error"] == pytest.approx(abs(later["prediction"] - later["target"]))
    else:
        assert set(later["prediction"]) == set(later["target"]) == {"price", "size"}
    metrics = read((cli.folder / "out" / "metrics.jsonl").read_text())
    scores = [m for m in metrics if m["kind"] == "prequential"]
    assert [m["position"] for m in scores] == [100, 200, 300, 400, 500, 588]
    assert not any("by_class" in m for m in metrics)
    last = scores[-1]
    assert (last["unlabelled"], last["unpredicted"]) == (30, 9)
    assert last["r2"] > 0.5
    assert last["mae"] < last["mean"]["mae"] < last["no_change"]["mae"]
    assert set(last.get("by_output", {})) == (set() if job == "numbers" else {"price", "size"})
    assert "mae " in err
    code, shown, _ = in_process("inspect", "out")
    assert (code, "rmse" in shown) == (0, True)


@pytest.mark.parametrize("job", ["labels", "listed"])
def test_labels(in_process: Run, cli: Cli, job: str) -> None:
    write(cli, 600)
    code, out, err = in_process("run", f"{job}.toml", "-o", "out", "--emit", "predictions")
    assert code == 0, err
    names = ["red", "big"] if job == "labels" else ["red", "big", "new"]
    *_, last = lines = read(out)
    assert list(last) == ["position", "id", "prediction", "probability", "label", "correct"]
    assert list(last["probability"]) == names
    assert last["prediction"] == [name for name, p in last["probability"].items() if p >= 0.5]
    assert last["correct"] == (last["prediction"] == last["label"])
    if job == "listed":
        assert (lines[7]["label"], lines[7]["correct"]) == (None, None)
    *_, record, _, _ = read((cli.folder / "out" / "metrics.jsonl").read_text())
    assert list(record["by_label"]) == names
    assert record["f1_micro"] > record["majority"]["f1_micro"]
    assert "exact match " in err


@pytest.mark.parametrize("job", JOBS)
def test_a_run_that_went_on_says_the_same(in_process: Run, cli: Cli, job: str) -> None:
    write(cli, 400)
    args = ("run", f"{job}.toml", "--emit", "predictions", "--quiet")
    assert in_process(*args, "-o", "whole")[0] == 0
    assert in_process(*args, "-o", "out", "--limit", "130")[0] == 0
    assert in_process("run", "--resume", "-o", "out", "--limit", "0", "--quiet")[0] == 0
    for name in ("predictions.jsonl", "dead_letters.jsonl"):
        whole, resumed = ((cli.folder / d / name).read_bytes() for d in ("whole", "out"))
        assert whole == resumed, name


@pytest.mark.slow
@pytest.mark.parametrize("job", ["several", "listed"])
def test_kill_and_resume(cli: Cli, job: str) -> None:
    write(cli, 2500)
    kill_and_resume(cli, (f"{job}.toml",), kills=2, seed=len(job))


@pytest.mark.parametrize("job", ["numbers", "labels"])
def test_held_out_rows(in_process: Run, cli: Cli, job: str) -> None:
    write(cli, 400)
    test = ("--set", "test.share=0.2", "--set", "test.every=100")
    if job == "numbers":  # every row of a test set needs a target
        path = cli.folder / "rows.jsonl"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if '"price": ' in line))
    code, out, err = in_process("run", f"{job}.toml", *test, "--quiet")
    assert code == 0, err
    retention = [record for record in read(out) if record["kind"] == "retention"]
    assert len(retention) >= 3
    name = "mae" if job == "numbers" else "f1_micro"
    assert retention[-1][name] == pytest.approx(retention[-1]["by_experience"]["0"][name])
    better = retention[-1][name] < retention[0][name]
    assert better == (job == "numbers")


def test_a_regressor_of_river(in_process: Run, cli: Cli) -> None:
    write(cli, 300)
    model = (
        "learner.river='preprocessing.StandardScaler() | "
        "preprocessing.TargetStandardScaler(linear_model.LinearRegression())'"
    )
    job = NUMBERS.partition("[learner]")[0].replace('weight = "w"\n', "")
    (cli.folder / "river.toml").write_text(job)
    window = ("--set", "evaluator.window=100")
    args = ("run", "river.toml", "--set", model, *window, "--batch-size", "1", "--quiet")
    code, out, err = in_process(*args)
    assert code == 0, err
    *_, last, _, _ = read(out)
    assert last["r2_window"] > 0.9
    code, _, err = in_process(*args, "--set", "source.weight=w")
    assert (code, "TargetStandardScaler takes no weights of rows" in err) == (1, True)


BROKEN = """
from river import dummy, stats

class Broken(dummy.StatisticRegressor):
    def predict_one(self, x):
        raise KeyError("a")

def make():
    return Broken(stats.Mean())
"""


def test_what_a_regressor_raises_is_a_mistake_of_the_job(in_process: Run, cli: Cli) -> None:
    write(cli, 30)
    (cli.folder / "brokenregressors.py").write_text(BROKEN)
    (cli.folder / "river.toml").write_text(NUMBERS.partition("[learner]")[0])
    model = "learner.river='brokenregressors:make'"
    code, _, err = in_process("run", "river.toml", "--set", model, "--quiet")
    message = "learner.river: 'brokenregressors:make' failed: KeyError: 'a' (brokenregressors.py:6)"
    assert (code, err) == (1, f"streamreplay: error: {message}\n")


def test_several_learners_of_numbers(in_process: Run, cli: Cli) -> None:
    write(cli, 400)
    text = NUMBERS.replace("[learner]", '[[learner]]\nname = "small"')
    text += '\n[[learner]]\nname = "linear"\nmodule = "linear"\n'
    (cli.folder / "two.toml").write_text(text)
    code, out, err = in_process("run", "two.toml", "-o", "out", "--emit", "predictions")
    assert code == 0, err
    first, second, *_ = read(out)[-2:]
    assert (first["learner"], second["learner"]) == ("small", "linear")
    assert first["position"] == second["position"]
    assert first["target"] == second["target"]
    assert "MAE in window" in err
    records = read((cli.folder / "out" / "metrics.jsonl").read_text())
    assert {record.get("learner", record["kind"]) for record in records} == {
        *("small", "linear", "rows")
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["source.label=price"], "source.target: numbers go without source.label, got label = 'pr"),
        (
            ["source.multilabel=['a']"],
            "source.target: numbers go without source.multilabel, which are labels, got",
        ),
        (["source.target=3"], "source: JSON fields have names, got 3"),
        (["source.target=[]"], "source: target must be different names"),
        (
            ["source.split.n_experiences=2"],
            "source.split: is by class, and rows with source.target have none",
        ),
        (["source.format=idx"], "source.target: IDX files have classes only"),
        (["learner.method=er-ace", "buffer.kind=none"], "learner.method: asymmetric cross-entropy"),
        (["learner.method=ncm"], "learner.method: ncm: is for classes, and rows have numbers"),
        (["learner.label_smoothing=0.1"], "learner.label_smoothing: is for classes"),
        (["learner.huber=0"], "command line: learner.huber"),
        (["learner.river='linear_model.SoftmaxRegression()'"], "learner"),
    ],
)
def test_mistakes(in_process: Run, cli: Cli, settings: list[str], message: str) -> None:
    write(cli, 100)
    job = "numbers.toml"
    if "river" in settings[0]:
        (cli.folder / job).write_text(NUMBERS.partition("[learner]")[0])
        message = "learner: SoftmaxRegression predicts classes, and the stream has numbers"
    args = [part for setting in settings for part in ("--set", setting)]
    code, _, err = in_process("run", job, *args, "--quiet")
    assert code == 1
    assert err.startswith(f"streamreplay: error: {message}"), err
    assert err.count("\n") == 1


def test_no_target_at_all_is_told(in_process: Run, cli: Cli) -> None:
    write(cli, 50)
    code, _, err = in_process("run", "numbers.toml", "--set", "source.target=prise")
    assert code == 3
    assert (
        "no row had a target in 'prise': nothing was learned; set it with --set source.target"
        in err
    )
