"""Loaders without workers: rows a second, over rows like Fashion-MNIST's.

Ours against torch's `DataLoader` over the same `TensorDataset`, whole batches of indices at a time
and a row at a time, and against a loop that gathers by an index written by hand. In an environment
where avalanche-lib is installed its loaders take part too. Building the loader is part of the time;
an epoch is cut off after ``--budget`` seconds.

    python benchmarks/loaders.py [--rounds 5] [--budget 10]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from common import interleave, machine, median, save, table
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Subset, TensorDataset

from streamreplay import (
    Batch,
    GroupBalancedDataLoader,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)

ROWS, DIM, CLASSES, TASKS = 60_000, 784, 10, 5
CURRENT, MEMORY = 12_000, 5_000

Make = Callable[[], Iterable[Any]]
Cases = dict[str, Make]


class Data:
    """Rows by class, two classes a task, in all the forms that the loaders take."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.random((ROWS, DIM), dtype=np.float32)
        self.y = np.repeat(np.arange(CLASSES), ROWS // CLASSES)
        self.task = self.y * TASKS // CLASSES
        self.rows = {
            CLASSES: [np.flatnonzero(self.y == c) for c in range(CLASSES)],
            TASKS: [np.flatnonzero(self.task == t) for t in range(TASKS)],
        }
        self.current = self.rows[TASKS][-1]
        self.memory = rng.permutation(ROWS - CURRENT)[:MEMORY]
        self.tensors = torch.from_numpy(self.x), torch.from_numpy(self.y)
        self.plain = TensorDataset(*self.tensors)
        self.batch = Batch.from_arrays(self.x, self.y, task=self.task)
        self.parts = {n: [self.batch.take(r) for r in rows] for n, rows in self.rows.items()}

    def subsets(self, groups: int) -> list[Subset[Any]]:
        return [Subset(self.plain, rows.tolist()) for rows in self.rows[groups]]


def hand_groups(
    data: Data, groups: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Deal whole columns of shuffled groups, then gather a row of the table a batch."""
    share = size // groups
    steps = -(-max(len(rows) for rows in data.rows[groups]) // share)
    parts = [np.resize(rng.permutation(rows), (steps, share)) for rows in data.rows[groups]]
    for index in torch.from_numpy(np.concatenate(parts, axis=1)):
        yield tuple(column.index_select(0, index) for column in data.tensors)


def hand_replay(
    data: Data, size: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Walk through the current rows, and draw rows of memory for each batch."""
    order = rng.permutation(data.current)
    for start in range(0, len(order), size):
        drawn = data.memory[rng.integers(0, MEMORY, size)]
        index = torch.from_numpy(np.concatenate([order[start : start + size], drawn]))
        yield tuple(column.index_select(0, index) for column in data.tensors)


def group_cases(data: Data, groups: int, size: int, avalanche: Any) -> Cases:
    subsets, parts = data.subsets(groups), data.parts[groups]
    rng = np.random.default_rng(1)
    cases: Cases = {
        "ours": lambda: GroupBalancedDataLoader(
            subsets, oversample_small_groups=True, batch_size=size
        ),
        "ours, apart": lambda: GroupBalancedDataLoader(
            parts, oversample_small_groups=True, batch_size=size
        ),
        "hand": lambda: hand_groups(data, groups, size, rng),
        **torch_cases(data, size),
    }
    if avalanche:
        theirs = [avalanche.whole.subset(rows.tolist()) for rows in data.rows[groups]]
        cases["avalanche"] = lambda: avalanche.GroupBalancedDataLoader(
            theirs, oversample_small_groups=True, batch_size=size, shuffle=True
        )
    return cases


def task_cases(data: Data, size: int, avalanche: Any) -> Cases:
    rng = np.random.default_rng(1)
    cases: Cases = {
        "ours": lambda: TaskBalancedDataLoader(data.batch, size, oversample_small_groups=True),
        "hand": lambda: hand_groups(data, TASKS, size, rng),
        **torch_cases(data, size),
    }
    if avalanche:
        cases["avalanche"] = lambda: avalanche.TaskBalancedDataLoader(
            avalanche.whole, batch_size=size, oversample_small_groups=True, shuffle=True
        )
    return cases


def replay_cases(data: Data, size: int, avalanche: Any) -> Cases:
    rng = np.random.default_rng(1)
    current, memory = (Subset(data.plain, r.tolist()) for r in (data.current, data.memory))
    sizes: Any = {"oversample_small_tasks": True, "batch_size": size, "batch_size_mem": size}
    apart = [data.batch.take(rows) for rows in (data.current, data.memory)]
    cases: Cases = {
        "ours": lambda: ReplayDataLoader(current, memory, **sizes),
        "ours, apart": lambda: ReplayDataLoader(*apart, **sizes),
        "hand": lambda: hand_replay(data, size, rng),
        **torch_cases(data, 2 * size),
    }
    if avalanche:
        theirs = [avalanche.whole.subset(r.tolist()) for r in (data.current, data.memory)]
        cases["avalanche"] = lambda: avalanche.ReplayDataLoader(*theirs, **sizes, shuffle=True)
    return cases


def torch_cases(data: Data, size: int) -> Cases:
    def batched() -> Iterable[Any]:
        sampler = BatchSampler(RandomSampler(data.plain), size, drop_last=False)
        return DataLoader(data.plain, sampler=sampler, batch_size=None)

    return {
        "torch, batched": batched,
        "torch, by row": lambda: DataLoader(data.plain, batch_size=size, shuffle=True),
    }


def peer(data: Data) -> Any:
    """Return Avalanche's loaders and its dataset of the same rows, or None where it is not."""
    if importlib.util.find_spec("avalanche") is None:
        return None
    for name in ("_meta_registrations", "_autograd_registrations"):
        # a torchvision that was built for another torch fails in these two, which nobody here needs
        sys.modules.setdefault(f"torchvision.{name}", types.ModuleType(name))
    warnings.filterwarnings("ignore")
    utils = "avalanche.benchmarks.utils"
    loaders = importlib.import_module(f"{utils}.data_loader")
    datasets = importlib.import_module(f"{utils}.classification_dataset")
    return types.SimpleNamespace(
        whole=datasets._make_taskaware_tensor_classification_dataset(  # noqa: SLF001
            *data.tensors, task_labels=data.task.tolist()
        ),
        GroupBalancedDataLoader=loaders.GroupBalancedDataLoader,
        ReplayDataLoader=loaders.ReplayDataLoader,
        TaskBalancedDataLoader=loaders.TaskBalancedDataLoader,
    )


def rate(make: Make, budget: float) -> float:
    """Return rows a second over an epoch, or what of it fits into the budget."""
    start, rows = time.perf_counter(), 0
    for count, batch in enumerate(make(), 1):
        rows += len(batch[1])
        if count % 16 == 0 and time.perf_counter() - start > budget:
            break
    return rows / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Data()
    avalanche = peer(data)
    print(machine())
    measured: dict[str, Cases] = {}
    for size in (20, 128):
        for groups in (TASKS, CLASSES):
            measured[f"group balanced, {groups} groups, {size}"] = group_cases(
                data, groups, size, avalanche
            )
        measured[f"task balanced, {TASKS} tasks, {size}"] = task_cases(data, size, avalanche)
    for size in (10, 64, 128):
        measured[f"replay {CURRENT:,} + {MEMORY:,}, {size} + {size}"] = replay_cases(
            data, size, avalanche
        )
    kept, rows = {}, []
    for name, cases in measured.items():
        clocks = {case: (lambda m=make: rate(m, options.budget)) for case, make in cases.items()}
        given = kept[name] = interleave(clocks, options.rounds)
        rates = {case: median(values) for case, values in given.items()}
        rows.append([name, *shown(rates)])
    table(HEADER, rows)
    save("loaders", kept)


OTHERS = ("hand", "torch, batched", "torch, by row", "avalanche")
HEADER = ["rows/s", "ours", "ours, apart", *(f"{other} (ours / it)" for other in OTHERS)]


def shown(rates: dict[str, float]) -> list[str]:
    ours = [f"{rates[case]:,.0f}" if case in rates else "" for case in ("ours", "ours, apart")]
    return ours + [
        f"{rates[other]:,.0f} ({rates['ours'] / rates[other]:.2f})" if other in rates else ""
        for other in OTHERS
    ]


if __name__ == "__main__":
    main()
