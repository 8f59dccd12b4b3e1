"""Crash at any write of a run, go on: the folder ends as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamreplay.checkpoint import latest_checkpoint, load_checkpoint
from streamreplay.config import load_job
from streamreplay.log.lines import rotated_files
from streamreplay.run import RunOptions, choose_job, run_job
from tests.run.runs import contents, run_through_crashes

SETTINGS = [
    "learner.hidden=[4]",
    "buffer.max_size=40",
    "evaluator.report_every=100",
    "run.checkpoint_every=150",
    "run.save_predictions=true",
    "run.emit=none",
]


def stream(folder: Path, rows: int = 600) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for i in range(rows):
        y = int(rng.integers(3))
        lines.append(json.dumps({"x": [round(float(rng.normal(y, 0.5)), 4)], "y": f"c{y}"}))
        if i % 40 == 7:
            lines.append("broken")
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    "extra",
    [
        [],
        ["test.share=0.2", "source.split.n_experiences=3"],
        ["run.log_max_bytes=4000"],
        ["run.log_max_bytes=1500", "run.log_keep=2"],
    ],
)
def test_crash_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: list[str]) -> None:
    overrides = [f"source.path={stream(tmp_path)}", *SETTINGS, *extra]
    job = load_job(None, overrides)
    assert run_job(job, RunOptions(tmp_path / "whole", quiet=True)) == 0
    expected = contents(tmp_path / "whole")
    latest = latest_checkpoint(tmp_path / "whole" / "checkpoints")
    assert latest is not None
    assert latest.state["finished"]
    assert sum(log.count(b"\n") for name, log in expected.items() if "dead" in name) == 15
    numbers = rotated_files(tmp_path / "whole" / "predictions.jsonl")
    assert ("run.log_keep=2" in extra) == (2 < len(numbers) < max(numbers, default=0))
    assert ("run.log_max_bytes=4000" in extra) == (0 < len(numbers) == max(numbers, default=0))
    out = tmp_path / "out"
    assert run_through_crashes(out, overrides, monkeypatch) == 0
    assert contents(out) == expected


def test_a_log_that_lost_bytes_is_refused(tmp_path: Path) -> None:
    job = load_job(None, [f"source.path={stream(tmp_path)}", *SETTINGS])
    out = tmp_path / "out"
    run_job(job, RunOptions(out, quiet=True))
    (out / "metrics.jsonl").write_text("")
    with pytest.raises(Exception, match=r"metrics.jsonl: has 0 bytes, the checkpoint was made at"):
        run_job(job, RunOptions(out, resume=True))


def test_predictions_go_on_once_they_were_begun(tmp_path: Path) -> None:
    path = stream(tmp_path)
    job = load_job(None, [f"source.path={path}", *SETTINGS, "run.limit=300"])
    out = tmp_path / "out"
    run_job(job, RunOptions(out, quiet=True))
    later = choose_job(None, ["run.limit=0", "run.save_predictions=false"], out, resume=True)
    run_job(later, RunOptions(out, resume=True, quiet=True))
    lines = (out / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(600))


@pytest.mark.parametrize("damaged", [1, 2])
def test_what_an_older_checkpoint_needs_is_kept(tmp_path: Path, damaged: int) -> None:
    """Go on from the last, or the one before it, though logs have been deleted since."""
    overrides = [f"source.path={stream(tmp_path)}", *SETTINGS]
    overrides += ["run.log_max_bytes=1500", "run.log_keep=1"]
    out = tmp_path / "out"
    assert run_job(load_job(None, overrides), RunOptions(out, quiet=True)) == 0
    expected = contents(out)
    first, *_ = folders = sorted((out / "checkpoints").iterdir())
    newest = folders[-damaged:]
    oldest = load_checkpoint(first)[0]["logs"]["predictions.jsonl"]["rotated"]
    for path in newest:
        (path / "state.json").write_bytes(b"{}")
    numbers = rotated_files(out / "predictions.jsonl")
    assert [*numbers] == [*range(oldest, max(numbers) + 1)]
    assert oldest > 1
    assert (
        run_job(choose_job(None, [], out, resume=True), RunOptions(out, resume=True, quiet=True))
        == 0
    )
    assert contents(out) == expected


def test_timings_can_be_read_after_a_line_that_was_not_finished(tmp_path: Path) -> None:
    path = stream(tmp_path)
    out = tmp_path / "out"
    job = load_job(None, [f"source.path={path}", *SETTINGS, "run.limit=300"])
    run_job(job, RunOptions(out, quiet=True))
    before = (out / "timings.jsonl").read_bytes()
    (out / "timings.jsonl").write_bytes(before + b'{"v":1,"posi')
    later = choose_job(None, ["run.limit=0"], out, resume=True)
    run_job(later, RunOptions(out, resume=True, quiet=True))
    after = (out / "timings.jsonl").read_bytes()
    assert after.startswith(before)
    assert [json.loads(line)["position"] for line in after.splitlines()][-1] == 600
