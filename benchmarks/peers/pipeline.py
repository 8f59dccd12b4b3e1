"""Online Split-Fashion-MNIST, end to end: our pipeline against Avalanche's Naive with ReplayPlugin.

Both learn the same 60,000 rows in the same order, two classes at a time, one mini-batch after the
other: a 784-512-10 MLP, SGD, one torch thread, replay from a reservoir of all rows seen. Ours also
predicts every row before it learns it, and scores the predictions; Avalanche's evaluator is empty.
In between, Avalanche's loop with our buffer as its plugin's storage policy; last, as a bound for
everybody, as many training steps on one batch of that size, with nothing around them.
At the end both are tested on the 10,000 test images. Seed by seed, in turn.

The data is not part of the project: give the folder with Fashion-MNIST's four files (Debian's
package dataset-fashion-mnist puts them into /usr/share/datasets/fashion-mnist).

    FASHION_MNIST=DIR .venv-peers/bin/python -m benchmarks.peers.pipeline [--seeds 3] [--rows 12000]

`--rows` shortens each of the five parts of the stream, for speed alone.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import machine, median, save, table
from benchmarks.peers import theirs
from streamreplay import (
    ArraySource,
    Mixer,
    Pipeline,
    Prequential,
    ReservoirSamplingBuffer,
    TorchLearner,
    mlp,
    open_idx,
)
from streamreplay.compat.avalanche import StoragePolicy

HIDDEN, PARTS = 512, 5


@dataclass(frozen=True)
class Case:
    """One setting of both sides.

    Attributes
    ----------
    max_size : int
        Of the buffer.
    batch : int
        New rows in a mini-batch; as many are replayed.
    lr : float
    wanted : float
        The ratio we are after.
    """

    max_size: int
    batch: int
    lr: float
    wanted: float


CASES = [Case(500, 10, 0.01, 5.5), Case(5000, 64, 0.05, 12.0)]


@dataclass(frozen=True)
class Data:
    """Rows as float32[n, 784] in [0, 1], and their labels."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path, name: str) -> Data:
        source = open_idx(folder / f"{name}-images-idx3-ubyte.gz", batch_size=60_000)
        (batch,) = source
        labels = np.array([int(label) for label in source.labels.names])[batch.y]
        return cls(batch.x.reshape(len(batch), -1).astype(np.float32) / np.float32(255), labels)

    def split(self, seed: int, most: int) -> list[Data]:
        """Return two classes a part, shuffled."""
        rng = np.random.default_rng(seed)
        rows = [
            rng.permutation(np.flatnonzero(self.y // 2 == part))[:most] for part in range(PARTS)
        ]
        return [Data(self.x[part], self.y[part]) for part in rows]


@dataclass(frozen=True)
class Run:
    """Rows learned in a second of the clock and of the processor, and accuracy on the test rows.

    Both sides run on one thread, so the processor's time is the same figure without what other
    processes took.
    """

    rate: float
    cpu_rate: float
    accuracy: float


def run_theirs(parts: list[Data], test: Data, case: Case, seed: int, policy: Any) -> Run:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - they draw from it
    model = theirs.SimpleMLP(
        num_classes=10, input_size=784, hidden_size=HIDDEN, hidden_layers=1, drop_rate=0.0
    )
    replay = theirs.ReplayPlugin(
        mem_size=case.max_size,
        batch_size=case.batch,
        batch_size_mem=case.batch,
        storage_policy=policy,
    )
    strategy = theirs.Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=case.lr),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=case.batch,
        plugins=[replay],
        evaluator=theirs.EvaluationPlugin(loggers=[]),
    )
    # parts of one dataset: separate ones are what their buffers get slow with
    whole = theirs.dataset(
        np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
    )
    ends = np.cumsum([0] + [len(part.y) for part in parts]).tolist()
    subsets = [whole.subset(list(range(*ends[i : i + 2]))) for i in range(PARTS)]
    streams = theirs.benchmark_from_datasets(train=subsets)
    start, start_cpu = time.perf_counter(), time.process_time()
    for part in streams.train_stream:
        for few in theirs.split_online_stream([part], experience_size=case.batch, shuffle=False):
            strategy.train(few)
    spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    model.eval()
    with torch.no_grad():
        right = model(torch.from_numpy(test.x)).argmax(1).numpy() == test.y
    rows = sum(len(part.y) for part in parts)
    return Run(rows / spent, rows / spent_cpu, float(right.mean()))


def run_ours(parts: list[Data], test: Data, case: Case, seed: int) -> Run:
    x = np.concatenate([part.x for part in parts])
    y = np.concatenate([part.y for part in parts])
    experience = np.repeat(np.arange(PARTS), [len(part.y) for part in parts])
    start, start_cpu = time.perf_counter(), time.process_time()
    source = ArraySource(x, y, experience=experience, batch_size=case.batch)
    learner = TorchLearner(
        mlp([HIDDEN]), partial(torch.optim.SGD, lr=case.lr), normalize="none", threads=1, seed=seed
    )
    pipeline = Pipeline(
        source,
        buffer=ReservoirSamplingBuffer(case.max_size, seed=seed),
        mixer=Mixer(case.batch, seed=seed),
        learner=learner,
        evaluator=Prequential(),
    )
    rows = sum(len(report) for report in pipeline)
    spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    names = np.array([int(label) for label in source.labels.names])
    right = names[learner.predict_proba(test.x).argmax(1)] == test.y
    return Run(rows / spent, rows / spent_cpu, float(right.mean()))


def run_steps(parts: list[Data], case: Case, seed: int) -> Run:
    """Take the training steps alone: forward, loss, backward and update, always on one batch."""
    torch.manual_seed(seed)
    module = mlp([HIDDEN])((parts[0].x.shape[1],), 10)
    optimizer = torch.optim.SGD(module.parameters(), lr=case.lr)
    x = torch.from_numpy(parts[0].x[: 2 * case.batch].copy())
    y = torch.from_numpy(parts[0].y[: 2 * case.batch].copy())
    start, start_cpu = time.perf_counter(), time.process_time()
    steps = sum(-(-len(part.y) // case.batch) for part in parts)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    rows = sum(len(part.y) for part in parts)
    return Run(rows / spent, rows / spent_cpu, float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fashion-mnist", type=Path, default=os.environ.get("FASHION_MNIST"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=12_000, help="most rows of a part")
    options = parser.parse_args()
    if options.fashion_mnist is None:
        print("left out: set FASHION_MNIST to the folder with the data")
        return
    torch.set_num_threads(1)
    train = Data.read(Path(options.fashion_mnist), "train")
    test = Data.read(Path(options.fashion_mnist), "t10k")
    print(machine() + ", " + theirs.versions("avalanche-lib"))
    rows, kept = [], {}
    for case in CASES:
        compare(train.split(99, 200), test, case, 0)  # first calls are nobody's speed
        runs = [
            compare(train.split(seed, options.rows), test, case, seed)
            for seed in range(options.seeds)
        ]
        by_side = {name: [run[name] for run in runs] for name in runs[0]}
        for name, side in by_side.items():
            pairs = zip(side, by_side["Avalanche"], strict=True)
            ratio = median([run.cpu_rate / their.cpu_rate for run, their in pairs])
            rows.append(
                [
                    *(f"{case.max_size:,}", f"{case.batch} + {case.batch}", f"{case.lr}", name),
                    f"{median([run.rate for run in side]):,.0f}",
                    *(f"{median([run.cpu_rate for run in side]):,.0f}", f"{ratio:.1f}"),
                    f"{case.wanted:.1f}" if name == "ours" else "",
                    _spread([run.accuracy for run in side]),
                ]
            )
        kept[f"{case.max_size}/{case.batch}"] = {
            name: [asdict(run) for run in side] for name, side in by_side.items()
        }
    header = ["buffer", "batch", "lr", "run by", "rows/s", "rows/CPU s", "ratio", "wanted"]
    table([*header, "accuracy"], rows)
    save("peers-pipeline", kept)


def compare(parts: list[Data], test: Data, case: Case, seed: int) -> dict[str, Run]:
    """Run all sides, one right after the other."""
    size = case.max_size
    sides: dict[str, Callable[[], Run]] = {
        "Avalanche": lambda: run_theirs(
            parts, test, case, seed, theirs.ReservoirSamplingBuffer(size)
        ),
        "Avalanche, our buffer": lambda: run_theirs(
            parts, test, case, seed, StoragePolicy(ReservoirSamplingBuffer(size, seed=seed))
        ),
        "ours": lambda: run_ours(parts, test, case, seed),
        "steps alone": lambda: run_steps(parts, case, seed),
    }
    given = {}
    for name, run in sides.items():
        gc.collect()
        given[name] = run()
        print(f"  {name}, seed {seed}: {given[name].rate:,.0f} rows/s", file=sys.stderr, flush=True)
    return given


def _spread(values: list[float]) -> str:
    if np.isnan(values).any():
        return ""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values):.1f}"


if __name__ == "__main__":
    main()
