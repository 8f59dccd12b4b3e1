"""What each replay method costs: rows a second of processor time beside experience replay.

The pipeline of the table in docs/guides/methods.md without reading and evaluation: a reservoir of
1,000 rows of 28 x 28, full from the start, 10 + 10 rows a step, MLP 2x400 and SGD, one thread.
Rounds go through all methods in turn.

    python benchmarks/costs.py
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from common import interleave, machine, median, save, table
from torch.optim import SGD

from streamreplay.batch import Batch
from streamreplay.buffers import ReservoirSamplingBuffer
from streamreplay.learners import METHODS, Method, TorchLearner, Training, mlp
from streamreplay.learners.methods.catalogue import derpp, er, er_slda
from streamreplay.mixing import Mixer

ROWS, BATCH, MEMORY, CLASSES, FIRST = 10_000, 10, 1000, 10, 1000

CASES: dict[str, tuple[Method, Training, int]] = {
    **{name: (make(), Training(), 1) for name, make in METHODS.items() if name != "gdumb"},
    "er, 3 passes": (er(), Training(), 3),
    "er-slda, 3 passes (the default)": (er_slda(), Training(), 3),
    "er-slda, 2,000 features": (er_slda(slda_features=2000), Training(), 1),
    "der++, clipped": (derpp(), Training(clip_grad_norm=1.0), 1),
    "er, averaged weights": (er(), Training(ema=0.99), 1),
}


def stream() -> list[Batch]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, FIRST + ROWS)
    x = rng.integers(0, 256, (FIRST + ROWS, 28, 28), np.uint8)
    first = Batch.from_arrays(x[:FIRST], y[:FIRST])
    cuts = range(FIRST, FIRST + ROWS, BATCH)
    rest = [
        Batch.from_arrays(x[a : a + BATCH], y[a : a + BATCH], start=a, experience=1) for a in cuts
    ]  # another experience, so that there is a teacher for lwf
    return [first, *rest]


def rate(batches: list[Batch], method: Method, training: Training, steps: int) -> float:
    """Return rows a second of processor time; the first batch fills the buffer."""
    chooses = method.retrieve is not None
    learner = TorchLearner(
        mlp([400, 400]), partial(SGD, lr=0.001), method=method, training=training, threads=1
    )
    buffer = ReservoirSamplingBuffer(MEMORY)
    mixer = Mixer(BATCH, steps=steps, candidates=50 if chooses else None)
    scored = iter(learner(mixer(buffer(batches))))
    next(scored)
    start = time.process_time()
    for _ in scored:
        pass
    return ROWS / (time.process_time() - start)


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    batches = stream()
    cases = {name: partial(rate, batches, *case) for name, case in CASES.items()}
    found = {name: median(rates) for name, rates in interleave(cases, rounds=3).items()}
    rows = [[name, f"{each:,.0f}", f"{each / found['er']:.2f}"] for name, each in found.items()]
    table(["method", "rows/CPU s", "beside er"], rows)
    save("costs", found)


if __name__ == "__main__":
    main()
