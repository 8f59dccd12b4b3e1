"""Columns that come, vanish and turn out to be of another kind: in the logs of a run, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.config.parsing.load import load_job
from streamreplay.log.schema import KINDS
from streamreplay.run import RunOptions, run_job
from streamreplay.run.folder import RunFolder

SMALL = ("run.emit=none", "source.batch_size=7", "learner.hidden=[4]", "buffer.max_size=20")


class Crash(BaseException):
    """What no handler catches, as SIGKILL."""


def run(out: Path, path: Path, *extra: str, resume: bool = False) -> None:
    job = load_job(None, [f"source.path={path}", *SMALL, *extra])
    assert run_job(job, RunOptions(out, quiet=True, resume=resume)) == 0


def records(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["kind"] == "column"]
    for line in found:
        KINDS["column"][0].model_validate(line)
    assert [line["position"] for line in lines] == sorted(line["position"] for line in lines)
    return found


def brief(out: Path) -> list[tuple[Any, ...]]:
    return [(each["change"], each["column"], each["since"]) for each in records(out)]


def noted(out: Path) -> list[str]:
    lines = (out / "events.log").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines if "warning: column '" in line]


def of_all_sorts(folder: Path) -> Path:
    """Write JSONL in which a column comes at row 301, and is away from row 601 to 2,000."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(2200):
        row: dict[str, Any] = {"a": round(float(rng.normal()), 3), "y": f"c{i % 2}"}
        row |= {"gate": f"B{i % 5}"} if i >= 300 else {}
        row |= {"b": i % 3} if not 600 <= i < 2000 else {}
        lines.append(json.dumps(row))
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines))
    return path


CHANGES = [("new", "gate", 301), ("vanished", "b", 601), ("back", "b", 2001)]
NEW = "features.infer_rows=200"


def test_a_run_says_what_changed_and_logs_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "out", of_all_sorts(tmp_path), NEW)
    assert brief(tmp_path / "out") == CHANGES
    assert noted(tmp_path / "out") == [
        "warning: column 'gate' is new at row 301, learned as a category",
        "warning: column 'b' is missing from row 601 on",
        "warning: column 'b' is back at row 2,001",
    ]
    err = capfd.readouterr().err
    events = (tmp_path / "out" / "events.log").read_text().splitlines()
    used = [json.loads(line.partition(" columns ")[2]) for line in events if " columns {" in line]
    assert [each["features"].get("category") for each in used] == [None, *[["gate"]] * 3]
    assert all(err.count(line) == 1 for line in noted(tmp_path / "out"))
    assert "columns: 1 new, 1 vanished, 1 back" in err
    *_, last = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(last)["column_changes"] == {"new": 1, "vanished": 1, "back": 1}


@pytest.mark.parametrize("size", [1, 32, 700])
def test_the_cut_into_batches_changes_no_record(tmp_path: Path, size: int) -> None:
    path = of_all_sorts(tmp_path)
    run(tmp_path / "one", path, NEW)
    run(tmp_path / "other", path, NEW, f"source.batch_size={size}", "run.limit=2200")
    assert records(tmp_path / "one") == records(tmp_path / "other")


@pytest.mark.parametrize("after", [1, 3, 4, 8, 11])
def test_a_crash_repeats_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    settings = (NEW, "run.checkpoint_every=250", "evaluator.report_every=100")
    path = of_all_sorts(tmp_path)
    run(tmp_path / "whole", path, *settings)
    left, flush = iter(range(2 * after)), RunFolder.flush

    def crashing(folder: RunFolder) -> None:
        flush(folder)
        if next(left, None) is None:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "flush", crashing)
        with pytest.raises(Crash):
            run(tmp_path / "out", path, *settings)
    run(tmp_path / "out", path, *settings, resume=True)
    logs = [(tmp_path / out / "metrics.jsonl").read_bytes() for out in ("whole", "out")]
    assert logs[0] == logs[1]
    assert noted(tmp_path / "out") == noted(tmp_path / "whole")


def csvs(folder: Path) -> Iterator[str]:
    for number, header in enumerate(("a,b,y", "a,c,y", "c,b,a,y")):
        names = header.split(",")
        lines = [",".join("x" if n == "y" else f"{i % 4}" for n in names) for i in range(20)]
        (folder / f"{number}.csv").write_text("\n".join([header, *lines]) + "\n")
        yield header


@pytest.mark.parametrize("size", [1, 7, 60])
def test_each_header_of_a_csv_is_a_change(tmp_path: Path, size: int) -> None:
    (tmp_path / "days").mkdir()
    assert len(list(csvs(tmp_path / "days"))) == 3
    run(tmp_path / "out", tmp_path / "days", f"source.batch_size={size}", "features.infer_rows=9")
    assert sorted(brief(tmp_path / "out"), key=lambda each: each[2]) == [
        ("new", "c", 21),
        ("vanished", "b", 21),
        ("back", "b", 41),
    ]


def test_keys_without_end_are_fifty_lines(tmp_path: Path) -> None:
    """Of 15,000, as more take long; 10,000 columns are the most that a table has."""
    rows = [{"a": i % 5, "y": "c", **{f"k{i * 50 + j}": 1 for j in range(50)}} for i in range(300)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = ("learner.module=linear", "features.infer_rows=1", "features.kinds.a=number")
    run(tmp_path / "out", path, *settings)
    found = records(tmp_path / "out")
    assert [len(found), found[-1]["count"], len(noted(tmp_path / "out"))] == [50, 50, 50]
    assert noted(tmp_path / "out")[-1].endswith("are counted, not named")
    *_, last = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    new = 10_001 - len(["a"]) - 50  # 50 were there at first, and one stands for those left out
    refused = 300 * 50 - 50 - new
    assert json.loads(last)["column_changes"] == {"new": new, "refused_values": refused}


def test_rows_that_are_read_first_have_their_changes_as_warnings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "out", of_all_sorts(tmp_path), NEW, "test.share=0.1")
    assert records(tmp_path / "out") == []
    assert noted(tmp_path / "out")[0].endswith("'gate' is new at row 301, learned as a category")
    assert capfd.readouterr().err.count("is back at row 2,001") == 1
