"""Read any number of generated inputs, valid and damaged, in every format, and run folders.

    python -m tests.fuzz 100000                            # or: make fuzz N=100000
    python -m tests.fuzz 10000000 --seed 7 --workers 2     # the whole: hours
    python -m tests.fuzz 1 --seed 7 --first 4711           # one input again

Nothing may crash or hang, no good record may be lost, and each must be counted once; see `check`.
A run folder with a changed log or checkpoint must be read, or refused in one line: see `folders`.
An input that fails is written to the folder ``fuzz-failures``, with the command that repeats it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 20  # an input may take; most take a millisecond
SILENT = 120  # seconds after which a worker hangs in code that no signal interrupts
FAILURES = Path("fuzz-failures")
MOST_FAILURES = 50


@dataclass(frozen=True)
class Part:
    """The inputs of one worker: every ``step``-th from one on."""

    seed: int
    first: int
    end: int
    step: int


class HangError(BaseException):
    """An input took too long."""


def work(part: Part, at: Any, told: Queue[Any]) -> None:
    """Check inputs, and tell of figures and failures; ``at`` is the input being read."""
    from streamreplay.ingest.connect import line_reader  # noqa: PLC0415 - not in the parent
    from tests.fuzz.check import check  # noqa: PLC0415
    from tests.fuzz.inputs import dice_of, make_input  # noqa: PLC0415

    line_reader.SETTLED = 0.0  # nobody writes to the files
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _hangs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    counts: Counter[str] = Counter()
    records = 0
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name)
        for number in range(part.first, part.end, part.step):
            at.value = number
            dice = dice_of(part.seed, number)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                made = make_input(dice)
                counts[made.form] += 1
                records += check(made, dice, folder)
            except (Exception, HangError):  # noqa: BLE001 - each is a failure to tell of
                told.put(("failure", number, traceback.format_exc()))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            _empty(folder)
            if sum(counts.values()) >= 500:
                told.put(("figures", counts, records))
                counts, records = Counter(), 0
    told.put(("figures", counts, records))
    told.put(("end", part.first, ""))


def _hangs(_number: int, _frame: FrameType | None) -> None:
    raise HangError(f"longer than {SECONDS} s")


def _memory() -> str | None:
    """Return a folder in memory, if there is one: most of an input's time would be the disk's."""
    shared = "/dev/shm"  # noqa: S108 - a folder with a random name is made in it
    return shared if os.access(shared, os.W_OK) else None


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir():
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108 - a Path would be slower


class Fuzzer:
    """Starts workers, counts what they did, and keeps the inputs that fail."""

    def __init__(self, seed: int, first: int, inputs: int, workers: int) -> None:
        self.seed, self.first, self.end = seed, first, first + inputs
        self.step = min(workers, inputs)
        self.context = multiprocessing.get_context("spawn")
        self.told: Queue[Any] = self.context.Queue()
        self.counts: Counter[str] = Counter()
        self.records = self.failures = 0
        self.began = self.shown = time.monotonic()
        self.ended: set[int] = set()

    def run(self) -> int:
        workers = [self._start(self.first + i) for i in range(self.step)]
        seen = [(-1, time.monotonic()) for _ in workers]
        while len(self.ended) < len(workers) and self.failures < MOST_FAILURES:
            self._listen()
            for i, (process, at) in enumerate(workers):
                if i in self.ended:
                    continue
                if at.value != seen[i][0]:
                    seen[i] = at.value, time.monotonic()
                elif time.monotonic() - seen[i][1] > SILENT:
                    process.kill()
                    process.join()
                if process.exitcode not in (None, 0):  # it crashed, or was killed
                    self.fail(at.value, f"the process ended with code {process.exitcode}")
                    workers[i] = self._start(at.value + self.step)
        for process, _ in workers:
            process.kill()
        self.show()
        return int(self.failures > 0)

    def _start(self, first: int) -> tuple[SpawnProcess, Any]:
        at = self.context.Value("q", first)
        part = Part(self.seed, first, self.end, self.step)
        process = self.context.Process(target=work, args=(part, at, self.told), daemon=True)
        process.start()
        return process, at

    def _listen(self) -> None:
        deadline = time.monotonic() + 0.5
        while (left := deadline - time.monotonic()) > 0:
            try:
                kind, one, other = self.told.get(timeout=left)
            except queue.Empty:
                return
            if kind == "failure":
                self.fail(one, other)
            elif kind == "end":
                self.ended.add((one - self.first) % self.step)
            else:
                self.counts.update(one)
                self.records += other
                if time.monotonic() - self.shown > 30:
                    self.show()

    def fail(self, number: int, why: str) -> None:
        """Keep an input that fails, and say how to repeat it."""
        self.failures += 1
        folder = FAILURES / f"{self.seed}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        command = f"python -m tests.fuzz 1 --seed {self.seed} --first {number}"
        (folder / "why.txt").write_text(f"{command}\n\n{why}\n")
        from tests.fuzz.inputs import dice_of, make_input  # noqa: PLC0415

        try:
            made = make_input(dice_of(self.seed, number))
            for name, data in made.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            form = made.form
        except Exception as error:  # noqa: BLE001 - the fault may be in the generator
            form = f"an input that cannot be made ({error!r})"
        last = why.strip().splitlines()[-1][:300]
        _say(f"{form} fails: {last}\n  {folder}\n  {command}")

    def show(self) -> None:
        """Print the figures so far."""
        self.shown = time.monotonic()
        seconds, done = self.shown - self.began, sum(self.counts.values())
        _say(
            f"seed {self.seed}, inputs {self.first:,} on: {done:,} inputs ({done / seconds:,.0f}/s)"
            f" with {self.records:,} records, {self.failures} failures"
        )
        if len(self.ended) == self.step:
            for form, count in sorted(self.counts.items()):
                _say(f"  {count:>10,}  {form}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    return Fuzzer(options.seed, options.first, options.inputs, options.workers).run()
