"""Run the jobs of both checkouts and compare what they wrote."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from functools import partial
from pathlib import Path

from filelock import FileLock

from benchmarks.same_output.cache import keys
from benchmarks.same_output.inputs import make_inputs, write_inputs
from benchmarks.same_output.intended import INTENDED
from benchmarks.same_output.job import Job
from benchmarks.same_output.jobs import all_jobs
from benchmarks.same_output.normalise import replaced
from benchmarks.same_output.side import Side

SHOWN = 4
"""How many differences of a job are printed; all of them are in a file."""


def differences(job: Job, old: Side, new: Side) -> list[str]:
    """Return how a job's outputs differ: the first different line of each file."""
    before, now = old.texts(job), new.texts(job)
    before = {name: replaced(f"{job.name}/{name}", data, INTENDED) for name, data in before.items()}
    found = [f"{side.word}: {fault}" for side in (old, new) for fault in side.note(job)["faults"]]
    for name in sorted({*before, *now}):
        if name not in before or name not in now:
            found.append(f"{name}: only in {'old' if name in before else 'new'}")
        elif before[name] != now[name]:
            found.append(first_difference(name, before[name], now[name]))
    return found


def first_difference(name: str, old: bytes, new: bytes) -> str:
    """Return the first line in which two files differ, from shortly before the difference."""
    lines = zip([*old.split(b"\n"), b"(end)"], [*new.split(b"\n"), b"(end)"], strict=False)
    number, (one, other) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    pairs = enumerate(zip(one, other, strict=False))
    start = max(0, next((i for i, (a, b) in pairs if a != b), min(len(one), len(other))) - 60)
    shown = (each[start : start + 140].decode(errors="replace") for each in (one, other))
    cut = "..." if start else ""
    return "\n".join([f"{name}:{number}", *(f"      {cut}{each}" for each in shown)])


def compare(options: argparse.Namespace, room: Path) -> int:
    """Run both checkouts, print a line for each job, and return how many jobs differ."""
    jobs = chosen(options.only)
    kept: Path = (options.keep or room / "kept").resolve()
    inputs, files = kept / "inputs", make_inputs()
    write_inputs(inputs, files)
    make = partial(Side, inputs=inputs, old=kept / "old")
    old = make("old", options.old.resolve(), kept / "old")
    new = make("new", options.new.resolve(), room / "new")
    wanted = keys(jobs, old.checkout, inputs, files)
    with FileLock(kept / "lock"):  # another comparison may write the same files
        stale = [job for job in jobs if _key(old, job) != wanted[job.name]]
        print(f"{len(jobs)} jobs; of the old checkout {len(jobs) - len(stale)} are there already")
        for job in stale:
            _key_file(old, job).unlink(missing_ok=True)
        old.run(stale)
        for job in stale:
            if not old.note(job)["faults"]:
                _key_file(old, job).write_text(wanted[job.name])
    new.run(jobs)
    differing = sum([_print_differences(job, old, new) for job in jobs])
    print(f"{len(jobs) - differing} of {len(jobs)} jobs are the same")
    return differing


def chosen(only: list[str] | None) -> list[Job]:
    """Return the jobs whose names match, or all jobs."""
    jobs = all_jobs()
    if only:
        jobs = [j for j in jobs if any(fnmatch.fnmatchcase(j.name, p) for p in only)]
    if not jobs:
        raise SystemExit("--only: there is no such job; --list has their names")
    return jobs


def _key(side: Side, job: Job) -> str:
    path = _key_file(side, job)
    return path.read_text() if path.exists() else ""


def _key_file(side: Side, job: Job) -> Path:
    return side.folder / f"{job.name}.key"


def _print_differences(job: Job, old: Side, new: Side) -> bool:
    """Print the result of a job; return whether anything differs."""
    found = differences(job, old, new)
    if found:
        (new.folder / f"{job.name}.differences").write_text("\n".join(found) + "\n")
    files, seconds = len(new.texts(job)), new.note(job)["seconds"]
    word = f"DIFFERS in {len(found)}" if found else "same"
    print(f"{job.name:28} {word} ({files} files, {seconds:.1f} s)")
    for each in found[:SHOWN]:
        print(f"    {each}")
    if len(found) > SHOWN:
        print(f"    and {len(found) - SHOWN} more")
    sys.stdout.flush()
    return bool(found)
