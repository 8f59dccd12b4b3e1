"""One of the two checkouts, and what its jobs wrote."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from benchmarks.same_output.folders import files_of
from benchmarks.same_output.inputs import CHECKOUT
from benchmarks.same_output.job import Job
from benchmarks.same_output.normalise import comparable
from benchmarks.same_output.rules import NOT_COMPARED
from benchmarks.same_output.worker import runner_note


class Note(TypedDict):
    """What running a job found."""

    faults: list[str]
    seconds: float


@dataclass(frozen=True)
class Side:
    """A checkout, and the folders that its jobs read and write."""

    word: str
    checkout: Path
    folder: Path
    inputs: Path
    old: Path

    def run(self, jobs: list[Job]) -> None:
        """Run jobs, all in one process."""
        if not jobs:
            return
        start = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            runner_note(self.folder, job.name).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as name:
            plan = Path(name) / "plan.json"
            given = {
                "word": self.word,
                "checkout": str(self.checkout),
                "side": str(self.folder),
                "inputs": str(self.inputs),
                "old": str(self.old),
                "jobs": [job.name for job in jobs],
            }
            plan.write_text(json.dumps(given))
            command = [sys.executable, "-m", "benchmarks.same_output", "--plan", str(plan)]
            subprocess.run(
                command,
                cwd=CHECKOUT,
                env=self.environment(),
                check=False,
                stdin=subprocess.DEVNULL,
            )
        print(f"{self.word}: {len(jobs)} jobs in {time.monotonic() - start:.0f} s", flush=True)

    def environment(self) -> dict[str, str]:
        """Return what jobs of this side find in their environment."""
        return {
            **os.environ,
            "PYTHONPATH": f"{self.checkout}{os.pathsep}{self.inputs}",
            "PYTHONDONTWRITEBYTECODE": "1",  # a checkout stays as it is
            "PYTHONWARNINGS": "ignore",  # they name lines of code, each once in a process
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "TERM": "dumb",
        }

    def note(self, job: Job) -> Note:
        """Return what running a job found."""
        path = runner_note(self.folder, job.name)
        lost: Note = {"faults": ["was not run to its end"], "seconds": 0.0}
        found: Note = json.loads(path.read_text()) if path.exists() else lost
        return found

    def texts(self, job: Job) -> dict[str, bytes]:
        """Return the files that a job wrote, by name, ready to be compared."""
        folder = self.folder / job.name
        return {
            name: comparable(f"{job.name}/{name}", path.read_bytes(), folder)
            for path in files_of(folder)
            for name in [str(path.relative_to(folder))]
            if not any(fnmatch.fnmatchcase(f"{job.name}/{name}", e.files) for e in NOT_COMPARED)
        }
