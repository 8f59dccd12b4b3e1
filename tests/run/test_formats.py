"""The format of a run: found by the content, saved, and said where it is not what it seems."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from streamreplay.config.parsing.load import load_job
from streamreplay.errors import ConfigError
from tests.run.runs import logs, run_on

FromStdin: TypeAlias = Callable[[bytes, Callable[[], Any]], None]
SMALL = (
    "run.emit=none",
    "run.save_predictions=true",
    "source.batch_size=7",
    "source.label=y",
    "learner.hidden=[4]",
    "buffer.max_size=20",
)
RECORDS = [{"a": i % 5, "b": i / 4, "y": f"c{i % 2}"} for i in range(60)]
CSV = ("a,b,y\n" + "".join(f"{r['a']},{r['b']},{r['y']}\n" for r in RECORDS)).encode()
JSONL = "".join(json.dumps(row) + "\n" for row in RECORDS).encode()
PACKED = gzip.compress(CSV, mtime=0)
ARRAY = json.dumps(RECORDS).encode()


def run(out: Path, path: Any, *extra: str, **options: bool) -> int:
    return run_on(out, path, *SMALL, *extra, **options)


@pytest.fixture
def want(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "rows.csv").write_bytes(CSV)
    run(tmp_path / "want", f"{tmp_path}/rows.csv")
    return logs(tmp_path / "want")


@pytest.mark.parametrize("content", [CSV, JSONL, ARRAY, PACKED, lzma.compress(ARRAY)])
def test_a_pipe_is_learned_and_resumed_as_what_it_is(
    tmp_path: Path, want: tuple[str, str], from_stdin: FromStdin, content: bytes
) -> None:
    out = tmp_path / "out"
    from_stdin(content, lambda: run(out, "-", "run.limit=20"))
    kind = load_job(out / "job.toml").source.format
    assert kind == ("csv" if content in (CSV, PACKED) else "jsonl")
    from_stdin(content, lambda: run(out, "-", "run.limit=0", resume=True))
    assert logs(out) == want


def test_a_pipe_that_goes_on_is_read_as_before(
    tmp_path: Path, want: tuple[str, str], from_stdin: FromStdin
) -> None:
    """What comes behind the middle of an array does not look like one."""
    out, cut = tmp_path / "out", ARRAY.index(b", {", 700)
    from_stdin(ARRAY[:cut], lambda: run(out, "-"))
    from_stdin(ARRAY[cut:], lambda: run(out, "-", resume=True, go_on=True))
    assert logs(out) == want


def test_a_job_file_says_it_again(tmp_path: Path, want: tuple[str, str]) -> None:
    """The job that a run was started with may say auto; the run has decided."""
    path, out = tmp_path / "rows", tmp_path / "out"
    path.write_bytes(CSV[: len(CSV) // 2])
    run(out, f"{path}")
    path.write_bytes(CSV)
    run(out, f"{path}", "source.format=auto", resume=True)
    assert logs(out) == want
    with pytest.raises(ConfigError, match=r"format: .* was started with 'csv', got"):
        run(out, f"{path}", "source.format=jsonl", resume=True)


def test_a_run_goes_on_with_files_of_its_format_only(tmp_path: Path, from_stdin: FromStdin) -> None:
    out, other = tmp_path / "out", tmp_path / "other.csv"
    other.write_bytes(JSONL)
    from_stdin(CSV, lambda: run(out, "-"))
    with pytest.raises(ConfigError, match=r"got other\.csv \(jsonl\), standard input \(csv\)"):
        run(out, f"{other}", resume=True, go_on=True)


@pytest.mark.parametrize("options", [(), ("source.format=csv", 'source.label=""')])
def test_what_a_file_holds_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(JSONL)
    code = run(tmp_path / "out", f"{path}", *options)
    told = capfd.readouterr().err.splitlines()[0]
    if options:
        assert told == (
            "streamreplay: warning: rows.csv holds jsonl, and is read as csv, as source.format says"
        )
        return
    assert code == 0
    assert told == (
        "streamreplay: warning: rows.csv: its name says csv, but it holds jsonl, and is read as "
        "jsonl"
    )
    run(tmp_path / "out", f"{path}", resume=True)
    assert "its name says" not in capfd.readouterr().err


def test_a_test_file_may_have_another_format(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(CSV)
    (tmp_path / "test").write_bytes(JSONL)
    for resume in (False, True):
        test = f"test.path={tmp_path}/test"
        assert run(tmp_path / "out", f"{tmp_path}/rows", test, resume=resume) == 0


def test_a_signal_ends_the_wait_for_the_first_byte(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert run(tmp_path / "out", f"/dev/fd/{reader}") == 143
    assert not (tmp_path / "out").exists()
    os.close(reader)
    os.close(writer)
