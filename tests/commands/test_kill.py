"""Real processes, killed: what they leave is what an unbroken run leaves, byte for byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamreplay import data_path
from streamreplay.log.lines import rotated_files

if TYPE_CHECKING:
    from tests.commands.conftest import Cli

SMALL = ("--set", "learner.hidden=[8]", "--set", "evaluator.report_every=200")
EMIT = ("--emit", "predictions", "--checkpoint-every", "300")


def kill_and_resume(
    cli: Cli,
    args: tuple[object, ...],
    kills: int,
    seed: int,
    resume: tuple[str, ...] = ("--resume",),
    *,
    fresh: bool = False,
) -> int:
    """Kill -9 once the log has grown to a random size, resume; return how often that hit.

    ``fresh`` starts a new interpreter each time.
    """
    whole = cli("run", *args, *EMIT, "-o", "whole", "--quiet")
    assert whole.returncode == 0, whole.stderr
    expected = cli.contents(cli.folder / "whole")
    total = size_of(cli.folder / "whole")
    rng = random.Random(seed)  # noqa: S311 - a test's dice
    out, killed = cli.folder / "out", 0
    for size in sorted(rng.randrange(total) for _ in range(kills)):
        again = ("run", *args, *EMIT, "-o", "out", *resume)
        process = cli.start(*again, fresh=fresh, stdout=subprocess.DEVNULL)
        cli.wait_for(lambda: process.poll() is not None or size_of(out) > size)  # noqa: B023
        process.kill()
        process.communicate()
        killed += process.returncode == -9
    end = cli("run", *resume, "-o", "out", fresh=fresh)
    assert end.returncode == 0, end.stderr
    assert cli.contents(cli.folder / "out") == expected
    return killed


def size_of(folder: Path) -> int:
    """Return how long the log of predictions is, with what was dropped of it as far as is known."""
    active, limit = folder / "predictions.jsonl", 12_000
    return max(rotated_files(active), default=0) * limit + stat_size(active)


def stat_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # just now, as a new one begins
        return -1


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 2])
def test_kill_where_logs_are_cut_into_files(cli: Cli, keep: int) -> None:
    files = ("--set", "run.log_max_bytes=12000", "--set", f"run.log_keep={keep}")
    kill_and_resume(cli, ("-s", cli.jsonl(2500), *SMALL, *files), kills=4, seed=keep)
    numbers = rotated_files(cli.folder / "out" / "predictions.jsonl")
    assert len(numbers) > 2
    assert (len(numbers) < max(numbers)) == (keep > 0)


@pytest.mark.slow
@pytest.mark.parametrize("max_size", [100, 100_000])
def test_kill_jsonl(cli: Cli, max_size: int) -> None:
    path = cli.jsonl(2500)
    args = ("-s", path, *SMALL, "--set", f"buffer.max_size={max_size}")
    kill_and_resume(cli, args, kills=3, seed=max_size, fresh=max_size == 100)


@pytest.mark.slow
def test_kill_where_columns_come_and_vanish(cli: Cli) -> None:
    """Each change has one record, and one line among the events."""
    records = [json.loads(line) for line in cli.jsonl(2500, broken=False).read_text().splitlines()]
    for i, record in enumerate(records):
        if i > 1100:
            record |= {"gate": f"g{i % 5}", "late": i % 7}
            del record["b"]
        if i > 2200:
            record["b"] = 0.5
    path = cli.folder / "changing.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    kill_and_resume(cli, ("-s", path, *SMALL), kills=4, seed=6)
    events = (cli.folder / "out" / "events.log").read_text()
    changes = [line.partition(" column ")[2] for line in events.splitlines()]
    assert sorted(filter(None, changes)) == [
        "'b' is back at row 2,202",
        "'b' is missing from row 1,102 on",
        "'gate' is new at row 1,102, learned as a category",
        "'late' is new at row 1,102, learned as a number",
    ]


@pytest.mark.slow
def test_kill_csv(cli: Cli) -> None:
    kill_and_resume(cli, ("-s", cli.csv(2500), *SMALL), kills=2, seed=3)


@pytest.mark.slow
def test_kill_idx(cli: Cli) -> None:
    images, labels = cli.idx(2500)
    args = ("-s", images, "--set", f"source.labels_path={labels}", *SMALL)
    split = ("--set", "source.split.n_experiences=2", "--set", "test.share=0.1")
    kill_and_resume(cli, (*args, *split), kills=2, seed=4)


@pytest.mark.slow
def test_kill_with_ten_classes_in_five_experiences(cli: Cli) -> None:
    split = ("--set", "source.split.n_experiences=5", "--set", "test.share=0.2")
    args = ("-s", data_path("digits.npz"), "--batch-size", "4", *split, *SMALL)
    kill_and_resume(cli, args, kills=2, seed=5)


@pytest.mark.slow
def test_signals_stop_at_a_safe_point_and_say_how_to_go_on(cli: Cli) -> None:
    path = cli.jsonl(3000)
    args = ("-s", path, *SMALL, *EMIT)
    assert cli("run", *args, "-o", "whole").returncode == 0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = cli.folder / f"out {number.name}"
        process = cli.start("run", *args, "-o", out)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert (
            err.decode().splitlines()[-1].startswith(f"streamreplay: stopped by {number.name} at")
        )
        command = err.decode().partition("resume with: streamreplay")[2].strip()
        end = cli.shell(f"streamreplay {command}")
        assert end.returncode == 0, end.stderr
        assert cli.contents(out) == cli.contents(cli.folder / "whole")


@pytest.mark.slow
def test_a_second_signal_stops_at_once(cli: Cli) -> None:
    reader, writer = os.pipe()
    process = cli.start(
        "run",
        "-s",
        "-",
        "--format",
        "jsonl",
        *SMALL,
        "--emit",
        "predictions",
        stdin=subprocess.PIPE,
        stdout=writer,
    )
    os.close(writer)
    assert process.stdin is not None
    lines = b"".join(json.dumps({"x": [1.0], "y": i % 2}).encode() + b"\n" for i in range(20_000))
    feeder = os.fork()
    if feeder == 0:  # pragma: no cover
        try:
            process.stdin.write(lines)
        finally:
            os._exit(0)
    process.stdin.close()
    os.read(reader, 10)
    cli.wait_for(lambda: is_blocked(process.pid))  # nobody reads on: it hangs in a write
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    os.kill(feeder, signal.SIGKILL)
    os.waitpid(feeder, 0)
    os.close(reader)


def is_blocked(pid: int) -> bool:
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text()


@pytest.mark.slow
def test_a_second_process_is_refused(cli: Cli) -> None:
    first = cli.start(
        "run",
        "-s",
        "-",
        "--format",
        "jsonl",
        "-o",
        "out",
        *SMALL,
        "--emit",
        "predictions",
        stdin=subprocess.PIPE,
    )
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write(b'{"x": [1.0], "y": 1}\n')
    first.stdin.flush()
    first.stdout.readline()
    second = cli("run", "--resume", "-o", "out")
    assert second.returncode == 1
    assert second.stderr == "streamreplay: error: out: another process is running here\n"
    first.stdin.close()
    assert first.wait(30) == 0


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_fallen_back_over(cli: Cli) -> None:
    path = cli.csv(2000)
    args = ("-s", path, *SMALL, *EMIT)
    assert cli("run", *args, "-o", "whole").returncode == 0
    assert cli("run", *args, "-o", "out").returncode == 0
    newest = max((cli.folder / "out" / "checkpoints").iterdir())
    (newest / "state.json").write_bytes(b"{}")
    end = cli("run", "--resume", "-o", "out", "--emit", "none")
    assert end.returncode == 0
    assert f"warning: out/checkpoints/{newest.name}/state.json: has 2 bytes" in end.stderr
    assert "falling back" in (cli.folder / "out" / "events.log").read_text()
    assert cli("run", *args, "-o", "out", "--resume").returncode == 0
    assert cli.contents(cli.folder / "out") == cli.contents(cli.folder / "whole")
