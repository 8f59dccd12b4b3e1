"""What drift detection finds, what actions buy, and what it costs, on River's synthetic streams.

The default job, read from a CSV of 10,000 rows in which the concept changes at row 5,000: at once
(width 50) or slowly (width 1,000). Delays and false alarms are compared with those of River's
detectors alone on the same errors (KSWIN, which is slow, is left out of that).

    python benchmarks/drift.py [--seeds 3] [--parts found cost bought]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from common import machine, median, save, table
from river import drift
from river.datasets import synth

from streamreplay import Detector, DriftMonitor, Report, build, load_job

N, CHANGE = 10_000, 5_000

DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN": drift.ADWIN,
    "PageHinkley, up": lambda: drift.PageHinkley(mode="up"),
    "KSWIN": lambda: drift.KSWIN(seed=1),
    "DDM": drift.binary.DDM,
    "EDDM": drift.binary.EDDM,
    "HDDM_A": drift.binary.HDDMA,
    "HDDM_W": drift.binary.HDDMW,
    "FHDDM": drift.binary.FHDDM,
}

_NEW = '"new_experience"'
ACTIONS = {
    "none": "",
    "new experience": _NEW,
    "replay twice as much": '"replay(2.0, rows=1000)"',
    "learning rate x 3": '"lr(3.0, rows=1000)"',
    "forget all but 200 rows": '"forget(200)"',
    "shrink to a half": '"shrink(0.5)"',
    "forget, learning rate x 3": '"forget(200)", "lr(3.0, rows=1000)"',
    "new experience, replay, learning rate": (
        f'{_NEW}, "replay(2.0, rows=1000)", "lr(3.0, rows=1000)"'
    ),
}


def planted(kind: Any, before: dict[str, int], after: dict[str, int], width: int) -> Any:
    def make(seed: int) -> Iterator[tuple[dict[str, float], Any]]:
        return iter(
            synth.ConceptDriftStream(
                kind(seed=seed, **before),
                kind(seed=seed + 100, **after),
                position=CHANGE,
                width=width,
                seed=seed,
            )
        )

    return make


def label_mix(seed: int) -> Iterator[tuple[dict[str, float], Any]]:
    """Draw two classes that stay what they are, nine to one and then the other way round."""
    rng = random.Random(seed)
    for i in itertools.count():
        y = rng.random() < (0.1 if i < CHANGE else 0.9)
        yield {"a": rng.gauss(y, 1), "b": rng.gauss(-y, 1)}, y


_SEA = (synth.SEA, {"variant": 2}, {"variant": 3})
_AGRAWAL = (synth.Agrawal, {"classification_function": 0}, {"classification_function": 2})
STREAMS: dict[str, Any] = {
    "SEA, abrupt": planted(*_SEA, 50),
    "SEA, gradual": planted(*_SEA, 1000),
    "Agrawal, abrupt": planted(*_AGRAWAL, 50),
    "Agrawal, gradual": planted(*_AGRAWAL, 1000),
    "label mix": label_mix,
}


def write(folder: Path, name: str, seed: int) -> Path:
    path = folder / f"{name} {seed}.csv"
    if not path.exists():
        rows = list(itertools.islice(STREAMS[name](seed), N))
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"f{name}" for name in rows[0][0]), "y"])
            writer.writerows([*x.values(), int(y)] for x, y in rows)
    return path


def run(path: Path, *settings: str) -> tuple[list[Report], float]:
    """Return all reports of the default job, and the seconds of processor time it took."""
    pipeline = build(load_job(None, [f"source.path={path}", "source.label=y", *settings]))
    start = time.process_time()
    reports = list(pipeline)
    return reports, time.process_time() - start


def errors_of(reports: list[Report]) -> list[int]:
    return [
        int(wrong)
        for report in reports
        if report.scored is not None
        for wrong in report.scored.prediction != report.scored.incoming.y
    ]


def watch(detector: Any, on: str, reports: list[Report]) -> list[int]:
    monitor = DriftMonitor([Detector(detector, on)])
    records = [record for report in monitor(reports) for record in report.metrics]
    return [r["position"] for r in records if r["kind"] == "drift" and r["level"] == "drift"]


def alone(detector: Any, values: list[int]) -> list[int]:
    found = []
    for place, value in enumerate(values, 1):
        detector.update(value)
        if detector.drift_detected:
            found.append(place)
    return found


def find(folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Print delays and false alarms by stream and detector."""
    rows, kept = [], []
    for stream in STREAMS:
        runs = [run(write(folder, stream, seed))[0] for seed in range(seeds)]
        on = "label:1" if stream == "label mix" else "error"
        for name, make in DETECTORS.items():
            delays, false, later = [], 0, 0
            for reports in runs:
                positions = watch(make(), on, reports)
                values = errors_of(reports)
                if on != "error":
                    values = [
                        int(y) for r in reports if r.scored is not None for y in r.scored.incoming.y
                    ]
                if name != "KSWIN" and positions != alone(make(), values):
                    raise RuntimeError(f"{stream}: {name} alone finds drifts at other rows")
                after = [p - CHANGE for p in positions if p > CHANGE]
                delays += after[:1]
                false += sum(p <= CHANGE for p in positions)
                later += len(after[1:])
            delay = f"{median([*map(float, delays)]):,.0f}" if delays else ""
            rows.append(
                [stream, name, on, f"{len(delays)} of {seeds}", delay, str(false), str(later)]
            )
            kept.append({"stream": stream, "detector": name, "delays": delays, "false": false})
    header = ["stream", "detector", "on", "found", "delay (rows)", "before it", "more after"]
    table(header, rows)
    print("All as River's detectors alone, to the row.")
    return kept


def buy(folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Print prequential accuracy with and without actions, on DDM's drifts."""
    kept, rows = [], []
    for stream in ("SEA, abrupt", "Agrawal, abrupt", "Agrawal, gradual"):
        base: list[float] = []
        for name, actions in ACTIONS.items():
            settings = ["drift.0.detector=DDM()", f"drift.0.actions=[{actions}]"]
            settings += ["experiences.by=drift"] if _NEW in actions else []
            paths = [write(folder, stream, seed) for seed in range(seeds)]
            settings += [f"run.limit={CHANGE + 2000}"]
            wrong = [
                errors_of(run(path, *settings, f"seed={seed}")[0])[CHANGE:]
                for seed, path in enumerate(paths)
            ]
            found = [100 - 100 * statistics.mean(each) for each in wrong]
            base = base or found
            gains = [a - b for a, b in zip(found, base, strict=True)]
            error = statistics.stdev(gains) / seeds**0.5 if seeds > 1 else 0.0
            gain = f"{statistics.mean(gains):+.2f} ± {error:.2f}" if actions else ""
            rows.append([stream, name, f"{statistics.mean(found):.2f}", gain])
            kept.append({"stream": stream, "actions": name, "accuracy": found})
    table(["stream", "actions", "accuracy, 2,000 rows after", "beside none"], rows)
    return kept


def cost(folder: Path, rounds: int = 3) -> dict[str, float]:
    """Print what a detector takes of the time of a default run."""
    path = write(folder, "Agrawal, abrupt", 0)
    reports, seconds = run(path)
    seconds = min(seconds, *(run(path)[1] for _ in range(rounds - 1)))
    kept, rows = {}, []
    cases = [(name, make, "error") for name, make in DETECTORS.items()]
    cases.append(("ADWIN", drift.ADWIN, "features"))
    for name, make, on in cases:
        times = []
        for _ in range(rounds):
            start = time.process_time()
            watch(make(), on, reports)
            times.append(time.process_time() - start)
        took = kept[f"{name} on {on}"] = min(times)
        rows.append([name, on, f"{took / N * 1e6:.1f}", f"{100 * took / seconds:.2f} %"])
    print(f"A default run takes {seconds / N * 1e6:,.0f} µs of processor time a row.")
    table(["detector", "on", "µs a row", "of a default run"], rows)
    return {"run": seconds, **kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=["found", "cost", "bought"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], Any]] = {
            "found": lambda: find(Path(folder), given.seeds),
            "cost": lambda: cost(Path(folder)),
            "bought": lambda: buy(Path(folder), given.seeds),
        }
        save("drift", {name: parts[name]() for name in given.parts})


if __name__ == "__main__":
    main()
