"""What a job says of drift and experiences: stages, and actions bound to the right ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.config import Job, build, load_job, to_toml
from streamreplay.errors import ConfigError
from streamreplay.evaluation import DriftMonitor
from streamreplay.pipeline import Pipeline

JOB = """
[source]
path = "rows.jsonl"
batch_size = 4
[buffer]
max_size = 40
[mixer]
steps = 1
[learner]
module = "linear"
method = "er"
schedule = "inverse_sqrt(1000)"
"""
SUDDEN = """
[[drift]]
detector = "PageHinkley(min_instances=5, threshold=1.5, mode='up')"
on = "feature:b"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", 100)
    return tmp_path


def write_rows(path: Path, n: int) -> None:
    """Write rows whose feature b jumps at row 50, with the time in minutes."""
    rng = np.random.default_rng(0)
    rows = [
        {"a": a, "b": float(i >= 50), "y": "ab"[a > 0], "time": 60 * i}
        for i, a in enumerate(rng.standard_normal(n).round(3).tolist())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(folder: Path, text: str, *settings: str) -> Job:
    (folder / "job.toml").write_text(text)
    return load_job(folder / "job.toml", settings)


def run(folder: Path, text: str, *settings: str) -> tuple[Pipeline, list[dict[str, Any]]]:
    pipeline = build(load(folder, text, *settings))
    records = [record for report in pipeline for record in report.metrics]
    return pipeline, [record for record in records if record["kind"] == "drift"]


def complaint(folder: Path, text: str, *settings: str) -> str:
    with pytest.raises(ConfigError) as error:
        build(load(folder, text, *settings))
    return str(error.value)


def test_a_job_without_drift_has_no_such_stage(folder: Path) -> None:
    assert "drift" not in build(load(folder, JOB)).stages


def test_a_drift_is_found_in_a_feature_by_name(folder: Path) -> None:
    pipeline, (record,) = run(folder, JOB + SUDDEN)
    assert list(pipeline.stages)[-3:] == ["evaluator", "drift", "inventory"]
    assert (record["position"], record["name"]) == (52, "pagehinkley-feature:b")
    assert (record["on"], record["value"], record["actions"]) == ("feature:b", 1.0, [])


def test_new_experience(folder: Path) -> None:
    text = JOB + "[experiences]\n" + SUDDEN + 'actions = ["new_experience"]'
    pipeline = build(load(folder, text))
    seen = [
        (report.scored.incoming.t[0], report.scored.incoming.experience.tolist())
        for report in pipeline
        if report.scored is not None
    ]
    assert [experience for t, experience in seen if t < 52] == [[0] * 4] * 13
    assert [experience for t, experience in seen if t >= 52] == [[1] * 4] * 12


def test_replay(folder: Path) -> None:
    text = JOB + SUDDEN + 'actions = ["replay(2.0, rows=10)"]'
    replayed = [r.scored.replayed for r in build(load(folder, text)) if r.scored is not None]
    assert replayed[8:] == [4] * 5 + [8] * 3 + [4] * 9


def test_lr(folder: Path) -> None:
    pipeline = build(load(folder, JOB.replace("schedule", "# ") + SUDDEN + 'actions = ["lr(0.5)"]'))
    learner: Any = pipeline["learner"]
    rates = [learner._network.optimizer.param_groups[0]["lr"] for _ in pipeline]
    assert rates == [0.001] * 13 + [0.0005] * 13


def test_restart_schedule(folder: Path) -> None:
    text = JOB + SUDDEN + 'actions = ["restart_schedule"]'
    pipeline = build(load(folder, text))
    steps = [pipeline["learner"]._trainer.scheduler.steps for _ in pipeline]
    assert steps[10:16] == [11, 12, 0, 1, 2, 3]


def test_shrink_and_forget(folder: Path) -> None:
    text = JOB + SUDDEN + 'actions = ["shrink(0.5)", "forget(20)"]'
    pipeline = build(load(folder, text))
    for report in pipeline:
        if any(record["kind"] == "drift" for record in report.metrics):
            assert pipeline["buffer"].max_size == 20
            stored = pipeline["buffer"].buffer.t
            assert set(stored.tolist()) <= set(range(32, 52))
            assert len(stored)
    assert len(pipeline["buffer"]) <= 20
    assert run(folder, JOB + SUDDEN + 'actions = ["shrink(0.01)"]')[0]["buffer"].max_size == 1


def test_a_shrunk_buffer_goes_on(folder: Path) -> None:
    text = JOB + SUDDEN + 'actions = ["shrink(0.5)", "replay(2, rows=30)", "lr(3.0)"]'
    whole, records = run(folder, text)
    for cut in (13, 14, 20):
        first, second = (build(load(folder, text)) for _ in range(2))
        reports = iter(first)
        log = [record for _ in range(cut) for record in next(reports).metrics]
        second.load_state_dict(first.state_dict())
        log += [record for report in second for record in report.metrics]
        assert [record for record in log if record["kind"] == "drift"] == records
        assert second["buffer"].buffer.t.tolist() == whole["buffer"].buffer.t.tolist()


@pytest.mark.parametrize(
    ("by", "want"),
    [
        ('by = "count"\nrows = 30', [0] * 8 + [1] * 7 + [2] * 8 + [3] * 2),
        ('by = "time"\nseconds = 1800', [0] * 8 + [1] * 7 + [2] * 8 + [3] * 2),
    ],
)
def test_experiences(folder: Path, by: str, want: list[int]) -> None:
    pipeline = build(load(folder, f"{JOB}[experiences]\n{by}", "source.time=time"))
    assert next(iter(pipeline.stages)) == "experiences"
    seen = [r.scored.incoming.experience[0] for r in pipeline if r.scored is not None]
    assert seen == want


def test_several_monitors_by_default_names_and_seeds(folder: Path) -> None:
    text = JOB + "".join(
        f"[[drift]]\ndetector = {detector!r}\non = {on!r}\n"
        for detector, on in (
            ("binary.DDM", "labels"),
            ("river.drift.binary.HDDMA()", "label:a"),
            ("KSWIN(alpha=0.01)", "loss"),
            ("drift.KSWIN(alpha=0.01)", "features"),
        )
    )
    monitor = build(load(folder, text))["drift"]
    assert isinstance(monitor, DriftMonitor)
    names = ["ddm-labels", "hddma-label:a", "kswin-loss", "kswin-features"]
    assert [each.name for each in monitor.detectors] == names
    seeds = [each.detector.seed for each in monitor.detectors[2:]]
    assert len(set(seeds)) == 2
    assert [d.detector.seed for d in build(load(folder, text))["drift"].detectors[2:]] == seeds


def test_the_command_line_sets_monitors(folder: Path) -> None:
    settings = (
        "drift.0.on=loss",
        "drift.1.name=b",
        "drift.b.cooldown=3",
        "drift.b.actions=['lr(2)']",
    )
    job = load(folder, JOB + SUDDEN, *settings)
    assert [each.on for each in job.drift] == ["loss", "error"]
    assert (job.drift[1].name, job.drift[1].cooldown, job.drift[1].actions) == ("b", 3, ["lr(2)"])
    assert load(folder, to_toml(job)) == job
    (made,) = load_job(None, ["drift.0.detector=DDM()"]).drift
    assert made.detector == "DDM()"
    for setting, message in (
        ("drift.3.on=loss", "drift.3.on: there is no [[drift]] '3'"),
        ("drift.c.on=loss", "drift.c.on: there is no [[drift]] 'c'"),
        ("drift.on=loss", "drift.on: drift is an array [[drift]]: name one by its place"),
        ("drift.0.acton=loss", "drift[0].acton: unknown key, did you mean actions?"),
        ("drift.0.cooldown=-1", "drift[0].cooldown: must be greater than or equal to 0, got -1"),
    ):
        with pytest.raises(ConfigError) as error:
            load(folder, JOB + SUDDEN, setting)
        assert str(error.value).startswith(f"command line: {message}")


RIVER = '[learner]\nriver = "naive_bayes.GaussianNB()"\n'
PLAIN = JOB.partition("[learner]")[0]
SEVERAL = PLAIN + "[[learner]]\nmodule = 'linear'\nmethod = 'er'\n" * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            JOB + SUDDEN + 'actions = ["new_experience"]',
            'drift.actions: new_experience needs a section [experiences], with by = "drift"',
        ),
        (
            JOB + '[experiences]\nby = "drift"',
            'experiences.by: drift needs a [[drift]] with actions = ["new_experience"], got none',
        ),
        (
            JOB + '[experiences]\nby = "count"',
            "experiences.rows: is missing, by = 'count' needs it",
        ),
        (
            JOB + '[experiences]\nby = "count"\nrows = 3\nseconds = 1.0',
            "experiences.seconds: does not go with by = 'count'",
        ),
        (
            JOB + '[experiences]\nby = "time"\nseconds = 1.0',
            "experiences.by: time needs source.time, the column with event times",
        ),
        (
            JOB.replace("batch_size", "experience = 'e'\nbatch_size")
            + '[experiences]\nby = "count"\nrows = 3',
            "experiences: goes without source.experience, which says where they begin",
        ),
        (
            PLAIN + RIVER + SUDDEN + 'actions = ["lr(2.0)"]',
            "drift.actions: lr needs a torch module, got learner.river",
        ),
        (
            PLAIN + RIVER + SUDDEN + 'actions = ["restart_schedule"]',
            "drift.actions: restart_schedule needs learner.schedule, got none",
        ),
        (
            JOB.replace("max_size", "kind = 'none'\nmax_size") + SUDDEN + 'actions = ["replay(2)"]',
            (
                "drift.actions: replay needs a learner that rehearses with each batch, "
                "got a buffer without room"
            ),
        ),
        (
            JOB.replace('"er"', '"gdumb"') + SUDDEN + 'actions = ["replay(2)"]',
            (
                "drift.actions: replay needs a learner that rehearses with each batch, "
                "got a method that retrains from memory"
            ),
        ),
        (
            JOB.replace("40", "0") + SUDDEN + 'actions = ["forget(3)"]',
            "drift.actions: forget needs a buffer, got one without room",
        ),
        (
            JOB + SUDDEN + 'actions = ["shrink(2)"]',
            (
                "drift[0].actions[0], character 1: 'shrink(2)' cannot be made: share must be "
                "between 0 and 1, got 2"
            ),
        ),
        (
            JOB + SUDDEN + 'actions = ["replay(2, rows=2.5)"]',
            (
                "drift[0].actions[0], character 1: 'replay(2, rows=2.5)' cannot be made: rows must "
                "be a whole number, got 2.5"
            ),
        ),
        (
            JOB + SUDDEN + 'actions = ["checkpoint", "print()"]',
            (
                "drift[0].actions[1], character 1: 'print' cannot be used; allowed is "
                "new_experience, replay, lr, restart_schedule, shrink, forget, checkpoint"
            ),
        ),
        (
            JOB + SUDDEN + 'actions = ["checkpoint", "checkpoint"]',
            "drift[0].actions[1]: is there already, got 'checkpoint' twice",
        ),
        (JOB + SUDDEN * 2, "drift[1].name: must be its own, got 'pagehinkley-feature:b' twice"),
        (
            JOB + "[[drift]]\ndetector = 'ADWIN(gamma=1)'",
            (
                "drift[0].detector, character 1: 'ADWIN(gamma=1)' cannot be made: TypeError: "
                "ADWIN.__init__() got an unexpected keyword argument 'gamma'"
            ),
        ),
        (
            JOB + "[[drift]]\ndetector = 'open(3)'",
            "drift[0].detector, character 1: River has no class 'open'",
        ),
        (
            JOB + "[[drift]]\ndetector = 'PeriodicTrigger()'",
            "drift[0].detector, character 1: River has no class 'PeriodicTrigger'",
        ),
        (
            JOB + "[[drift]]\ndetector = 'naive_bayes.GaussianNB()'",
            "drift[0]: detector must be one of river.drift, got GaussianNB",
        ),
        (
            JOB + "[[drift]]\non = 'errors'",
            (
                "drift[0]: on must be error, loss, features, labels, feature:NAME or label:NAME, "
                "got 'errors'"
            ),
        ),
        (
            JOB.replace("batch_size", "target = 'b'\nbatch_size") + "[[drift]]\non = 'labels'",
            "drift[0].on: labels needs classes or labels, got source.target",
        ),
        (
            SEVERAL + "[experiences]\n" + SUDDEN + 'actions = ["new_experience"]',
            (
                "learner1: drift.actions: new_experience is for one learner: the drifts of several "
                "would each begin one for all"
            ),
        ),
        (
            SEVERAL.replace("max_size", "shared = true\nmax_size")
            + SUDDEN
            + 'actions = ["shrink(0.5)"]',
            "learner1: drift.actions: shrink goes without buffer.shared",
        ),
    ],
)
def test_what_does_not_go_together_is_said(folder: Path, text: str, message: str) -> None:
    assert complaint(folder, text) == message


def test_several_learners_have_a_monitor_each(folder: Path) -> None:
    text = SEVERAL + SUDDEN + 'actions = ["shrink(0.5)", "lr(2.0)", "replay(2, rows=9)"]'
    pipeline, records = run(folder, text)
    assert [(r["learner"], r["position"]) for r in records] == [("learner1", 52), ("learner2", 52)]
    assert [pipeline["learners"][f"learner{i}"]["buffer"].max_size for i in (1, 2)] == [20, 20]
    shared = text.replace("max_size", "shared = true\nmax_size").replace('"shrink(0.5)", ', "")
    assert len(run(folder, shared)[1]) == 2


def test_behind_a_backbone_features_have_numbers(folder: Path) -> None:
    (folder / "spines.py").write_text(
        "from torch import nn\ndef make(shape):\n    return nn.Linear(*shape, 3)\n"
    )
    text = JOB + "[backbone]\nmodule = 'spines:make'\n[[drift]]\non = 'features'"
    pipeline = build(load(folder, text))
    list(pipeline)
    (monitor,) = pipeline["drift"].state_dict()["monitors"].values()
    assert list(monitor["watches"]) == ["feature:0", "feature:1", "feature:2"]
