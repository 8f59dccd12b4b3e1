"""``tail`` and ``compare`` as a person types them; real runs that go on, die and are resumed."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

SMALL = ("--set", "learner.hidden=[8]", "--set", "evaluator.report_every=20")
FED = ("-s", "-", "--format", "jsonl", "--emit", "none", "--checkpoint-every", "40", *SMALL)


def row(i: int) -> bytes:
    return json.dumps({"x": [i % 3, -i % 5], "y": i % 3}).encode() + b"\n"


def plain(written: bytes) -> str:
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", written.decode(errors="replace"))


class Terminal:
    """A pseudo-terminal with a program in it; what it wrote, in order."""

    def __init__(self, cli: Cli, *args: object, columns: int = 90) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (30, columns))
        size = {"COLUMNS": str(columns), "LINES": "30"}
        self.process = subprocess.Popen(
            cli.command(*args),
            cwd=cli.folder,
            env={**cli.env(), "TERM": "xterm-256color", **size},
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 - so that Ctrl-C is a signal
        )
        cli.started.append(self.process)
        os.close(slave)
        self.written = b""

    def wait_for(self, pattern: str, seconds: float = 60.0) -> None:
        """Read on until something was written since the last time."""
        end = time.monotonic() + seconds
        start = len(self.written)
        while not re.search(pattern, plain(self.written[start:])):
            assert time.monotonic() < end, plain(self.written[start:])[-2000:]
            self.read()

    def read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 0.1)
        if not ready:
            return True
        try:
            block = os.read(self.master, 1 << 16)
        except OSError:  # the program has ended
            return False
        self.written += block
        return bool(block)

    def end(self) -> int:
        end = time.monotonic() + 60
        while self.read() and (self.process.poll() is None or self.has_more()):
            assert time.monotonic() < end, plain(self.written)[-2000:]
        os.close(self.master)
        return self.process.wait(10)

    def has_more(self) -> bool:
        return bool(select.select([self.master], [], [], 0)[0])


@pytest.mark.slow
def test_a_run_is_watched_while_it_goes_on_dies_and_is_resumed(cli: Cli) -> None:
    terminal = Terminal(cli, "tail", "out", "--interval", "0.1")
    terminal.wait_for("waiting for a run to begin in out")
    run = cli.start("run", *FED, "-o", "out", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdin is not None
    run.stdin.write(b"".join(map(row, range(100))))
    run.stdin.flush()
    terminal.wait_for(r"running[\s\S]*row +(80|100)")
    assert "out  running" in cli("tail", "out", "--once").stdout
    run.kill()
    run.wait()
    terminal.wait_for(r"killed[\s\S]*continues from row \d+; resume with[\s\S]*streamreplay run")
    once = cli("tail", "out")
    assert once.returncode == 0
    assert once.stdout.startswith("out  killed\n")
    rest = b"".join(map(row, range(200)))
    done = cli("run", "--resume", "-o", "out", input=rest)
    assert done.returncode == 0, done.stderr
    assert terminal.end() == 0
    assert b"Traceback" not in terminal.written
    left = plain(terminal.written.rpartition(b"\x1b[?1049l")[2])  # back on the first screen
    assert "out  finished" in left
    assert re.search(r"row +200", left)


@pytest.mark.slow
def test_leaving_restores_the_terminal(cli: Cli) -> None:
    run = cli.start("run", *FED, "-o", "out", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdin is not None
    run.stdin.write(b"".join(map(row, range(60))))
    run.stdin.flush()
    cli.wait_for((cli.folder / "out" / "timings.jsonl").exists)
    terminals = [Terminal(cli, "tail", "out", columns=40) for _ in range(2)]
    for terminal in terminals:
        terminal.wait_for(r"row +[246]0")
    os.write(terminals[0].master, b"\x03")  # Ctrl-C
    terminals[1].process.send_signal(signal.SIGTERM)
    assert [terminal.end() for terminal in terminals] == [0, 143]
    for written in (terminal.written for terminal in terminals):
        assert b"\x1b[?1049h" in written
        assert b"\x1b[?1049l" in written
        assert written.rfind(b"\x1b[?25h") > written.rfind(b"\x1b[?25l")
        assert b"Traceback" not in written
    run.stdin.close()
    assert run.wait(60) == 0  # who watched has not disturbed it


CSV = ("run", "rows.csv", "-l", "y", "--set", "learner.hidden=[8]")


@pytest.mark.slow
def test_a_run_shows_a_table_and_no_json(cli: Cli) -> None:
    cli.csv(3000)
    terminal = Terminal(cli, *CSV)
    assert terminal.end() == 0
    shown = plain(terminal.written)
    assert '{"kind"' not in shown
    assert "rows.csv  running" in shown
    last = shown.rpartition("rows.csv  finished")[2]
    assert re.search(r"row +3,000\r\n", last)
    assert re.search(r"accuracy +0\.\d+ in window", last)
    assert re.search(r"streamreplay: 3,000 rows, .*\r\n  accuracy 0\.\d+, repeating the last", last)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "json_lines"),
    [(("--emit", "metrics"), True), (("--emit", "none", "-q"), False), (("-q",), False)],
    ids=["asked for", "nothing", "quiet"],
)
def test_a_run_shows_no_table_if_something_else_is_wanted(
    cli: Cli, given: tuple[str, ...], json_lines: bool
) -> None:
    cli.csv(1500)
    terminal = Terminal(cli, *CSV, *given)
    assert terminal.end() == 0
    shown = plain(terminal.written)
    assert ('{"kind":"prequential"' in shown) == json_lines
    assert "rows.csv  " not in shown
    assert "\x1b[" not in terminal.written.decode()  # no line moves
    assert all(line.endswith("}") for line in shown.splitlines() if '{"kind"' in line)


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_its_table_and_one_command(cli: Cli) -> None:
    cli.csv(40_000)
    out = "a folder with a name that is longer than the terminal"
    terminal = Terminal(cli, *CSV, "-o", out, columns=40)
    terminal.wait_for(r"in window")
    os.write(terminal.master, b"\x03")  # Ctrl-C
    assert terminal.end() == 130
    assert b"Traceback" not in terminal.written
    assert terminal.written.rfind(b"\x1b[?25h") > terminal.written.rfind(b"\x1b[?25l")
    *_, command = plain(terminal.written).splitlines()
    assert command == f"  streamreplay run --resume --out '{out}'"
    resumed = Terminal(cli, "run", "--resume", "-o", out, columns=40)
    assert resumed.end() == 0
    assert f"{out} finished" in " ".join(plain(resumed.written).split())


Run = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_compare_reads_what_runs_write(in_process: Run, cli: Cli) -> None:
    cli.jsonl(600, broken=False)
    for name, hidden in (("one", 4), ("other", 8)):
        settings = (f"learner.hidden=[{hidden}]", "run.save_predictions=true", "test.share=0.2")
        given = [part for each in settings for part in ("--set", each)]
        source = ("-s", "rows.jsonl", "-l", "y", *given, "--emit", "none")
        code, _, err = in_process("run", *source, "-o", name, "-q")
        assert code == 0, err
    code, out, err = in_process("compare", "one", "other", "--resamples", "200", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["metric"], found["resamples"]) == ("accuracy", 200)
    assert found["settings"] == {"learner.hidden": {"one": [4], "other": [8]}}
    (each,) = found["differences"]
    assert (each["paired"], each["data"], each["rows"]) == (True, "predictions", 480)
    scores = [group["runs"][0]["prequential"]["accuracy"] for group in found["groups"]]
    assert each["value"] == pytest.approx(scores[1] - scores[0])
    code, out, err = in_process("compare", "one", "other", "--metric", "loss")
    assert code == 0, err
    assert "settings that differ" in out
    assert "paired record by record" in out


def test_mistakes_are_one_line(in_process: Run) -> None:
    for args, message in (
        (("compare", "none", "also"), "none: there is no such folder"),
        (("compare", "none", "--metric", "f1"), "--metric: must be a mean over rows"),
        (("tail", "none", "--once"), "none: there is no such folder"),
        (("tail", "none", "--interval", "0"), "--interval: must be at least 0.1"),
    ):
        code, out, err = in_process(*args)
        assert (code, out) == (1, "")
        assert err.startswith(f"streamreplay: error: {message}")
        assert err.count("\n") == 1
    assert in_process("compare")[0] == 2
