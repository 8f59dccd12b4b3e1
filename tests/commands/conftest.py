import gzip
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from streamreplay.commands import main
from tests.commands.warm import WarmProcess

Process: TypeAlias = "subprocess.Popen[bytes] | WarmProcess"

CLI = Path(__file__).parents[2] / "cli.py"
CLOCK = ("timings.", "events.log", ".lock")


def without_fields(err: str) -> str:
    """Return standard error without the line about fields, which has tests of its own."""
    lines = err.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("streamreplay: features: "))


class Cli:
    """Starts the command line as a user does.

    Processes are forked from a warm one (see `warm`), unless an argument or a test says ``fresh``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []

    def start(self, *args: object, fresh: bool = False, **options: Any) -> Process:
        if fresh:
            return self.spawn(self.command(*args), **options)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = WarmProcess([*map(str, args)], cwd=self.folder, env=self.env(), **pipes)
        self.started.append(process)
        return process

    def spawn(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(command, cwd=self.folder, env=self.env(), **pipes)
        self.started.append(process)
        return process

    def __call__(
        self, *args: object, input: bytes | None = None, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; neither a traceback nor noise of the interpreter may show."""
        process = self.start(
            *args, fresh=fresh, stdin=subprocess.PIPE if input is not None else None
        )
        out, err = process.communicate(input, timeout=120)
        assert b"Traceback" not in err, err.decode()
        assert b"Exception ignored" not in err, err.decode()
        told = without_fields(err.decode())
        return subprocess.CompletedProcess(process.args, process.wait(), out.decode(), told)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in which ``streamreplay`` is the program."""
        name = f'streamreplay() {{ {sys.executable} {CLI} "$@"; }}; set -o pipefail; {script}'
        done = subprocess.run(
            ["bash", "-c", name],
            cwd=self.folder,
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        done.stderr = without_fields(done.stderr)
        return done

    def command(self, *args: object) -> list[str]:
        return [sys.executable, str(CLI), *map(str, args)]

    def env(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}

    def jsonl(self, n: int, *, broken: bool = True) -> Path:
        """Write a stream in which some lines cannot be read."""
        lines = [json.dumps(record) for record in records(n)]
        if broken:
            for place in range(50, n, 97):
                lines[place] = lines[place][:-5]
        path = self.folder / "rows.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    def csv(self, n: int) -> Path:
        lines = ["id,a,b,y", *(f"{r['id']},{r['a']},{r['b']},{r['y']}" for r in records(n))]
        path = self.folder / "rows.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    def idx(self, n: int) -> tuple[Path, Path]:
        rng = np.random.default_rng(0)
        y = rng.integers(0, 4, n).astype(np.uint8)
        x = (rng.integers(0, 99, (n, 4, 4)) + 40 * y[:, None, None]).astype(np.uint8)
        images = self.folder / "images-idx3-ubyte.gz"
        labels = self.folder / "labels-idx1-ubyte.gz"
        head = struct.pack(">IIII", 0x803, n, 4, 4)
        images.write_bytes(gzip.compress(head + x.tobytes(), mtime=0))
        labels.write_bytes(gzip.compress(struct.pack(">II", 0x801, n) + y.tobytes(), mtime=0))
        return images, labels

    @staticmethod
    def contents(folder: Path) -> dict[str, bytes]:
        """What the stream alone determines of a run folder: all logs, and the last checkpoint."""
        last = max((folder / "checkpoints").iterdir())
        files = [*folder.glob("*.*"), *last.iterdir()]
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in files
            if path.is_file() and not path.name.startswith(CLOCK)
        }

    @staticmethod
    def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.005)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["streamreplay", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, without_fields(err)

    return run


def records(n: int) -> list[dict[str, Any]]:
    """Rows of three classes, the third of which appears half-way."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        y = int(rng.integers(2 if i < n // 2 else 3))
        a, b = (rng.normal([y, -y], 0.5)).round(6).tolist()
        rows.append({"id": f"r{i}", "a": a, "b": b, "y": ["cat", "dog", "emu"][y]})
    return rows
