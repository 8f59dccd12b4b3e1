"""The process that runs the jobs of one checkout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.same_output.intended import RENAMED
from benchmarks.same_output.jobs import all_jobs
from benchmarks.same_output.runner import Runner


def work(plan: Path) -> None:
    """Run the jobs of a plan, and write what was found into a file next to each job's folder."""
    given = json.loads(plan.read_text())
    del sys.path[0]  # the folder of this script's checkout, which has a streamreplay of its own
    import streamreplay  # noqa: PLC0415 - that of the checkout that PYTHONPATH names

    if not Path(str(streamreplay.__file__)).is_relative_to(given["checkout"]):
        raise SystemExit(f"streamreplay is that of {streamreplay.__file__}")
    side, inputs, old = (Path(given[name]) for name in ("side", "inputs", "old"))
    runner = Runner(side, inputs, old, RENAMED if given["word"] == "new" else ())
    jobs = {job.name: job for job in all_jobs()}
    for name in given["jobs"]:
        start = time.monotonic()
        faults = runner.run(jobs[name])
        found = {"faults": faults, "seconds": round(time.monotonic() - start, 2)}
        runner_note(side, name).write_text(json.dumps(found))
        if sys.stderr.isatty():
            print(f"\r\033[K{given['word']}: {name}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def runner_note(side: Path, name: str) -> Path:
    """Return the path of the file that says what running a job found."""
    return side / f"{name}.json"
