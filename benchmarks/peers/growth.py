"""Resident memory and time of `update` on a long stream, against Avalanche's reservoir.

Chunks of 10 rows of 784 float32 features, each an array of its own that nobody else holds, go into
200 slots (0.6 MB). Ours takes 600,000 chunks; Avalanche as many as it manages in `--budget`
seconds, since it keeps every chunk alive and gets slower. One process a case.

    make peers && .venv-peers/bin/python -m benchmarks.peers.growth [--updates 600000] [--budget 20]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.common import machine, save, table

MAX_SIZE, CHUNK, DIM, TENTHS = 200, 10, 784, 10
CASES = {
    "ours, reservoir": ("streamreplay", "ReservoirSamplingBuffer"),
    "ours, class-balanced": ("streamreplay", "ClassBalancedBuffer"),
    "Avalanche, reservoir": ("avalanche", "ReservoirSamplingBuffer"),
}


def offer(
    library: str, kind: str
) -> Callable[[Any, Any, int], tuple[Any, Callable[[Any], object]]]:
    """Return what makes a chunk ready, and what is then called with it."""
    if library == "streamreplay":
        import streamreplay  # noqa: PLC0415 - Avalanche's process shall not hold it, nor ours theirs

        buffer = getattr(streamreplay, kind)(MAX_SIZE)
        return lambda x, y, start: (
            streamreplay.Batch.from_arrays(x, y, start=start),
            buffer.update,
        )
    from benchmarks.peers import theirs  # noqa: PLC0415

    policy = getattr(theirs, kind)(MAX_SIZE)
    return lambda x, y, _start: (
        SimpleNamespace(dataset=theirs.dataset(x, y)),
        lambda experience: policy.post_adapt(None, experience),
    )


def measure(library: str, kind: str, updates: int, budget: float) -> list[dict[str, float]]:
    """Offer chunks; return what was seen after each tenth of the updates, or of the budget."""
    prepare = offer(library, kind)
    rng, process = np.random.default_rng(0), psutil.Process()
    timed = library != "streamreplay"
    marks: list[dict[str, float]] = []
    spent, last_spent, last = 0.0, 0.0, 0
    for done in range(1, updates + 1):
        x, y = rng.random((CHUNK, DIM), dtype=np.float32), rng.integers(0, 10, CHUNK)
        ready, update = prepare(x, y, done * CHUNK)
        start = time.perf_counter()
        update(ready)
        spent += time.perf_counter() - start
        due = spent / budget if timed else done / updates
        if due >= (len(marks) + 1) / TENTHS:
            marks.append(
                {
                    "updates": done,
                    "microseconds": 1e6 * (spent - last_spent) / (done - last),
                    "resident": process.memory_info().rss / 1e6,
                }
            )
            last_spent, last = spent, done
        if len(marks) == TENTHS:
            break
    return marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--updates", type=int, default=600_000)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for Avalanche")
    parser.add_argument("--case", choices=CASES, help="measure this one here, and print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.case:
        json.dump(measure(*CASES[options.case], options.updates, options.budget), sys.stdout)
        return
    print(machine())
    rows, kept = [], {}
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.peers.growth", "--case", case]
        command += ["--updates", str(options.updates), "--budget", str(options.budget)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        kept[case] = json.loads(done.stdout)
        rows += [
            [case, f"{m['updates']:,.0f}", f"{m['microseconds']:,.1f}", f"{m['resident']:,.1f}"]
            for m in kept[case]
        ]
    table(["case", "updates", "us an update since the last", "resident, MB"], rows)
    save("peers-growth", kept)


if __name__ == "__main__":
    main()
