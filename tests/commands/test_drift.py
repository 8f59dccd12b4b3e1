"""Drift at the command line: what it says, what it saves, and what a kill does to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.commands.test_kill import kill_and_resume

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

JOB = """
[source]
path = "rows.jsonl"
batch_size = 8
[experiences]
by = "drift"
[buffer]
max_size = 100
[mixer]
steps = 1
[learner]
method = "er"
hidden = [8]
schedule = "inverse_sqrt(100)"
lr = 0.02
[evaluator]
report_every = 500
[run]
checkpoint_every = 700
[[drift]]
detector = "ADWIN(delta=0.05, clock=8)"
actions = ["new_experience", "replay(2.0, rows=300)", "lr(1.5, rows=300)", "restart_schedule"]
[[drift]]
detector = "DDM()"
warning_actions = ["checkpoint"]
actions = ["shrink(0.9)", "forget(400)", "lr(0.99)"]
[[drift]]
detector = "HDDMW(drift_confidence=0.05, warning_confidence=0.06)"
on = "label:n"
cooldown = 200
[[drift]]
detector = "PageHinkley(threshold=100)"
on = "features"
actions = ["checkpoint"]
"""


def write(folder: Path, n: int, job: str = JOB) -> None:
    """Write rows whose concept turns round each thousand rows, and whose features shift once."""
    rng = np.random.default_rng(0)
    with (folder / "rows.jsonl").open("w") as file:
        for i in range(n):
            a, b = (rng.standard_normal(2) + 3 * (i > n // 2)).round(4).tolist()
            positive = (a > 3 * (i > n // 2)) != (i // 1000 % 2)
            file.write(json.dumps({"a": a, "b": b, "y": "p" if positive else "n"}) + "\n")
    (folder / "job.toml").write_text(job)


def drifts(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "drift"]


@pytest.mark.slow
def test_kill_9_and_resume_fire_every_action_once(cli: Cli) -> None:
    write(cli.folder, 2600)
    assert kill_and_resume(cli, ("job.toml",), kills=2, seed=11)
    records = drifts(cli.folder / "out")
    assert records == drifts(cli.folder / "whole")
    done = [action for record in records for action in record["actions"]]
    for action in ("new_experience", "shrink(0.9)", "forget(400)", "checkpoint", "lr(0.99)"):
        assert done.count(action) >= 1, action
    assert {r["name"] for r in records} == {
        "adwin-error",
        "ddm-error",
        "pagehinkley-features",
        "hddmw-label:n",
    }


def test_a_drift_is_said_as_it_happens_and_counted(
    tmp_path: Path, in_process: Callable[..., tuple[int, str, str]]
) -> None:
    write(tmp_path, 2200)
    code, out, err = in_process("run", "job.toml", "-o", "out", "--emit", "metrics")
    assert code == 0
    records = drifts(tmp_path / "out")
    assert [json.loads(line) for line in out.splitlines() if '"drift"' in line] == records
    first = next(record for record in records if record["name"] == "adwin-error")
    actions = "new_experience, replay(2.0, rows=300), lr(1.5, rows=300), restart_schedule"
    line = f"streamreplay: drift at row {first['position']:,} (adwin-error): {actions}\n"
    assert err.count(line) == 1
    assert err.count("streamreplay: drift at") == sum(r["level"] == "drift" for r in records)
    assert err.count("streamreplay: warning at") == sum(r["level"] == "warning" for r in records)
    assert "(pagehinkley-features, feature:a): checkpoint\n" in err
    count = sum(record["level"] == "drift" for record in records)
    assert f", {count} drifts, " in err.splitlines()[-2]
    code, _, err = in_process("run", "job.toml", "--emit", "none", "--quiet")
    assert (code, err) == (0, "")


def test_a_class_that_no_row_had_is_told_at_the_end(
    tmp_path: Path, in_process: Callable[..., tuple[int, str, str]]
) -> None:
    write(tmp_path, 200, JOB.replace("label:n", "label:no"))
    code, _, err = in_process("run", "job.toml", "--emit", "none", "--quiet")
    assert code == 0
    assert err == "streamreplay: warning: drift hddmw-label:no: no row was of class 'no'\n"


def test_a_drift_saves_a_checkpoint_behind_its_batch(
    tmp_path: Path, in_process: Callable[..., tuple[int, str, str]]
) -> None:
    job = JOB.replace("checkpoint_every = 700", "checkpoint_every = 100_000\nkeep_checkpoints = 99")
    write(tmp_path, 2200, job)
    assert in_process("run", "job.toml", "-o", "out", "--emit", "none", "--quiet")[0] == 0
    saving = [r["position"] for r in drifts(tmp_path / "out") if "checkpoint" in r["actions"]]
    assert len(saving) >= 2
    want = {-(-position // 8) * 8 for position in saving} | {2200}
    saved = {int(path.stem[5:]) for path in (tmp_path / "out" / "checkpoints").iterdir()}
    assert saved == want


def test_a_resumed_run_counts_all_drifts(
    tmp_path: Path, in_process: Callable[..., tuple[int, str, str]]
) -> None:
    write(tmp_path, 2200)
    run = ("run", "job.toml", "-o", "out", "--emit", "none")
    assert in_process(*run, "--set", "run.limit=1600")[0] == 0
    before = sum(record["level"] == "drift" for record in drifts(tmp_path / "out"))
    code, _, err = in_process(*run, "--resume", "--set", "run.limit=2200")
    assert code == 0, err
    after = sum(record["level"] == "drift" for record in drifts(tmp_path / "out"))
    assert 0 < before < after
    assert f", {after} drifts, " in err.splitlines()[-2]


def test_several_learners_drift_each_for_itself(
    tmp_path: Path, in_process: Callable[..., tuple[int, str, str]]
) -> None:
    head, _, tail = JOB.partition("[learner]")
    head = head.replace('[experiences]\nby = "drift"\n', "")
    one, _, tail = tail.partition("[evaluator]")
    tail = tail.replace('"new_experience", ', "")
    write(
        tmp_path,
        2200,
        f'{head}[[learner]]{one}[[learner]]{one}name = "b"\nlr = 0.001\n'.replace(
            "lr = 0.02\nname", "name"
        )
        + "[evaluator]"
        + tail,
    )
    assert in_process("run", "job.toml", "-o", "out", "--quiet", "--emit", "none")[0] == 0
    for name, settings in (("learner1", ()), ("b", ("--set", "learner.lr=0.001"))):
        write(tmp_path, 2200, f"{head}[learner]{one}[evaluator]{tail}")
        alone = in_process("run", "job.toml", *settings, "-o", name, "--quiet", "--emit", "none")
        assert alone[0] == 0, alone
        mine = [r for r in drifts(tmp_path / "out") if r.pop("learner") == name]
        assert mine
        assert mine == drifts(tmp_path / name)
