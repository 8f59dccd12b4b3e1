"""The default learner beside experience replay on streams it was not tuned on, several seeds.

Runs `streamreplay run` with the job files in `benchmarks/accuracy/`; all learners of a job see the
same rows in one pass. The data is not part of the project: give the files that are there.

    python benchmarks/streams.py --covtype FILE --insects FILE --elec2 FILE
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import machine, save, table

JOBS = Path(__file__).parent / "accuracy"
STREAMS = ("covtype", "insects", "elec2")


def run(stream: str, path: Path, seed: int) -> dict[str, dict[str, float]]:
    """Return prequential accuracy, loss, and accuracy on held-out rows at the end, by learner."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "streamreplay", "run", str(JOBS / f"{stream}.toml")]
        command += ["--seed", str(seed), "--emit", "none", "--out", str(out), "--quiet"]
        command += ["--set", f"source.path={path}"]
        if "[test]" in (JOBS / f"{stream}.toml").read_text():
            command += ["--set", f"test.seed={seed}"]
        subprocess.run(command, check=True)
        records = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    found: dict[str, dict[str, float]] = {}
    for record in records:  # the last of each kind stays
        if record["kind"] == "buffer":  # one that all share is nobody's
            continue
        mine = found.setdefault(record["learner"], {})
        if record["kind"] == "prequential":
            mine |= {"prequential": record["accuracy"], "loss": record["loss"]}
        if record["kind"] == "retention":
            mine["retained"] = record["accuracy"]
    return found


def measure(stream: str, path: Path, seeds: int) -> list[dict[str, Any]]:
    runs = [run(stream, path, seed) for seed in range(seeds)]
    rows, kept = [], []
    for name in runs[0]:
        cells = [stream, name]
        for what in ("prequential", "retained", "loss"):
            values = [each[name][what] for each in runs if what in each[name]]
            cells.append(_spread(values, 100 if what != "loss" else 1))
            kept.append({"stream": stream, "learner": name, "what": what, "values": values})
        rows.append(cells)
    table(["stream", "learner", "prequential", "retained", "loss"], rows)
    return kept


def _spread(values: list[float], times: int) -> str:
    if not values:
        return ""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    digits = 1 if times > 1 else 3
    return f"{times * statistics.mean(values):.{digits}f} ± {times * error:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for stream in STREAMS:
        parser.add_argument(f"--{stream}", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = vars(parser.parse_args())
    given = {stream: options[stream] for stream in STREAMS if options[stream] is not None}
    if not given:
        parser.exit(0, "nothing to do: give --covtype FILE, --insects FILE, --elec2 FILE\n")
    print(machine())
    save("streams", [each for s, p in given.items() for each in measure(s, p, options["seeds"])])


if __name__ == "__main__":
    main()
