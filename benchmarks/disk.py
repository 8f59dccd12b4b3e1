"""A reservoir of 10,000,000 rows in memory-mapped files against one of 1,000, once pages are warm.

Rows of 32 float32 features. Both have seen twice as many rows as they have slots, so that both take
in about half of what is offered: the small one goes back to that state for every other `update`.

    python benchmarks/disk.py [--rounds 5] [--large 10000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import interleave, machine, median, save, table

from streamreplay import Batch, ReservoirSamplingBuffer

DIM, BATCH, SMALL, BLOCK = 32, 64, 1000, 1_000_000
REPEATS = 100  # times two updates, and times twenty draws, a round


class Case:
    """A buffer that has seen twice its slots, and rows to offer it.

    Parameters
    ----------
    slots : int
    folder : Path
        For its files.
    """

    def __init__(self, slots: int, folder: Path) -> None:
        self.buffer = ReservoirSamplingBuffer(slots, seed=0, storage=str(folder))
        self.rng = np.random.default_rng(slots)
        for start in range(0, 2 * slots, BLOCK):
            self.buffer.update(self.rows(min(BLOCK, 2 * slots - start), start))
        self.state: dict[str, Any] | None = None
        if slots <= SMALL:
            # a copy: a state may share memory with the live buffer
            self.state = _copy(self.buffer.state_dict())
        for start in range(0, slots, BLOCK):
            self.buffer.buffer.x[start : start + BLOCK].sum()  # warms the pages

    def rows(self, n: int, start: int) -> Batch:
        x = self.rng.random((n, DIM), dtype=np.float32)
        return Batch.from_arrays(x, self.rng.integers(0, 10, n), start=start)

    def update(self) -> float:
        """Return microseconds an update of 64 rows."""
        spent = 0.0
        for _ in range(REPEATS):
            if self.state is not None:
                self.buffer.load_state_dict(_copy(self.state))
                self.buffer.update(self.rows(BATCH, 0))  # what loading has left to be found anew
            few = [self.rows(BATCH, 0), self.rows(BATCH, 0)]
            start = time.perf_counter()
            for batch in few:
                self.buffer.update(batch)
            spent += time.perf_counter() - start
        return 1e6 * spent / (2 * REPEATS)

    def sample(self) -> float:
        """Return microseconds a draw of 64 rows."""
        start = time.perf_counter()
        for _ in range(20 * REPEATS):
            self.buffer.sample(BATCH)
        return 1e6 * (time.perf_counter() - start) / (20 * REPEATS)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return np.array(tree) if isinstance(tree, np.ndarray) else tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to put the files: 2 GB by default")
    options = parser.parse_args()
    if "storage" not in inspect.signature(ReservoirSamplingBuffer).parameters:
        print("left out: buffers of this version are in memory only")
        return
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        sizes = {"small": SMALL, "large": options.large}
        cases = {name: Case(slots, Path(folder) / name) for name, slots in sizes.items()}
        timed = {
            f"{operation}/{name}": getattr(case, operation)
            for operation in ("sample", "update")
            for name, case in cases.items()
        }
        for case in timed.values():
            case()
        given = interleave(timed, options.rounds)
        acceptance = {name: case.buffer.describe()["acceptance"] for name, case in cases.items()}
        memory = psutil.Process().memory_full_info()
    rows = [
        [
            f"{operation}({BATCH})",
            *(f"{median(given[f'{operation}/{name}']):.1f}" for name in cases),
            f"{median(given[f'{operation}/large']) / median(given[f'{operation}/small']):.2f}",
        ]
        for operation in ("sample", "update")
    ]
    table(["us a call", *(f"{slots:,} rows" for slots in sizes.values()), "ratio"], rows)
    print(f"acceptance at the end: {acceptance}")
    peak = _peak()
    print(f"peak resident {peak / 1e6:,.0f} MB; at the end {memory.uss / 1e6:,.0f} MB of our own")
    save("disk", {**given, "acceptance": acceptance, "peak resident": peak, "own": memory.uss})


def _peak() -> int:
    """Return the most bytes that were ever resident, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
