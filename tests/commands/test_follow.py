"""Real processes follow real files, which are rotated and truncated; processes are killed."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.commands.conftest import Cli, Process

SMALL = ("--set", "learner.hidden=[4]", "--batch-size", "2", "--set", "source.max_wait=0.1")
OUT = ("--emit", "predictions", "--checkpoint-every", "4", "-o", "out", "--follow")


def rows(numbers: range) -> str:
    return "".join(f"r{i},{i % 7},{'kl'[i % 2]}\n" for i in numbers)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


class Followed:
    """A run that follows files, and how far its predictions are."""

    def __init__(self, cli: Cli, *args: object) -> None:
        self.cli = cli
        self.args = ("run", *args, *SMALL, *OUT)
        self.process = self.start()

    def start(self, *more: str) -> Process:
        out, err = ((self.cli.folder / name).open("ab") for name in ("told", "said"))
        with out, err:
            return self.cli.start(*self.args, *more, stdout=out, stderr=err)

    def wait_for(self, n: int) -> None:
        told, wanted = self.cli.folder / "told", f'"id":"r{n - 1}"'
        self.cli.wait_for(lambda: wanted in told.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    @property
    def said(self) -> str:
        return (self.cli.folder / "said").read_text()

    @property
    def events(self) -> str:
        return (self.cli.folder / "out" / "events.log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self.start("--resume")

    def stop(self, n: int) -> None:
        """Stop it behind n rows: each was predicted once, in order."""
        self.wait_for(n)
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait() == 130
        log = self.cli.folder / "out" / "predictions.jsonl"
        ids = [json.loads(line)["id"] for line in log.read_text().splitlines()]
        assert ids == [f"r{i}" for i in range(n)]


HEAD = "id,a,y\n"


@pytest.mark.parametrize("given", ["days", "days/*.csv"])
def test_new_files_of_a_folder_and_of_a_pattern(cli: Cli, given: str) -> None:
    days = cli.folder / "days"
    days.mkdir()
    (days / "1.csv").write_text(HEAD + rows(range(6)))
    run = Followed(cli, given)
    run.wait_for(6)
    append(days / "1.csv", rows(range(6, 8)))
    run.wait_for(8)
    (days / "2.csv").write_text(HEAD + rows(range(8, 13)))
    run.wait_for(13)
    run.kill()
    (days / "3.csv").write_text(HEAD + rows(range(13, 16)))
    run.stop(16)


def test_compressed_files_of_a_folder(cli: Cli) -> None:
    """They are whole when they come; by its name such a file is not followed."""
    days = cli.folder / "days"
    days.mkdir()
    runs: list[Followed] = []
    for day, numbers in enumerate((range(6), range(6, 9), range(9, 12))):
        done = gzip.compress((HEAD + rows(numbers)).encode(), mtime=0)
        (cli.folder / "new").write_bytes(done)
        (cli.folder / "new").rename(days / f"{day}.csv.gz")
        if not day:
            runs.append(Followed(cli, "days"))
        runs[0].wait_for(numbers.stop)
        if day == 1:
            runs[0].kill()
    runs[0].stop(12)
    alone = cli("run", days / "0.csv.gz", "--follow")
    assert alone.returncode == 1
    assert "--follow: 0.csv.gz is compressed, and must be whole; give its folder" in alone.stderr


@pytest.mark.parametrize("copy", [False, True])
def test_a_log_is_rotated_and_the_run_killed(cli: Cli, *, copy: bool) -> None:
    log = cli.folder / "rows.csv"
    log.write_text(HEAD + rows(range(6)))
    run = Followed(cli, "rows.csv")
    for number, kills in enumerate((False, True, False), 1):
        end = 10 * number - 4
        run.wait_for(end)
        append(log, rows(range(end, end + 3)))
        if kills:
            run.process.kill()
            run.process.wait()
        old = cli.folder / f"rows.csv.{number}"
        if copy:
            old.write_bytes(log.read_bytes())
            log.write_bytes(b"")
        else:
            log.rename(old)
        append(log, HEAD + rows(range(end + 3, end + 10)))
        if kills:
            run.process = run.start("--resume")
    run.stop(36)
    what = "truncated" if copy else "rotated"
    assert run.events.count(f"warning: rows.csv was {what}: ") >= 2
    assert run.said.count(f"warning: rows.csv was {what}: ") >= 2


def test_a_log_is_truncated_without_a_copy(cli: Cli) -> None:
    log = cli.folder / "rows.jsonl"
    lines = [json.dumps({"id": f"r{i}", "a": i % 7, "y": "kl"[i % 2]}) + "\n" for i in range(20)]
    log.write_text("".join(lines[:8]))
    run = Followed(cli, "rows.jsonl")
    run.wait_for(8)
    log.write_text("".join(lines[8:11]))
    run.wait_for(11)
    run.kill()
    append(log, "".join(lines[11:15]))
    run.stop(15)
    assert run.events.count("and reading begins at 0") == 1
