"""`update` of the buffers against plain vectorised NumPy, on buffers that are already full.

The reference for the reservoir is Algorithm R over preallocated arrays; for the class-balanced
buffer it is one such reservoir a class, in one pool, with quotas that shrink as classes appear. The
references keep features and labels; ours also keeps each row's position, task and experience.

    python benchmarks/buffers.py [--rounds 5] [--dim 784]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import interleave, machine, median, save, table
from numpy.typing import NDArray

from streamreplay import Batch, ClassBalancedBuffer, ReservoirSamplingBuffer

ROWS, CLASSES = 60_000, 10


class ArrayReservoir:
    """Algorithm R, vectorised over the batch."""

    def __init__(self, max_size: int, dim: int, seed: int = 0) -> None:
        self.x = np.empty((max_size, dim), np.float32)
        self.y = np.empty(max_size, np.int64)
        self.max_size, self.size, self.seen = max_size, 0, 0
        self.rng = np.random.default_rng(seed)

    def update(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        fill = min(len(y), self.max_size - self.size)
        if fill:
            self.x[self.size : self.size + fill] = x[:fill]
            self.y[self.size : self.size + fill] = y[:fill]
            self.size += fill
            self.seen += fill
        n = len(y) - fill
        if n:
            places = np.arange(self.seen + 1, self.seen + n + 1)
            slots = (self.rng.random(n) * places).astype(np.int64)
            rows = np.flatnonzero(slots < self.max_size)
            if len(rows):
                self.x[slots[rows]] = x[fill + rows]
                self.y[slots[rows]] = y[fill + rows]
            self.seen += n


class ArrayClassBalanced:
    """A reservoir a class, each over its own part of one pool, for a known number of classes."""

    def __init__(self, max_size: int, dim: int) -> None:
        quota = max_size // CLASSES
        self.parts = [ArrayReservoir(quota, dim, seed) for seed in range(CLASSES)]

    def update(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        order = np.argsort(y, kind="stable")
        cuts = np.flatnonzero(np.diff(y[order])) + 1
        for rows in np.split(order, cuts):
            self.parts[int(y[rows[0]])].update(x[rows], y[rows])


def timed(update: Callable[..., None], parts: list[tuple[Any, ...]]) -> float:
    """Return rows a second, over at least 200 updates."""
    passes = -(-200 // len(parts))
    start = time.perf_counter()
    for part in parts * passes:
        update(*part)
    return passes * ROWS / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dim", type=int, default=784)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.random((ROWS, options.dim), dtype=np.float32)
    y = rng.integers(0, CLASSES, ROWS)
    print(machine())
    rows, kept = [], {}
    for max_size in (200, 1000, 5000, 50_000):
        for chunk in (10, 64, 128, 12_000):
            arrays = [(x[i : i + chunk], y[i : i + chunk]) for i in range(0, ROWS, chunk)]
            batches = [(Batch.from_arrays(*a, start=i * chunk),) for i, a in enumerate(arrays)]
            buffers = {
                "array reservoir": ArrayReservoir(max_size, options.dim),
                "reservoir": ReservoirSamplingBuffer(max_size),
                "array balanced": ArrayClassBalanced(max_size, options.dim),
                "class-balanced": ClassBalancedBuffer(max_size),
            }
            cases = {
                name: (
                    lambda b=buffer, p=arrays if "array" in name else batches: timed(b.update, p)
                )
                for name, buffer in buffers.items()
            }
            for case in cases.values():
                case()  # fills the buffer
            given = interleave(cases, options.rounds)
            ours, hand = median(given["reservoir"]), median(given["array reservoir"])
            balanced, parts = median(given["class-balanced"]), median(given["array balanced"])
            rows.append(
                [
                    *(f"{max_size:,}", f"{chunk:,}"),
                    *(f"{hand:,.0f}", f"{ours:,.0f}", f"{ours / hand:.2f}"),
                    *(f"{parts:,.0f}", f"{balanced:,.0f}", f"{balanced / parts:.2f}"),
                ]
            )
            kept[f"{max_size}/{chunk}"] = given
    table(
        ["slots", "chunk", "array R, rows/s", "ours", "ratio", "array R a class", "ours", "ratio"],
        rows,
    )
    save("buffers", kept)


if __name__ == "__main__":
    main()
