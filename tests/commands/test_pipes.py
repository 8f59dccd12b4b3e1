"""Standard input and output as a shell joins them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from streamreplay.plain_text import counted

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

pytestmark = pytest.mark.slow
FAST = "--set learner.hidden=[8]"


def test_head_ends_the_run_quietly(cli: Cli) -> None:
    cli.csv(5000)
    done = cli.shell(
        f"cat rows.csv | streamreplay run -s - -l y --emit predictions -o out {FAST} "
        "| head -1; echo ${PIPESTATUS[@]}"
    )
    first, codes = done.stdout.splitlines()
    assert json.loads(first)["position"] == 0
    assert codes.split()[1:] == ["0", "0"]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    names = sorted(path.name for path in (cli.folder / "out" / "checkpoints").iterdir())
    assert names[0] == "ckpt-000000000000"  # what the first rows have decided
    assert len(names) == 2
    end = cli.shell(f"cat rows.csv | streamreplay run --resume -o out --emit none {FAST}")
    assert end.returncode == 0, end.stderr
    lines = (cli.folder / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(5000))


def test_a_slow_producer_shows_its_lines_as_they_come(cli: Cli) -> None:
    process = cli.start(
        "run", "-s", "-", "--emit", "predictions", *FAST.split(),
        "--set", "source.max_wait=0.05", stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    for i in range(3):
        process.stdin.write(json.dumps({"x": [float(i)], "y": i % 2}).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()  # hangs if rows are kept back
        assert json.loads(line)["position"] == i
    process.stdin.close()
    assert process.wait(30) == 0


def test_a_signal_reaches_a_run_that_waits_for_a_pipe(cli: Cli) -> None:
    process = cli.start(
        "run", "-s", "-", "--emit", "predictions", "-o", "out", *FAST.split(),
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    first = b"".join(json.dumps({"x": [float(i)], "y": i % 2}).encode() + b"\n" for i in range(40))
    process.stdin.write(first)
    process.stdin.flush()
    for _ in range(40):
        process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert re.search(
        b"stopped by SIGTERM at row 40; resume with .*: streamreplay run --resume", err
    )
    more = b'{"x": [9.0], "y": 1}\n'
    wrong = cli("run", "--resume", "-o", "out", "--emit", "none", input=more)
    assert wrong.returncode == 1
    assert "it is not the same stream" in wrong.stderr
    same = cli("run", "--resume", "-o", "out", "--emit", "none", input=first + more)
    assert same.returncode == 0
    assert "41 rows" in same.stderr
    on = cli("run", "--resume", "--continue", "-o", "out", "--emit", "none", input=more)
    assert on.returncode == 0
    assert "42 rows" in on.stderr


@pytest.mark.parametrize(
    ("stream", "rows", "code"),
    [
        (b"", 0, 0),
        (b"\n\n", 0, 0),
        (b'\xef\xbb\xbf{"x": [1], "y": 1}\r\n\r\n{"x": [2], "y": 2}', 2, 0),
        (b'nonsense\n{"x": [1], "y": 1}\n\xff\xfe\n', 1, 3),  # two of three are put aside
    ],
)
def test_odd_input(cli: Cli, stream: bytes, rows: int, code: int) -> None:
    done = cli("run", "-s", "-", "--format", "jsonl", "--emit", "predictions", input=stream)
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) == rows
    assert f"{counted(rows, 'row')}, " in done.stderr


def test_progress_on_a_terminal_leaves_standard_output_alone(cli: Cli) -> None:
    cli.csv(3000)
    screen, terminal = pty.openpty()
    with (cli.folder / "out.jsonl").open("wb") as out:
        process = cli.start("run", "-s", "rows.csv", *FAST.split(), stdout=out, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # as a terminal says that everybody has left it
        while part := os.read(screen, 4096):
            shown += part
    os.close(screen)
    assert process.wait(30) == 0
    assert b"rows/s" in shown
    assert re.search(rb"3,000 rows, .*\r\n  accuracy 0\.", shown)
    for line in (cli.folder / "out.jsonl").read_text().splitlines():
        json.loads(line)


def test_it_runs_as_a_module_too(cli: Cli) -> None:
    process = cli.spawn([sys.executable, "-m", "streamreplay", "--version"])
    out, err = process.communicate(timeout=30)
    assert out.startswith(b"streamreplay "), err


def test_a_closed_standard_output_does_not_end_up_in_another_file(cli: Cli) -> None:
    cli.csv(100)
    done = cli.shell(f"streamreplay run -s rows.csv --emit predictions -q -o out {FAST} >&-")
    assert (done.returncode, done.stderr) == (
        1,
        "streamreplay: error: standard output: cannot be written: Bad file descriptor\n",
    )
    texts = [path.read_bytes() for path in (cli.folder / "out").iterdir() if path.is_file()]
    assert sum(text.count(b'"position":0,') for text in texts) <= 1  # in predictions.jsonl alone
    done = cli.shell(f"streamreplay run -s rows.csv --emit none -q {FAST} <&- >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = cli.shell("streamreplay run -s - <&-")
    assert "error: standard input: cannot be read: Bad file descriptor" in done.stderr


@pytest.mark.parametrize("errors", ["2>&-", "2>/dev/full"])
def test_a_run_goes_on_where_nobody_can_be_told(cli: Cli, errors: str) -> None:
    cli.csv(100)
    done = cli.shell(f"streamreplay run -s rows.csv -o out {FAST} {errors}")
    assert done.returncode == 0
    assert {json.loads(line)["position"] for line in done.stdout.splitlines()} == {100}


@pytest.mark.parametrize(
    "command", ["run -s rows.csv --emit predictions -q -o out", "schema", "init -", "--help"]
)
def test_a_full_disk_behind_standard_output_is_one_line(cli: Cli, command: str) -> None:
    cli.csv(100)
    done = cli.shell(f"streamreplay {command} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("streamreplay: error: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_files_as_arguments_behind_a_job_file(cli: Cli) -> None:
    lines = cli.csv(60).read_text().splitlines(keepends=True)
    for name, part in (("a.csv", lines[1:31]), ("b.csv", lines[31:])):
        (cli.folder / name).write_text("".join([lines[0], *part]))
    (cli.folder / "job.toml").write_text('[run]\nemit = "predictions"\n')
    whole = cli("run", "rows.csv", "--emit", "predictions", "-q").stdout
    assert whole.count("\n") == 60
    for args in (
        ["job.toml", "a.csv", "b.csv"],
        ["job.toml", "[ab].csv"],
        ["job.toml", "a.csv", "-s", "b.csv"],
    ):
        assert cli("run", *args, "-q").stdout == whole
    wrong = cli("run", "a.csv", "job.toml", "-q")
    assert "job.toml: a job file is the first argument, and there is at most one" in wrong.stderr
