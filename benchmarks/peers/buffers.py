"""`update` of our buffers against Avalanche's of the same name, on buffers that are already full.

Each chunk of rows is an array of its own, as on a stream, made into what each side takes before the
clock starts. Rows are random, of ten classes. Avalanche's cases stop after `--budget` seconds; what
it keeps alive of each chunk grows with the updates, so a longer run would only be slower.

    make peers && .venv-peers/bin/python -m benchmarks.peers.buffers [--rounds 5] [--budget 2]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import streamreplay
from benchmarks.common import interleave, machine, median, save, table
from benchmarks.peers import theirs

ROWS, CLASSES, FILL = 60_000, 10, 12_000
TARGETS = {
    ("reservoir", 10): 1000,
    ("class-balanced", 10): 100,
    ("parametric by class", 10): 200,
    ("reservoir", 12_000): 10,
    ("class-balanced", 12_000): 10,
    ("parametric by class", 12_000): 10,
}

Make = Callable[[Any, Any, int], Any]


def policies(max_size: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return how to make each policy: theirs, and ours where this version has it."""
    found = {
        "reservoir": (
            lambda: theirs.ReservoirSamplingBuffer(max_size),
            lambda: streamreplay.ReservoirSamplingBuffer(max_size, seed=0),
        ),
        "class-balanced": (
            lambda: theirs.ClassBalancedBuffer(max_size),
            lambda: streamreplay.ClassBalancedBuffer(max_size, seed=0),
        ),
    }
    parametric = getattr(streamreplay, "ParametricBuffer", None)
    if parametric is not None:
        found["parametric by class"] = (
            lambda: theirs.ParametricBuffer(max_size, groupby="class"),
            lambda: parametric(max_size, groupby="class", seed=0),
        )
    return found


def chunks(x: Any, y: Any, size: int, make: Make) -> Iterator[list[Any]]:
    """Yield the stream again and again, each time as a list of chunks ready to be offered."""
    turn = 0
    while True:
        yield [
            make(x[i : i + size].copy(), y[i : i + size].copy(), turn * ROWS + i)
            for i in range(0, ROWS, size)
        ]
        turn += 1


def rate(buffer: Any, offer: str, stream: Iterator[list[Any]], size: int, budget: float) -> float:
    """Return rows a second: over one stream and 20 updates, or as far as the budget goes."""
    update = getattr(buffer, offer)
    done, spent = 0, 0.0
    for ready in stream:
        start = time.perf_counter()
        for chunk in ready:
            update(chunk)
            done += size
            if time.perf_counter() - start + spent > budget:
                break
        spent += time.perf_counter() - start
        if spent > budget or (done >= ROWS and done >= 20 * size):
            break
    return done / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--max-size", type=int, default=5000)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds for one case of theirs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, options.dim), dtype=np.float32)
    y = rng.integers(0, CLASSES, ROWS)

    def their_chunk(x: Any, y: Any, _start: int) -> Any:
        return SimpleNamespace(experience=SimpleNamespace(dataset=theirs.dataset(x, y)))

    def our_chunk(x: Any, y: Any, start: int) -> Any:
        return streamreplay.Batch.from_arrays(x, y, start=start)

    def case(make_buffer: Callable[[], Any], make: Make, size: int) -> float:
        buffer = make_buffer()
        for chunk in next(chunks(x, y, FILL, make)):
            buffer.update(chunk)
        return rate(buffer, "update", chunks(x, y, size, make), size, options.budget)

    print(machine() + ", " + theirs.versions("avalanche-lib"))
    rows, kept = [], {}
    for size in (10, 12_000):
        for name, (make_theirs, make_ours) in policies(options.max_size).items():
            given = interleave(
                {
                    "avalanche": lambda make=make_theirs, size=size: case(make, their_chunk, size),
                    "streamreplay": lambda make=make_ours, size=size: case(make, our_chunk, size),
                },
                options.rounds,
            )
            them, us = median(given["avalanche"]), median(given["streamreplay"])
            ratio = median(
                [o / t for o, t in zip(given["streamreplay"], given["avalanche"], strict=True)]
            )
            target = TARGETS[name, size]
            rows.append(
                [
                    *(name, f"{options.max_size:,}", f"{size:,}"),
                    *(f"{them:,.0f}", f"{us:,.0f}", f"{ratio:,.0f}", f"{target:,}"),
                ]
            )
            kept[f"{name}/{size}"] = {**given, "ratio": ratio, "target": target}
    table(
        ["policy", "slots", "chunk", "Avalanche, rows/s", "ours, rows/s", "ratio", "wanted"], rows
    )
    save("peers-buffers", kept)


if __name__ == "__main__":
    main()
