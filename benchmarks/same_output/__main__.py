"""Check that two checkouts write the same bytes, job by job.

More than a hundred small jobs run through the command line of both checkouts: every method, buffer,
source, target, lever and model, resumed and killed runs, and the commands that read their folders
afterwards. All that they write is compared: standard output and error, exit codes, logs, dead
letters, events, checkpoints, job files, pages of `report`, and the output of `compare`, `tail`,
`inspect` and `export`. What differs between any two runs of one checkout is replaced or left out,
each with its reason (`rules.py`); so is what differs on purpose (`intended.py`). Every resumed run
is also compared with an uninterrupted one, and the new checkout finishes a run that the old one
began.

In the checkout's folder:

    python -m benchmarks.same_output --old CHECKOUT [--new CHECKOUT] [--only NAME ...] [--keep DIR]

With --keep, the outputs of the old checkout stay in DIR and are used again until it, the jobs or
the machine change. The exit code is 1 if anything differs. No job covers `demo`, MLflow, CUDA,
replay budgets, late labels, and what only Python offers (loaders, `compat`).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.same_output.compare import compare
from benchmarks.same_output.inputs import CHECKOUT
from benchmarks.same_output.jobs import all_jobs
from benchmarks.same_output.worker import work


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_output", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--old", type=Path, help="the checkout to compare with")
    parser.add_argument("--new", type=Path, default=CHECKOUT, help="by default this one")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these jobs; * goes for any")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where old outputs are kept")
    parser.add_argument("--list", action="store_true", help="print the jobs' names and exit")
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.old is None and not (options.plan or options.list):
        parser.error("--old: give a checkout")
    return options


def main() -> None:
    options = parsed()
    if options.plan:
        work(options.plan)
        return
    if options.list:
        print("\n".join(job.name for job in all_jobs()))
        return
    room = Path(tempfile.mkdtemp(prefix="same-output-"))
    start = time.monotonic()
    differing = compare(options, room)
    seconds = f"{time.monotonic() - start:.0f} s"
    if differing:
        print(f"{differing} jobs differ, {seconds}; all differences and the outputs: {room}/new")
        raise SystemExit(1)
    print(f"all jobs are the same, {seconds}")
    shutil.rmtree(room)


if __name__ == "__main__":
    main()
