"""Time and memory of `streamreplay report` on a log of 1,000,000 lines of about 1 KB.

Each line has ten classes and five experiences; among them are the ends of experiences, rounds over
a probe, drifts and states of the buffer. Each phase is measured in a process of its own, after all
phases before it: seconds are of the phase alone, memory is the most that the process ever had.

    python benchmarks/report.py [--lines 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

EVERY = 100  # rows between two lines
CLASSES = [f"class {i}" for i in range(10)]
PHASES = ("read", "work out", "draw", "write PNG")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=2, metavar=("RUN", "PHASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    from common import machine, save, table  # noqa: PLC0415 - loads torch, which is not measured

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        write_log(run, options.lines)
        size = (run / "metrics.jsonl").stat().st_size
        print(f"{options.lines:,} lines, {size / 1e6:,.0f} MB")
        found = {phase: in_process(run, phase) for phase in PHASES}
        started = time.perf_counter()
        page = str(run / "report.html")
        command = [sys.executable, "-m", "streamreplay", "report", folder, "-o", page, "-q"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("streamreplay report failed")
        found["the whole command"] = [time.perf_counter() - started, used.ru_maxrss / 1e3]
    rows = [[name, f"{s:.2f}", f"{mb:.0f}"] for name, (s, mb) in found.items()]
    table(["phase", "seconds", "peak memory, MB"], rows)
    save("report", found)


def in_process(run: Path, phase: str) -> list[float]:
    command = [sys.executable, __file__, "--measure", str(run), phase]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(value) for value in json.loads(done.stdout)]


def measure(run: Path, last: str) -> tuple[float, float]:
    """Go through the phases up to one, and return its seconds and the process's peak in MB."""
    from streamreplay.reading.report import make_report, write_page, write_pictures  # noqa: PLC0415
    from streamreplay.reading.report.curves import read_curves  # noqa: PLC0415

    made: dict[str, Any] = {}
    steps: dict[str, Callable[[], Any]] = {
        "read": lambda: read_curves(run),
        "work out": lambda: made.update(report=make_report([run])),
        "draw": lambda: write_page(made["report"], run / "report.html"),
        "write PNG": lambda: write_pictures(made["report"], run / "png", "png"),
    }
    seconds = 0.0
    for phase in PHASES[: PHASES.index(last) + 1]:
        started = time.perf_counter()
        steps[phase]()
        seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def write_log(run: Path, lines: int) -> None:
    (run / "job.toml").write_text("seed = 0\n")
    with (run / "metrics.jsonl").open("wb") as metrics, (run / "timings.jsonl").open("wb") as clock:
        for i in range(1, lines + 1):
            kind = prequential
            if i % 1000 == 0:
                kind = retention
            elif i % 1000 == 500:
                kind = buffer
            elif i % 10_000 == 1:
                kind = drift
            metrics.write(orjson.dumps(kind(i, lines)) + b"\n")
            clock.write(orjson.dumps(timing(i)) + b"\n")


def prequential(i: int, lines: int) -> dict[str, Any]:
    position, known = i * EVERY, 0.8 + 0.1 * i / lines
    group = {"rows": position // 10, "accuracy": known, "rows_recent": 10, "accuracy_recent": known}
    scores = {"accuracy": known, "accuracy_window": known}
    return {
        "kind": "prequential",
        "v": 1,
        "position": position,
        "experience": 5 * (i - 1) // lines,
        "experience_end": i % (lines // 5) == 1 and i > 1,
        "rows": position,
        "unlabelled": 0,
        **scores,
        "accuracy_fading": known,
        "loss": 0.5,
        "loss_window": 0.4,
        "kappa": 0.7,
        "no_change": dict.fromkeys(scores, 0.1),
        "majority": dict.fromkeys(scores, 0.1),
        "by_class": dict.fromkeys(CLASSES, group),
        "replayed": 3 * position,
        "skipped": 0,
    }


def retention(i: int, lines: int) -> dict[str, Any]:
    known = {"rows": 100, "accuracy": 0.7}
    return {
        "kind": "retention",
        "v": 1,
        "position": i * EVERY,
        "after_experience": 5 * (i - 1) // lines,
        "experience_end": i % (lines // 5) == 0,
        "sample": "probe",
        "rows": 1000,
        "accuracy": 0.7,
        "class_forgetting": 0.1,
        "accuracy_by_experience": {str(e): 0.7 for e in range(5 * (i - 1) // lines + 1)},
        "by_class": dict.fromkeys(CLASSES, known),
        "by_age": dict.fromkeys(("1000", "10000", "100000", "1000000"), known),
    }


def buffer(i: int, _: int) -> dict[str, Any]:
    stored = {"rows": 100, "median_age": 50 * i, "replayed": 3 * i}
    return {
        "kind": "buffer",
        "v": 1,
        "position": i * EVERY,
        "rows": 1000,
        "max_size": 1000,
        "seen": i * EVERY,
        "by_class": dict.fromkeys(CLASSES, stored),
        "ages": {"q25": 25 * i, "median": 50 * i, "q75": 75 * i},
        "replays": {"mean": 3.0 * i},
    }


def drift(i: int, _: int) -> dict[str, Any]:
    facts = {"level": "drift", "name": "adwin", "detector": "ADWIN", "on": "error"}
    return {"kind": "drift", "v": 1, "position": i * EVERY, **facts, "value": 1.0, "actions": []}


def timing(i: int) -> dict[str, Any]:
    stages = {"source": 0.1, "buffer": 0.1, "mixer": 0.05, "learner": 0.6, "evaluator": 0.05}
    return {
        "position": i * EVERY,
        "time": 1.7e9 + i / 10,
        "elapsed_s": i / 10,
        "rows_per_s": 1000.0,
        "latency_ms": {"p50": 2.0, "p99": 9.0},
        "share": {"source": 0.1, "stages": 0.85},
        "stages": {name: {"p50_ms": 1.0, "p99_ms": 4.0, "share": s} for name, s in stages.items()},
        "replayed": 300,
        "throttled": 0,
        "resident_bytes": 300_000_000,
    }


if __name__ == "__main__":
    main()
