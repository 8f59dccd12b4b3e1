"""Where the time goes on a run from a JSONL file: decoding, learning, and the rest.

The rest is everything else a row meets: buffer, mixer, evaluator, the pipeline itself. The job is
the default one (MLP of 256 and 256 units, Adam, a class-balanced buffer of 1,000, as many rows
replayed as come in, 32 at a time), on 784 numbers in an array and on 8 named fields. One torch
thread.

    python benchmarks/ingest.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from common import machine, median, save, table

from streamreplay import Pipeline, build, load_job

ROWS = 6000


class Timed:
    """A source or stage whose own time is added up: what it takes, less what it waits for."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        return self._clocked(iter(self.inner), 1)

    def __call__(self, stream: Iterable[Any]) -> Iterator[Any]:
        return self._clocked(self.inner(self._clocked(iter(stream), -1)), 1)

    def _clocked(self, records: Iterator[Any], sign: int) -> Iterator[Any]:
        while True:
            start = time.perf_counter()
            try:
                record = next(records)
            except StopIteration:
                return
            finally:
                self.seconds += sign * (time.perf_counter() - start)
            yield record


def write_files(folder: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    wide, named = folder / "wide.jsonl", folder / "named.jsonl"
    labels = rng.integers(0, 10, ROWS).tolist()
    with wide.open("wb") as file:
        for i, label in enumerate(labels):
            x = np.round(rng.random(784), 6).tolist()
            file.write(orjson.dumps({"id": i, "x": x, "y": label}) + b"\n")
    with named.open("wb") as file:
        for i, label in enumerate(labels):
            fields = {f"f{k}": v for k, v in enumerate(np.round(rng.random(8), 6).tolist())}
            file.write(orjson.dumps({"id": i, **fields, "y": label}) + b"\n")
    return {"784 numbers": wide, "8 named fields": named}


def run(path: Path) -> tuple[float, float, float]:
    """Return rows a second, and the shares of decoding and learning."""
    whole = build(load_job(None, [f"source.path={path}"]))
    source, learner = Timed(whole.source), Timed(whole["learner"])
    pipeline = Pipeline(source, **{**whole.stages, "learner": learner})
    start = time.perf_counter()
    rows = sum(len(report) for report in pipeline)
    seconds = time.perf_counter() - start
    return rows / seconds, source.seconds / seconds, learner.seconds / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        run(files["8 named fields"])  # imports and first-call work
        print(machine())
        rows, kept = [], {}
        for name, path in files.items():
            taken = [run(path) for _ in range(options.rounds)]
            speed, decoding, learning = (median([t[i] for t in taken]) for i in range(3))
            rest = median([1 - t[1] - t[2] for t in taken])
            rows.append(
                [name, f"{speed:,.0f}", f"{decoding:.1%}", f"{learning:.1%}", f"{rest:.1%}"]
            )
            kept[name] = taken
    table(["JSONL rows of", "rows/s", "decoding", "learning", "the rest"], rows)
    save("ingest", kept)


if __name__ == "__main__":
    main()
