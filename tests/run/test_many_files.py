"""Runs over several files, from one to the next, and from a file to a pipe and back."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreplay.config.parsing.load import load_job
from streamreplay.errors import ConfigError
from streamreplay.run import RunOptions, choose_job, run_job

ROWS = 90
SMALL = ("run.emit=none", "run.save_predictions=true", "source.batch_size=7", "learner.hidden=[4]")


def lines(numbers: range, order: str = "a,b,y") -> str:
    rows = [{"a": f"{i % 7}", "b": f"{i % 3}.5", "y": f"c{i % 2}"} for i in numbers]
    return "\n".join([order, *(",".join(row[name] for name in order.split(",")) for row in rows)])


@pytest.fixture
def days(tmp_path: Path) -> Path:
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "1.csv").write_text(lines(range(20)))
    (folder / "2.csv").write_text(lines(range(20, 55), "y,b,a") + "\n")
    (folder / "3.csv").write_text(lines(range(55, ROWS), "b,a,y"))
    (tmp_path / "all.csv").write_text(lines(range(ROWS)))
    return folder


def run(out: Path, path: Any, *extra: str, **options: bool) -> int:
    overrides = [f"source.path={path!r}".replace("'", '"'), *SMALL, *extra]
    resume, go_on = options.get("resume", False), options.get("go_on", False)
    job = choose_job(None, overrides, out, resume=resume, go_on=go_on)
    return run_job(job, RunOptions(out=out, quiet=True, **options))


def logs(out: Path) -> tuple[str, str]:
    return (out / "predictions.jsonl").read_text(), (out / "metrics.jsonl").read_text()


def test_a_folder_and_its_files_are_as_one_file(days: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv")
    run(tmp_path / "folder", f"{days}")
    run(tmp_path / "list", [f"{days}/1.csv", f"{days}/[23].csv"])
    assert logs(tmp_path / "folder") == logs(tmp_path / "list") == logs(tmp_path / "one")


@pytest.mark.parametrize("limit", [5, 20, 33, 55, 70])
def test_a_limit_and_a_resume_across_files(days: Path, tmp_path: Path, limit: int) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv")
    run(tmp_path / "out", f"{days}", f"run.limit={limit}")
    run(tmp_path / "out", f"{days}", "run.limit=0", resume=True)
    assert logs(tmp_path / "out") == logs(tmp_path / "one")


def test_a_run_goes_on_with_the_next_file(days: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv")
    out = tmp_path / "out"
    run(out, f"{days}/1.csv")
    for _ in range(2):  # the second time there is nothing new
        run(out, f"{days}/2.csv", resume=True, go_on=True)
    run(out, f"{days}/3.csv", resume=True, go_on=True)
    assert logs(out) == logs(tmp_path / "one")
    assert load_job(out / "job.toml").source.path == [f"{days}/{i}.csv" for i in (1, 2, 3)]


def test_from_a_file_to_a_pipe_and_back(days: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv")
    out = tmp_path / "out"
    run(out, f"{days}/1.csv")
    kept = os.dup(0)
    try:
        for part in (lines(range(20, 35), "y,b,a"), lines(range(35, 55))):
            reader, writer = os.pipe()
            os.write(writer, part.encode())
            os.close(writer)
            os.dup2(reader, 0)
            os.close(reader)
            run(out, "-", resume=True, go_on=True)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    run(out, f"{days}/3.csv", resume=True, go_on=True)
    assert logs(out) == logs(tmp_path / "one")


def test_a_new_file_in_a_folder_is_learned_on_resume(days: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv")
    (days / "3.csv").rename(tmp_path / "3.csv")
    run(tmp_path / "out", f"{days}")
    (tmp_path / "3.csv").rename(days / "3.csv")
    run(tmp_path / "out", f"{days}", resume=True)
    assert logs(tmp_path / "out") == logs(tmp_path / "one")


def test_what_does_not_go_together(days: Path, tmp_path: Path) -> None:
    (days / "rows.jsonl").touch()
    arrays = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    for path in arrays:
        np.savez(path, x=np.zeros((2, 1)), y=np.zeros(2))
    with pytest.raises(
        ConfigError, match=r"have one format, got 1.csv \(csv\), rows.jsonl \(jsonl\)"
    ):
        run(tmp_path / "out", f"{days}")
    with pytest.raises(
        ConfigError, match=r"several files must be jsonl, csv, parquet or arrow, got 2 of .* npz"
    ):
        run(tmp_path / "out", arrays)
    with pytest.raises(ConfigError, match=r"standard input \(-\) comes last"):
        run(tmp_path / "out", ["-", "b.csv"])


def test_a_run_that_follows_a_folder_is_stopped_and_resumed(days: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", f"{tmp_path}/all.csv", "source.batch_size=1")
    out = tmp_path / "out"
    (days / "3.csv").rename(tmp_path / "3.csv")
    more = threading.Timer(1.0, lambda: (tmp_path / "3.csv").rename(days / "3.csv"))
    stop = threading.Timer(2.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    more.start()
    stop.start()
    extra = ("source.batch_size=1", "source.max_wait=0.0")
    assert run(out, f"{days}", *extra, follow=True) == 130
    assert run(out, f"{days}", *extra, resume=True) == 0
    assert logs(out) == logs(tmp_path / "one")
