"""A run that has ended, or was limited, and goes on: as if it had never ended."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.checkpoint import latest_checkpoint
from streamreplay.config import load_job
from streamreplay.errors import StreamReplayError
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.run import RunOptions, choose_job, run_job
from streamreplay.run import driver as driver_module
from streamreplay.run.output import OutputClosed
from streamreplay.run.report_writer import ReportWriter
from streamreplay.run.signals import StopSignals
from tests.contract.digest import plain

ROWS = 230
SETTINGS = [
    "learner.hidden=[4]",
    "buffer.max_size=40",
    "evaluator.report_every=50",
    "run.checkpoint_every=64",
    "run.save_predictions=true",
    "run.emit=none",
]


def content(rows: int = ROWS) -> list[str]:
    rng = np.random.default_rng(0)
    lines = []
    for i in range(rows):
        y = int(rng.integers(3))
        experience = 10 * (i // 100)
        row = {"x": [round(float(rng.normal(y, 0.5)), 4)], "y": f"c{y}", "experience": experience}
        lines.append(json.dumps(row))
        if i % 40 == 7:
            lines.append("broken")
    return lines


def start(path: Path, out: Path, *extra: str) -> int:
    job = load_job(None, [f"source.path={path}", *SETTINGS, *extra])
    return run_job(job, RunOptions(out, quiet=True))


def resume(out: Path, *extra: str, **options: Any) -> int:
    job = choose_job(None, list(extra), out, resume=True)
    return run_job(job, RunOptions(out, resume=True, quiet=True, **options))


def logs(out: Path) -> dict[str, str]:
    return {
        name: (out / f"{name}.jsonl").read_text()
        for name in ("predictions", "metrics", "dead_letters")
    }


def state(out: Path) -> Any:
    found = latest_checkpoint(out / "checkpoints")
    assert found is not None
    assert found.state["finished"]
    return plain(found.state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "rows.jsonl"
    path.write_text("\n".join(content()) + "\n")
    assert start(path, folder / "out") == 0
    return folder


@pytest.mark.parametrize("limit", [1, 31, 32, 64, 99, 100, 101, 128, 131, 229, 230, 500])
def test_a_limit_that_is_lifted_leaves_no_trace(whole: Path, tmp_path: Path, limit: int) -> None:
    out = tmp_path / "out"
    start(whole / "rows.jsonl", out, f"run.limit={limit}")
    lines = logs(out)["predictions"].splitlines()
    assert len(lines) == min(limit, ROWS)  # as many rows as were asked for
    assert [*map(len, logs(out)["metrics"].splitlines())]
    resume(out, "run.limit=0")
    assert logs(out) == logs(whole / "out")
    assert state(out) == state(whole / "out")


def test_limits_in_steps_and_crashes_between(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    start(whole / "rows.jsonl", out, "run.limit=40")
    for limit in (41, 90, 200):
        resume(out, f"run.limit={limit}")
    assert resume(out, "run.limit=199") == 0
    assert len(logs(out)["predictions"].splitlines()) == 200  # nothing is taken back
    resume(out, "run.limit=0")
    assert logs(out) == logs(whole / "out")


@pytest.mark.parametrize("cut", [-1, -20, -56, -57, -58, -1000, -9000])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_was_read_while_it_was_written(
    whole: Path, tmp_path: Path, cut: int, packed: bool
) -> None:
    path = tmp_path / ("rows.jsonl.gz" if packed else "rows.jsonl")

    def put(data: bytes) -> None:
        path.write_bytes(gzip.compress(data) if packed else data)

    data = (whole / "rows.jsonl").read_bytes()
    put(data[:cut])
    start(path, tmp_path / "out")
    put(data)
    resume(tmp_path / "out")
    want = {
        name: text.replace("rows.jsonl", path.name) for name, text in logs(whole / "out").items()
    }
    assert logs(tmp_path / "out") == want


def test_nothing_changes_where_nothing_is_new(whole: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "out"
    path.write_bytes((whole / "rows.jsonl").read_bytes())
    start(path, out, "source.max_bad_share=0")
    before, saved = logs(out), sorted(os.walk(out / "checkpoints"))
    assert resume(out) == 3  # as when it ended
    assert (logs(out), sorted(os.walk(out / "checkpoints"))) == (before, saved)
    assert (out / "events.log").read_text().splitlines()[-2].endswith(": 230 rows, nothing new")
    text = path.read_text()
    last = text.rindex('"y"')
    edits = (text.replace("0.", "1.", 1), text[:-300], "", text[:last] + '"z"' + text[last + 3 :])
    for edited in edits:
        path.write_text(edited)
        with pytest.raises(StreamReplayError, match=r"^rows.jsonl: "):
            resume(out)
        assert (logs(out), sorted(os.walk(out / "checkpoints"))) == (before, saved)


def test_a_damaged_end_is_learned_again(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    start(whole / "rows.jsonl", out)
    want = state(out)
    for _ in range(2):
        (end,) = (out / "checkpoints").glob("*.end")
        (end / "state.json").write_bytes(b"{}")
        assert resume(out) == 0
        assert (logs(out), state(out)) == (logs(whole / "out"), want)


def test_a_reader_that_leaves_in_the_last_rows(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ReportWriter.write

    def leave(self: ReportWriter, report: Any, position: int) -> None:
        if position == ROWS:
            raise OutputClosed
        write(self, report, position)

    with monkeypatch.context() as patch:
        patch.setattr(ReportWriter, "write", leave)
        assert start(whole / "rows.jsonl", tmp_path / "out") == 0
    assert resume(tmp_path / "out") == 0
    assert logs(tmp_path / "out") == logs(whole / "out")


def test_a_stop_while_it_is_asked_whether_there_is_more(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    start(whole / "rows.jsonl", out)
    with monkeypatch.context() as patch:
        patch.setattr(LineSource, "__iter__", lambda _: iter(()))
        patch.setattr(StopSignals, "requested", lambda _: True)
        patch.setattr(StopSignals, "exit_code", 130)
        assert resume(out) == 130
    assert resume(out) == 0
    assert logs(out) == logs(whole / "out")


@pytest.mark.parametrize("died", [True, False])
def test_no_log_keeps_lines_of_a_run_that_died(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died: bool
) -> None:
    """Before its first checkpoint, or after it."""
    packed = gzip.compress((whole / "rows.jsonl").read_bytes(), mtime=0)
    path, out = tmp_path / "rows.jsonl.gz", tmp_path / "out"
    path.write_bytes(packed[:-700])
    every = f"run.checkpoint_every={1000 if died else 64}"
    with monkeypatch.context() as patch:
        if died:
            patch.setattr(driver_module._Run, "_save", lambda *_, **__: None)
        with pytest.raises(StreamReplayError, match="end too early"):
            start(path, out, every, "run.log_max_bytes=3000")
    assert bool(latest_checkpoint(out / "checkpoints")) is not died
    assert 0 < sum(len(p.read_text().splitlines()) for p in out.glob("predictions*")) < ROWS
    path.write_bytes(packed)
    assert resume(out, "run.save_predictions=false", "run.log_max_bytes=0") == 0
    want = {
        name: text.replace("rows.jsonl", path.name) for name, text in logs(whole / "out").items()
    }
    assert {name: joined(out, name) for name in want} == want


def joined(out: Path, name: str) -> str:
    return "".join(path.read_text() for path in sorted(out.glob(f"{name}.*")))


def test_a_label_that_is_an_id_is_refused(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.csv", tmp_path / "out"
    path.write_text("\n".join(["a,user", *(f"{i},u{i}" for i in range(300)), ""]))
    label = ["source.label=user", "source.features=['a']"]
    with pytest.raises(StreamReplayError, match=r"^source.label: 'user': has more than 100 diff"):
        start(path, out, *label, "source.max_classes=100")
    with pytest.raises(StreamReplayError, match=r"the next is 'u100': an id is no label; "):
        resume(out)
    assert resume(out, "source.max_classes=300") == 0
    assert len(logs(out)["predictions"].splitlines()) == 300
    packed = tmp_path / "rows.npz"
    np.savez(packed, x=np.zeros((40, 2)), y=np.arange(40))
    with pytest.raises(StreamReplayError, match=r"^source.label: the label: has more than 20 "):
        start(packed, tmp_path / "arrays", "source.max_classes=20")


def test_a_run_goes_on_with_the_batch_that_a_frozen_table_refused(tmp_path: Path) -> None:
    path, out, whole = tmp_path / "rows.jsonl", tmp_path / "out", tmp_path / "whole"
    rows: list[dict[str, Any]] = [{"a": i % 7, "y": "pq"[i % 2]} for i in range(100)]
    for row in rows[50:]:
        row["gate"] = f"B{row['a'] % 3}"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = ["source.batch_size=8", "features.infer_rows=8"]
    start(path, whole, *settings)
    with pytest.raises(StreamReplayError, match="'gate'"):
        start(path, out, *settings, "features.on_change=freeze")
    assert len(logs(out)["predictions"].splitlines()) == 48
    with pytest.raises(StreamReplayError, match="'gate'"):
        resume(out)
    assert resume(out, "features.on_change=evolve") == 0
    assert logs(out) == logs(whole)
