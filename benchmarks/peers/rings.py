"""Taking rows in and drawing them, against TorchRL's and Stable-Baselines3's replay buffers.

Rows of 32 float32 features and a label, in buffers of 100,000 slots that are full; calls a second,
with batches built before the clock starts. What is compared does not do the same work everywhere:

- TorchRL and Stable-Baselines3 keep the newest rows, as our SlidingWindowBuffer does; a reservoir
  turns most rows away once it has seen many (here: twice as many as it has slots, at first).
- Ours also keeps each row's position, task and experience; Stable-Baselines3 keeps transitions: two
  observations, action, reward and two flags.

    make peers && .venv-peers/bin/python -m benchmarks.peers.rings [--rounds 5] [--seconds 0.3]
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from tensordict import TensorDict
from torchrl.data import LazyMemmapStorage, LazyTensorStorage, TensorDictReplayBuffer

import streamreplay
from benchmarks.common import interleave, machine, median, save, table
from benchmarks.peers import theirs

DIM, CLASSES, BATCH, BLOCKS = 32, 10, 64, 500
OPERATIONS = ("take in 64", "take in 1", "draw 64")

Calls = dict[str, Callable[[], object]]
"""What to call for each operation, every time with other rows."""


class Rows:
    """Random rows, cut into batches of one size that come round for ever."""

    def __init__(self, size: int) -> None:
        rng = np.random.default_rng(size)
        self.x = rng.random((BLOCKS, size, DIM), dtype=np.float32)
        self.y = rng.integers(0, CLASSES, (BLOCKS, size))

    def each(self, make: Callable[[NDArray[Any], NDArray[Any]], Any]) -> Iterator[Any]:
        """Make all batches now, and hand them out in turn."""
        return itertools.cycle([make(x, y) for x, y in zip(self.x, self.y, strict=True)])


def calls(update: Callable[[Any], object], draw: Callable[[], object], make: Any) -> Calls:
    many, one = Rows(BATCH).each(make), Rows(1).each(make)
    return {
        "take in 64": lambda: update(next(many)),
        "take in 1": lambda: update(next(one)),
        "draw 64": draw,
    }


def torchrl(storage: Any, slots: int) -> Calls:
    buffer = TensorDictReplayBuffer(storage=storage, batch_size=BATCH)

    def make(x: NDArray[Any], y: NDArray[Any]) -> Any:
        columns = {"x": torch.from_numpy(x.copy()), "y": torch.from_numpy(y.copy())}
        return TensorDict(columns, [len(y)])

    buffer.extend(make(*_many(slots)))
    return calls(buffer.extend, buffer.sample, make)


def stable_baselines(slots: int) -> Calls:
    buffer = ReplayBuffer(
        slots,
        gymnasium.spaces.Box(-np.inf, np.inf, (DIM,), np.float32),
        gymnasium.spaces.Discrete(CLASSES),
        device="cpu",
    )

    def make(x: NDArray[Any], y: NDArray[Any]) -> Any:
        return x, x, y, np.zeros(1, np.float32), np.zeros(1, np.float32), [{}]

    one = Rows(1).each(make)
    for _ in range(slots):
        buffer.add(*next(one))
    return {
        "take in 1": lambda: buffer.add(*next(one)),
        "draw 64": lambda: buffer.sample(BATCH),
    }


def ours(buffer: Any, slots: int) -> Calls:
    def make(x: NDArray[Any], y: NDArray[Any]) -> Any:
        return streamreplay.Batch.from_arrays(x.copy(), y.copy())

    for _ in range(2):
        buffer.update(make(*_many(slots)))
    return calls(buffer.update, lambda: buffer.sample(BATCH), make)


def systems(slots: int, folder: Path) -> dict[str, Calls]:
    """Return every system that is here, with a full buffer."""
    found = {
        "TorchRL, in memory": torchrl(LazyTensorStorage(slots), slots),
        "TorchRL, memory-mapped": torchrl(
            LazyMemmapStorage(slots, scratch_dir=str(folder / "torchrl")), slots
        ),
        "Stable-Baselines3": stable_baselines(slots),
    }
    for name, kind in {
        "sliding window": getattr(streamreplay, "SlidingWindowBuffer", None),
        "reservoir": streamreplay.ReservoirSamplingBuffer,
    }.items():
        if kind is None:
            continue
        found[f"ours, {name}, in memory"] = ours(kind(slots), slots)
        if "storage" in inspect.signature(kind).parameters:
            buffer = kind(slots, storage=str(folder / name.replace(" ", "-")))
            found[f"ours, {name}, memory-mapped"] = ours(buffer, slots)
    return found


def rate(call: Callable[[], object], seconds: float) -> float:
    """Return calls a second."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for _ in range(20):
            call()
        done += 20
    return done / spent


def _many(rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    return rng.random((rows, DIM), dtype=np.float32), rng.integers(0, CLASSES, rows)


def _cells(given: dict[str, list[float]], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"{median(given[name]):,.0f}" if name in given else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=0.3, help="for one case in one round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    print(machine() + ", " + theirs.versions("torchrl", "tensordict", "stable-baselines3"))
    with tempfile.TemporaryDirectory() as folder:
        found = systems(options.slots, Path(folder))
        cases = {
            f"{system}/{operation}": lambda call=call: rate(call, options.seconds)
            for system, offered in found.items()
            for operation, call in offered.items()
        }
        given = interleave(cases, options.rounds)
    by_system = {
        system: {operation: given[f"{system}/{operation}"] for operation in offered}
        for system, offered in found.items()
    }
    table(
        ["calls/s", *OPERATIONS],
        [[system, *_cells(figures, OPERATIONS)] for system, figures in by_system.items()],
    )
    save("peers-rings", by_system)


if __name__ == "__main__":
    main()
