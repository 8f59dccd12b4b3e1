"""One training step, written in many ways: what the learner takes, and what it leaves.

Forward, cross-entropy, backward and update on one batch, over and over, one torch thread. Every way
takes its turn in each round; a cell is the median of the rounds, in microseconds of processor time.
Ratios are to the plain loop: `zero_grad`, `backward` and `step` of torch's optimizer with default
options.

    python benchmarks/steps.py [--rounds 5] [--steps 40] [--compile] [--threads]

`--compile` adds `torch.compile` of the whole step at batch 20, with the time that compiling takes
(it needs a C++ compiler), `--threads` the plain loop and ours on two threads by the wall clock.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from common import interleave, machine, median, save, table
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, AdamW, Optimizer

from streamreplay.learners import linear, mlp
from streamreplay.learners.neural import fastpath
from streamreplay.learners.neural.fastpath import FastPath

MODULES: dict[str, tuple[tuple[int, ...], int]] = {
    "784-512-10": ((512,), 784),
    "784-400-400-10": ((400, 400), 784),
    "54-7": ((), 54),
}
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "SGD": partial(SGD, lr=0.01),
    "SGD + momentum": partial(SGD, lr=0.01, momentum=0.9),
    "Adam": partial(Adam, lr=0.001),
    "AdamW": partial(AdamW, lr=0.001),
}
BATCHES = (20, 138, 256)

Step = Callable[[], object]


class Given:
    """A module, an optimizer and a batch."""

    def __init__(self, name: str, n: int, optimizer: str, **options: Any) -> None:
        hidden, features = MODULES[name]
        classes = 10 if hidden else 7
        torch.manual_seed(0)
        factory = mlp(hidden) if hidden else linear()
        self.module: nn.Module = factory((features,), classes)
        self.x = torch.rand(n, features)
        self.y = torch.randint(0, classes, (n,))
        self.optimizer = OPTIMIZERS[optimizer](self.module.parameters(), **options)
        self.parameters = list(self.module.parameters())


def plain(given: Given) -> Step:
    def step() -> None:
        given.optimizer.zero_grad()
        cross_entropy(given.module(given.x), given.y).backward()
        given.optimizer.step()

    return step


def past_hooks(given: Given) -> Step:
    """As the plain loop, but around what torch wraps every optimizer's step in."""
    bare = partial(type(given.optimizer).step.__wrapped__, given.optimizer)

    def step() -> None:
        for parameter in given.parameters:
            parameter.grad = None
        cross_entropy(given.module(given.x), given.y).backward()
        bare()

    return step


def by_grad(given: Given) -> Step | None:
    """`torch.autograd.grad`, and the update in place: for plain SGD."""
    group = given.optimizer.param_groups[0]
    if type(given.optimizer) is not SGD or group["momentum"]:
        return None

    def step() -> None:
        loss = cross_entropy(given.module(given.x), given.y)
        found = torch.autograd.grad(loss, given.parameters)
        with torch.no_grad():
            torch._foreach_add_(given.parameters, found, alpha=-group["lr"])

    return step


def functional(given: Given) -> Step | None:
    """`torch.func.grad` of a function of the weights: for plain SGD."""
    group = given.optimizer.param_groups[0]
    if type(given.optimizer) is not SGD or group["momentum"]:
        return None
    weights = {name: p.detach() for name, p in given.module.named_parameters()}

    def loss(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return cross_entropy(torch.func.functional_call(given.module, weights, given.x), given.y)

    grad = torch.func.grad(loss)

    def step() -> None:
        for name, gradient in grad(weights).items():
            weights[name].add_(gradient, alpha=-group["lr"])

    return step


def ours(given: Given, *, onednn: bool = True) -> Step:
    """Take the learner's step; without oneDNN, all products are torch's own."""
    fast, original = FastPath(given.module, given.optimizer), fastpath.onednn

    def step() -> None:
        fastpath.onednn = original if onednn else _none  # type: ignore[assignment]
        fast.ready(given.x)
        for parameter in given.parameters:
            parameter.grad = None
        logits = fast.forward(given.x)
        cross_entropy(logits, given.y).backward()
        fast.step(logits)
        fastpath.onednn = original

    return step


def _none() -> None:
    return None


def compiled(given: Given, mode: str) -> Step:
    """`torch.compile` of forward, loss and backward, and of the optimizer's step."""

    def step() -> None:
        given.optimizer.zero_grad()
        cross_entropy(given.module(given.x), given.y).backward()
        given.optimizer.step()

    made: Step = torch.compile(step, mode=mode)
    return made


def ways(name: str, n: int, optimizer: str) -> dict[str, Step]:
    make = partial(Given, name, n, optimizer)
    fused = {} if optimizer == "SGD" else {"fused": True}  # plain SGD is ours altogether
    found: dict[str, Step | None] = {
        "plain loop": plain(make()),
        "foreach": plain(make(foreach=True)),
        "fused": plain(make(fused=True)),
        "fused, past hooks": past_hooks(make(fused=True)),
        "autograd.grad": by_grad(make()),
        "torch.func": functional(make()),
        "ours, MKL": ours(make(**fused), onednn=False),
        "ours": ours(make(**fused)),
    }
    return {way: step for way, step in found.items() if step is not None}


def clocked(step: Step, steps: int, clock: Callable[[], float] = time.process_time) -> float:
    """Return microseconds a step."""
    step()
    start = clock()
    for _ in range(steps):
        step()
    return (clock() - start) / steps * 1e6


def on_threads(threads: int, step: Step, steps: int) -> float:
    torch.set_num_threads(threads)
    return clocked(step, steps, time.perf_counter)


def measure(steps: dict[str, Step], rounds: int, count: int) -> dict[str, float]:
    """Take every way once a round; garbage is collected once, as that takes longer than a round."""
    gc.collect()
    times: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(rounds):
        for way, step in steps.items():
            times[way].append(clocked(step, count))
    return {way: median(found) for way, found in times.items()}


def compare(rounds: int, count: int) -> dict[str, dict[str, float]]:
    kept, columns = {}, list(ways("54-7", 1, "SGD"))
    rows = []
    for name in MODULES:
        for n in BATCHES:
            for optimizer in OPTIMIZERS:
                found = measure(ways(name, n, optimizer), rounds, count)
                kept[f"{name}/{n}/{optimizer}"] = found
                cells = [found.get(way, math.nan) for way in columns]
                ratio = found["plain loop"] / found["ours"]
                rows.append(
                    [name, f"{n}", optimizer]
                    + ["" if math.isnan(cell) else f"{cell:,.0f}" for cell in cells]
                    + [f"{ratio:.2f}"]
                )
    table(["module", "batch", "optimizer", *columns, "ratio"], rows)
    return kept


def compare_compiled(rounds: int, count: int) -> dict[str, dict[str, float]]:
    kept, rows, n = {}, [], BATCHES[0]
    for name in ("784-512-10", "54-7"):
        for optimizer in ("SGD", "Adam"):
            steps = {"plain loop": plain(Given(name, n, optimizer))}
            first = {}
            for mode in ("default", "reduce-overhead"):
                torch.compiler.reset()
                step = compiled(Given(name, n, optimizer), mode)
                start = time.perf_counter()
                for _ in range(3):
                    step()
                first[mode] = time.perf_counter() - start
                steps[mode] = step
            fused = {} if optimizer == "SGD" else {"fused": True}
            steps["ours"] = ours(Given(name, n, optimizer, **fused))
            found = measure(steps, rounds, count)
            kept[f"{name}/{n}/{optimizer}"] = {**found, "seconds to compile": first["default"]}
            rows.append(
                [name, f"{n}", optimizer, *(f"{value:,.0f}" for value in found.values())]
                + [f"{value:.0f} s" for value in first.values()]
            )
    columns = ["plain loop", "compiled", "reduce-overhead", "ours", "compiling", "reduce-overhead"]
    print()
    table(["module", "batch", "optimizer", *columns], rows)
    return kept


def compare_threads(rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Take wall-clock times, as two threads use two processors."""
    kept, rows = {}, []
    for name in MODULES:
        for n in BATCHES:
            cases: dict[str, Callable[[], float]] = {}
            for threads in (1, 2):
                for way, make in (("plain loop", plain), ("ours", ours)):
                    step = make(Given(name, n, "SGD"))
                    cases[f"{way}, {threads}"] = partial(on_threads, threads, step, count)
            found = {way: median(times) for way, times in interleave(cases, rounds).items()}
            torch.set_num_threads(1)
            kept[f"{name}/{n}"] = found
            rows.append([name, f"{n}", *(f"{value:,.0f}" for value in found.values())])
    print()
    table(["module", "batch", *(f"{way} thread(s)" for way in cases)], rows)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine() + ", oneDNN " + ("used" if fastpath.onednn() else "not used"))
    kept: dict[str, Any] = {"steps": compare(options.rounds, options.steps)}
    if options.threads:
        kept["threads"] = compare_threads(options.rounds, options.steps)
    if options.compile:
        kept["compiled"] = compare_compiled(options.rounds, options.steps)
    save("steps", kept)


if __name__ == "__main__":
    main()
