"""Data, date, seed, versions, rows, columns and the command to run it again, on the page."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streamreplay.config.parsing.load import load_job
from streamreplay.errors import RunFolderError
from streamreplay.reading.events import read_events
from streamreplay.reading.report import make_report
from streamreplay.reading.report.charts.chart import Section
from streamreplay.reading.report.page import render_page
from streamreplay.run import RunOptions, run_job
from tests.reading.made import Made, write_run

TIME = "2026-01-31T23:59:5{}.123Z"
COLUMNS = {
    "features": {"number": ["a", "b\u202e"], "category": []},
    "goal": {"label": "y"},
    "roles": {"id": "key"},
    "left_out": {"c": "constant", "d": "constant"},
}
SUM = {
    "kind": "rows",
    "v": 1,
    "position": 4000,
    "rows_in": 4000,
    "learned": 3900,
    "predicted_only": 0,
    "withheld": 0,
    "pending": 0,
    "put_aside": 100,
    "skipped": 0,
    "put_aside_share": 0.025,
    "put_aside_worst": 60,
    "first_line": 17,
    "put_aside_by_reason": {"not UTF-8": 30, "line has N cells, expected N": 70},
    "misfits": {"a": 12},
}


def sections(*runs: Path) -> dict[str, Section]:
    return {each.name: each for each in make_report(runs).sections}


def note(run: Path, *messages: str) -> Path:
    lines = [f"{TIME.format(i)} {message}\n" for i, message in enumerate(messages)]
    (run / "events.log").write_text("".join(lines), encoding="utf-8")
    return run


def plain(rows: Any) -> dict[str, str]:
    return {row[0]: row[1].replace("\xa0", " ") for row in rows}


def test_what_a_run_was_made_from_is_on_the_page(tmp_path: Path) -> None:
    job = 'seed = 7\n[source]\npath = "/data/my rows.csv"\nformat = "csv"\nlabel = "y"\n'
    run = Made().write(tmp_path / "run", job=job)
    note(run, "start", "streamreplay 0.1.0, Python 3.12.1", "end of the stream at row 4000")
    origin = sections(run)["origin"]
    assert origin.figures is not None
    assert plain(origin.figures.rows) == {
        "data": "/data/my rows.csv (csv)",
        "predicted": "y",
        "rows of the stream": "4,000",
        "seed": "7",
        "begun": "2026-01-31 23:59:50 UTC",
        "last event": "2026-01-31 23:59:52 UTC",
        "state": "finished",
        "made with": "streamreplay 0.1.0, Python 3.12.1",
    }


def test_a_run_that_noted_nothing_has_a_page_too(tmp_path: Path) -> None:
    run = Made().write(tmp_path / "run", job="broken =")
    found = sections(run)
    assert found["origin"].figures is not None
    values = plain(found["origin"].figures.rows)
    assert {values[key] for key in ("data", "seed", "begun", "made with")} == {"not known"}
    said = " ".join(found["rows"].missing)
    assert "the log has no record of kind rows" in said
    assert "the run did not note it" in said
    assert found["rows"].tables == []


def test_rows_and_columns_are_on_the_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [*Made().records(), SUM])
    note(run, "start", "columns {}", f"columns {json.dumps(COLUMNS)}", "columns damaged")
    rows = sections(run)["rows"]
    assert rows.missing == []
    tables = {caption: plain(table.rows) for caption, table in rows.tables}
    assert tables == {
        "What became of the rows.": {
            "rows that came": "4,000",
            "learned": "3,900 (97.5 %)",
            "put aside": "100 (2.5 %)",
        },
        "Why rows were put aside; the first was in line 17.": {
            "line has N cells, expected N": "70",
            "not UTF-8": "30",
        },
        "Values that did not fit the kind of their column, and counted as missing.": {"a": "12"},
        "What each column was used for.": {
            "label": "y",
            "id": "key",
            "number features (2)": r'a, "b\u202e"',
            "left out: constant (2)": "c, d",
        },
    }
    assert "line has N cells, expected N" in render_page(make_report([run]))


def test_several_runs_are_side_by_side(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", [*Made().records(), SUM], job="seed = 1\n")
    two = Made(learner="x").write(tmp_path / "two", job='seed = 2\n[[learner]]\nname = "x"\n')
    found = sections(one, two)
    assert found["origin"].figures is not None
    (seeds,) = [row for row in found["origin"].figures.rows if row[0] == "seed"]
    assert seeds == ("seed", "1", "2")
    (fates, *_) = [table for _, table in found["rows"].tables]
    assert fates.header == ("", str(one))
    assert len(found["origin"].commands) == 2


def test_the_command_does_it_again(tmp_path: Path) -> None:
    data = tmp_path / "it's $HOME; data.csv"
    data.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 3},{i % 2}\n" for i in range(400)))
    run = tmp_path / "a 'run' & more"
    settings = ["source.label=y", "seed=3", "run.emit=none"]
    job = load_job(None, [f"source.path={json.dumps(str(data))}", *settings])
    run_job(job, RunOptions(out=run, quiet=True))
    (given,) = sections(run)["origin"].commands
    program, *arguments = shlex.split(given[1])
    assert program == "streamreplay"
    subprocess.run([sys.executable, "-m", program, *arguments], check=True, cwd=tmp_path)
    again = run.with_name(f"{run.name}-again")
    assert (again / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    noted = read_events(run / "events.log")
    assert noted.columns is not None
    assert noted.columns.features == {"number": ["a", "b"]}
    assert noted.columns.goal == {"label": "y"}
    assert noted.versions
    assert noted.versions[0].startswith("streamreplay ")


def test_what_a_command_needs_besides_the_job_is_said(tmp_path: Path) -> None:
    job = '[source]\npath = "-"\nformat = "csv"\n[learner]\nloss = "mine:focal"\n'
    said = sections(Made().write(tmp_path / "run", job=job))["origin"].missing
    assert "its rows came from standard input" in said[0]
    assert "learner.loss imports 'mine:focal'" in said[1]
    file = '[source]\npath = "rows.csv"\nformat = "csv"\n'
    assert sections(Made().write(tmp_path / "file", job=file))["origin"].missing == []


@pytest.mark.parametrize("name", ["link", "folder"])
def test_events_are_read_from_a_regular_file_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "events.log"
    if name == "link":
        path.symlink_to("elsewhere")
    else:
        path.mkdir()
    with pytest.raises(RunFolderError, match=r"events\.log: cannot be read"):
        read_events(path)
