"""The whole pipeline against a hand-written loop doing the same arithmetic, and against itself.

Both train the same 784-256-256-10 MLP with SGD on the same rows in memory, replay as many rows as
come in from a reservoir of 1,000, and keep every prediction and its probability, read off the
training pass (which runs before the update). The loop is what a careful person writes by hand:
tensors, a preallocated reservoir, no batch objects, no evaluator. One torch thread.

    python benchmarks/pipeline.py [--rounds 5] [--rows 12000]
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
import torch
from common import interleave, machine, median, save, table
from numpy.typing import NDArray

from streamreplay import (
    ArraySource,
    Mixer,
    Pipeline,
    Prequential,
    ReservoirSamplingBuffer,
    TorchLearner,
    mlp,
)

MAX_SIZE, HIDDEN, LR, CLASSES = 1000, (256, 256), 0.05, 10


class Reservoir:
    """Algorithm R over preallocated tensors, vectorised over the batch."""

    def __init__(self, max_size: int, dim: int) -> None:
        self.x = torch.empty(max_size, dim)
        self.y = torch.empty(max_size, dtype=torch.int64)
        self.max_size, self.size, self.seen = max_size, 0, 0
        self.rng = np.random.default_rng(0)

    def update(self, x: torch.Tensor, y: torch.Tensor) -> None:
        fill = min(len(y), self.max_size - self.size)
        if fill:
            self.x[self.size : self.size + fill] = x[:fill]
            self.y[self.size : self.size + fill] = y[:fill]
            self.size += fill
        n = len(y) - fill
        if n:
            places = np.arange(self.seen + fill + 1, self.seen + len(y) + 1)
            slots = (self.rng.random(n) * places).astype(np.int64)
            rows = np.flatnonzero(slots < self.max_size)
            if len(rows):
                # torch promises no order for repeated slots: the last writer is kept by hand
                slots, last = np.unique(slots[rows][::-1], return_index=True)
                source = torch.from_numpy(fill + rows[::-1][last])
                self.x.index_copy_(0, torch.from_numpy(slots), x.index_select(0, source))
                self.y.index_copy_(0, torch.from_numpy(slots), y.index_select(0, source))
        self.seen += len(y)

    def sample(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.from_numpy(self.rng.integers(0, self.size, k))
        return self.x.index_select(0, rows), self.y.index_select(0, rows)


def by_hand(x: NDArray[np.float32], y: NDArray[np.int64], batch: int) -> float:
    """Return rows a second of the hand-written loop."""
    torch.manual_seed(0)
    module = mlp(HIDDEN)(x.shape[1:], CLASSES)
    optimizer = torch.optim.SGD(module.parameters(), lr=LR)
    criterion = torch.nn.CrossEntropyLoss()
    memory = Reservoir(MAX_SIZE, x.shape[1])
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    predictions, probabilities = np.empty(len(y), np.int64), np.empty(len(y), np.float32)
    start = time.perf_counter()
    for i in range(0, len(y), batch):
        new_x, new_y = xs[i : i + batch], ys[i : i + batch]
        joint_x, joint_y = new_x, new_y
        if memory.size:
            old_x, old_y = memory.sample(batch)
            joint_x, joint_y = torch.cat([new_x, old_x]), torch.cat([new_y, old_y])
        optimizer.zero_grad()
        logits = module(joint_x)
        with torch.no_grad():
            top, predicted = torch.softmax(logits[: len(new_y)], 1).max(1)
            predictions[i : i + batch] = predicted.numpy()
            probabilities[i : i + batch] = top.numpy()
        criterion(logits, joint_y).backward()
        optimizer.step()
        memory.update(new_x, new_y)
    return len(y) / (time.perf_counter() - start)


def streamreplay(x: NDArray[np.float32], y: NDArray[np.int64], batch: int) -> float:
    """Return rows a second of the pipeline, from arrays to reports."""
    pipeline = Pipeline(
        ArraySource(x, y, batch_size=batch),
        buffer=ReservoirSamplingBuffer(MAX_SIZE),
        mixer=Mixer(batch, replacement=True),
        learner=TorchLearner(
            mlp(HIDDEN), partial(torch.optim.SGD, lr=LR), normalize="none", threads=1
        ),
        evaluator=Prequential(),
    )
    start = time.perf_counter()
    rows = sum(len(report) for report in pipeline)
    return rows / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.random((options.rows, 784), dtype=np.float32)
    y = rng.integers(0, CLASSES, options.rows)
    streamreplay(x[:500], y[:500], 10)  # imports and first-call work are nobody's speed
    print(machine())
    rows, kept = [], {}
    for batch in (10, 64, 128):
        given = interleave(
            {
                "by hand": lambda batch=batch: by_hand(x, y, batch),
                "streamreplay": lambda batch=batch: streamreplay(x, y, batch),
            },
            options.rounds,
        )
        hand, ours = given["by hand"], given["streamreplay"]
        ratio = median([o / h for o, h in zip(ours, hand, strict=True)])
        rows.append(
            [f"{batch} + {batch}", f"{median(hand):,.0f}", f"{median(ours):,.0f}", f"{ratio:.2f}"]
        )
        kept[f"{batch}+{batch}"] = {**given, "ratio": ratio}
    table(["batch", "by hand, rows/s", "streamreplay, rows/s", "ratio"], rows)
    save("pipeline", kept)


if __name__ == "__main__":
    main()
