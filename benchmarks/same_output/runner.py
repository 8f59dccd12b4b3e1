"""Run jobs of one checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.same_output.clock import scalars, steady
from benchmarks.same_output.folders import unlike
from benchmarks.same_output.job import INPUTS, OLD, Broken, Call, Copy, Job
from benchmarks.same_output.process import main_in_process, redirected


class Runner:
    """Runs jobs of one checkout, in a process that has it on its path.

    Parameters
    ----------
    side : Path
        Where each job has its folder.
    inputs, old : Path
        Inputs, and where the jobs of the old checkout have theirs.
    renamed : tuple
        As `RENAMED`.
    """

    def __init__(
        self, side: Path, inputs: Path, old: Path, renamed: tuple[tuple[str, str, str], ...]
    ) -> None:
        self._side, self._inputs, self._old, self._renamed = side, inputs, old, renamed
        self._folder = side
        self._faults: list[str] = []
        self._number = 0

    def run(self, job: Job) -> list[str]:
        """Run a job; return what was not as expected, whatever the other checkout does."""
        self._folder, self._faults, self._number = self._side / job.name, [], 0
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        os.chdir(self._folder)
        for name, text in job.files:
            (self._folder / name).write_text(self._filled(text))
        try:
            self._take_steps(job)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            self._faults.append(f"could not go on: {error}")
        return self._faults

    def _take_steps(self, job: Job) -> None:
        for step in job.steps:
            if isinstance(step, Copy):
                source = self._filled(step.source)
                shutil.copytree(source.replace(OLD, str(self._old / job.name)), step.to)
            elif isinstance(step, Broken):
                self._break(step)
            else:
                self._call(step)
        self._faults += [fault for same in job.same for fault in unlike(self._folder, same)]
        self._steady(timed=job.timed)
        for call in job.reads:
            self._call(call)

    def _filled(self, text: str) -> str:
        for pattern, put, _ in self._renamed:
            text = re.sub(pattern, put, text)
        return text.replace(INPUTS, str(self._inputs))

    def _call(self, call: Call) -> None:
        self._number += 1
        stem = f"{self._number:02d}-{call.argv[0].strip('-') if call.argv else 'nothing'}"
        argv = [self._filled(each) for each in call.argv]
        with (
            Path(f"{stem}.stdout").open("wb") as out,
            Path(f"{stem}.stderr").open("wb") as err,
            redirected(out.fileno(), err.fileno(), self._inputs / (call.stdin or "empty.jsonl")),
        ):
            code = main_in_process(argv)
        Path(f"{stem}.code").write_text(f"{code}\n")
        if code != call.code:
            said = Path(f"{stem}.stderr").read_text(errors="replace").splitlines()[-1:]
            self._faults.append(f"{stem}: exit code {code}, expected {call.code}: {''.join(said)}")

    def _break(self, step: Broken) -> None:
        """Start a process, and send it its signal once the log has come to a row."""
        self._number += 1
        for _ in range(5):
            code, out, err = self._broken(step)
            if code != 0:
                break
            shutil.rmtree("out")  # it came to its end before the signal did
        else:
            raise RuntimeError(f"{self._folder.name}: could not be stopped in time")
        stem = f"{self._number:02d}-broken"
        Path(f"{stem}.code").write_text(f"{code}\n")
        if step.stdin:  # else the row that it had come to is a matter of time
            Path(f"{stem}.stdout").write_bytes(out)
            Path(f"{stem}.stderr").write_bytes(err)
        expected = -step.signal if step.signal == signal.SIGKILL else 128 + step.signal
        if code != expected:
            said = err.decode(errors="replace").splitlines()[-1:]
            self._faults.append(f"{stem}: exit code {code}, expected {expected}: {''.join(said)}")

    def _broken(self, step: Broken) -> tuple[int, bytes, bytes]:
        argv = [sys.executable, "-m", "streamreplay", *map(self._filled, step.argv)]
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=err) as process,
        ):
            if step.stdin and process.stdin is not None:
                lines = (self._inputs / step.stdin).read_bytes().splitlines(keepends=True)
                process.stdin.write(b"".join(lines[: step.header + step.at]))
                process.stdin.flush()
            end = time.monotonic() + 120
            while process.poll() is None and not _has_come_to(step.at) and time.monotonic() < end:
                time.sleep(0.002)
            process.send_signal(step.signal)
            try:
                process.wait(60)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            return process.returncode, out.read(), err.read()

    def _steady(self, *, timed: bool) -> None:
        """Write numbers that follow from their places over those of the clock.

        So what reads them is compared as well. Where their number depends on the clock too they go:
        lines from before a kill stay, and files of a certain size hold more or fewer of them.
        """
        for path in sorted(self._folder.rglob("timings*.jsonl")):
            if not timed:
                path.unlink()
                continue
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
            made = [json.dumps(steady(line, place)) for place, line in enumerate(lines, 1)]
            path.write_text("".join(f"{line}\n" for line in made))
        for path in sorted(self._folder.rglob("events.out.tfevents.*")):
            path.with_name("scalars.txt").write_text(scalars(path))
            path.unlink()


def _has_come_to(row: int) -> bool:
    """Return whether the log has a record of a row or of a later one."""
    rows = [0]
    for path in Path("out").glob("metrics*.jsonl"):
        with suppress(FileNotFoundError):  # just now, as a new file is begun
            rows += map(int, re.findall(rb'"position":(\d+)', path.read_bytes()))
    return max(rows) >= row
