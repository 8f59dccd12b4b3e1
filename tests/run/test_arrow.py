"""Runs over Parquet files, Arrow files and Arrow streams: as over the same rows in a CSV."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import feather, ipc, parquet

from streamreplay.config.parsing.load import load_job
from streamreplay.errors import ConfigError, SourceError
from tests.run.runs import logs, run_on

ROWS = 90
SMALL = (
    "run.emit=none",
    "run.save_predictions=true",
    "source.batch_size=7",
    "source.label=state",
    "learner.hidden=[4]",
    "evaluator.report_every=20",
)
FORMS = ("parquet", "arrow", "feather", "arrows", "pq")


def text() -> str:
    """Return a table with text, gaps, times and whole numbers."""
    lines = ["when,pump,note,temp,count,state"]
    for i in range(ROWS):
        pump = ["north", "south", "", "late"][i % (3 + (i > 60))]
        note = f"bearing {i} of pump {i % 4} runs {['hot', 'cold'][i % 2]}"
        temp = "" if i % 5 == 2 else f"{(i * 37 % 100) / 7:.3f}"
        lines.append(f"2024-03-01T{i % 24:02}:30:00,{pump},{note},{temp},{i * 7},s{i % 3}")
    return "\n".join(lines) + "\n"


def table() -> pa.Table:
    """Return the same table with the types that programs store it in."""
    frame = pd.read_csv(io.StringIO(text()), parse_dates=["when"])
    frame["when"] = frame["when"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    frame["pump"] = frame["pump"].astype("category")
    return pa.Table.from_pandas(frame, preserve_index=False)


def as_stream(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=8)
    return sink.getvalue()


def save(path: Path, rows: pa.Table) -> None:
    if path.suffix in (".parquet", ".pq"):
        parquet.write_table(rows, path, row_group_size=9)
    elif path.suffix == ".arrows":
        path.write_bytes(as_stream(rows))
    else:
        feather.write_feather(rows, path, chunksize=11)


def run(out: Path, path: Any, *extra: str, **options: bool) -> int:
    return run_on(out, path, *SMALL, *extra, **options)


@pytest.fixture
def want(tmp_path: Path) -> tuple[str, str]:
    """Return what a run over the CSV logs."""
    (tmp_path / "rows.csv").write_text(text())
    run(tmp_path / "csv", f"{tmp_path}/rows.csv")
    return logs(tmp_path / "csv")


@pytest.mark.parametrize("form", FORMS)
def test_predictions_are_those_of_a_csv(tmp_path: Path, want: tuple[str, str], form: str) -> None:
    save(tmp_path / f"rows.{form}", table())
    run(tmp_path / "out", f"{tmp_path}/rows.{form}")
    assert logs(tmp_path / "out") == want


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_the_bytes_of_a_file_decide(tmp_path: Path, want: tuple[str, str], form: str) -> None:
    save(tmp_path / f"rows.{form}", table())
    (tmp_path / f"rows.{form}").rename(tmp_path / "rows.data")
    run(tmp_path / "out", f"{tmp_path}/rows.data")
    assert logs(tmp_path / "out") == want


def test_a_csv_may_begin_with_the_same_letters(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("PAR1,ARROW1,state\n" + "".join(f"{i},2,s{i % 2}\n" for i in range(20)))
    assert run(tmp_path / "out", f"{path}") == 0


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("limit", [5, 20, 89])
def test_a_limit_and_a_resume(tmp_path: Path, want: tuple[str, str], form: str, limit: int) -> None:
    path = tmp_path / f"rows.{form}"
    save(path, table())
    run(tmp_path / "out", f"{path}", f"run.limit={limit}")
    run(tmp_path / "out", f"{path}", "run.limit=0", resume=True)
    assert logs(tmp_path / "out") == want
    run(tmp_path / "out", f"{path}", "run.limit=0", resume=True)  # there is nothing new
    assert logs(tmp_path / "out") == want


@pytest.mark.parametrize("form", ["parquet", "arrow", "arrows"])
def test_a_file_that_has_grown(tmp_path: Path, want: tuple[str, str], form: str) -> None:
    path = tmp_path / f"rows.{form}"
    save(path, table().slice(0, 50))
    run(tmp_path / "out", f"{path}")
    save(path, table())
    run(tmp_path / "out", f"{path}", resume=True)
    assert logs(tmp_path / "out") == want
    save(path, table().slice(3))
    with pytest.raises(SourceError, match="not the rows that were learned from"):
        run(tmp_path / "out", f"{path}", resume=True)


def test_a_folder_of_files_and_a_pipe(
    tmp_path: Path,
    want: tuple[str, str],
    from_stdin: Callable[[bytes, Callable[[], Any]], None],
) -> None:
    rows, days, out = table(), tmp_path / "days", tmp_path / "out"
    days.mkdir()
    turned = rows.select(rows.column_names[::-1])
    save(days / "1.parquet", rows.slice(0, 20))
    save(days / "2.arrow", turned.slice(20, 13))
    save(days / "3.parquet", rows.slice(33))
    run(out, f"{days}")
    assert logs(out) == want

    out = tmp_path / "again"
    run(out, f"{days}/1.parquet")
    for part in (turned.slice(20, 5), rows.slice(25, 8)):
        from_stdin(as_stream(part), lambda: run(out, "-", resume=True, go_on=True))
    run(out, f"{days}/3.parquet", resume=True, go_on=True)
    assert logs(out) == want
    save(days / "1.parquet", rows.slice(0, 21))
    with pytest.raises(SourceError, match=r"1\.parquet: has grown since it was learned from"):
        run(out, load_job(out / "job.toml").source.path, resume=True)


def test_what_standard_input_cannot_give(
    tmp_path: Path, from_stdin: Callable[[bytes, Callable[[], Any]], None]
) -> None:
    save(tmp_path / "rows.parquet", table())
    data = (tmp_path / "rows.parquet").read_bytes()

    def refused(kind: str) -> None:
        with pytest.raises((SourceError, ConfigError), match=r"give its path \(--source FILE\)"):
            run(tmp_path / kind, "-", f"source.format={kind}")

    for kind in ("parquet", "arrow", "npz"):
        from_stdin(data, partial(refused, kind))
    with pytest.raises(ConfigError, match=r"standard input holds nothing that shows"):
        run(tmp_path / "auto", "-")


def test_keys_of_the_job(tmp_path: Path) -> None:
    save(tmp_path / "rows.parquet", table())
    path = f"{tmp_path}/rows.parquet"
    with pytest.raises(ConfigError, match="Parquet columns have names, got 3"):
        run(tmp_path / "out", path, "source.id=3")
    with pytest.raises(ConfigError, match="label 'stat' is not a column"):
        run(tmp_path / "out", path, "source.label=stat")
    assert run(tmp_path / "whole", path, "test.share=0.2") == 0  # read into memory
