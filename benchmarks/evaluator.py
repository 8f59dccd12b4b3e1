"""What evaluation costs: against River's metrics row by row, and as a share of a run.

Cost a row is taken on the same predictions, made up beforehand, in batches of 64, with a record
each 1,000 rows. Ours: all built-in scores, and with ten metrics by name beside them (of all rows,
of the window, with fading weights). River: the same ten told of each row and asked at the same
rows, each with a matrix of its own; with rolling ones (`utils.Rolling`) beside them, as our window;
and both on one matrix each. Then one metric of each way of being fed. The share is the evaluator's
time on a run's predictions over the time of both; of the default job the own time of evaluator and
inventory among that of all stages, in batches of 32. One torch thread.

With --elec2 FILE.csv.gz (the stream is not part of the project), the figures of ten metrics are
compared with those of River's progressive validation on it, digit by digit.

    python benchmarks/evaluator.py [--rounds 5] [--rows 50000] [--elec2 FILE]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import interleave, machine, median, save, table
from river import evaluate, metrics, naive_bayes, preprocessing, utils

from streamreplay import (
    ArraySource,
    Batch,
    Mixer,
    Pipeline,
    Prequential,
    ReservoirSamplingBuffer,
    RiverLearner,
    TorchLearner,
    build,
    linear,
    load_job,
    mlp,
)
from streamreplay.records import Scored
from streamreplay.run.stopwatch import Stopwatch
from streamreplay.stage import Chain

BATCH = 64
EVERY = WINDOW = 1000  # our defaults
TEN = (
    "BalancedAccuracy", "CohenKappa", "F1", "MCC", "MacroF1", "MacroPrecision", "MicroF1",
    "Precision", "Recall", "WeightedF1",
)  # fmt: skip


def ten() -> list[Any]:
    return [getattr(metrics, name)() for name in TEN]


def predictions(rows: int, classes: int, size: int = BATCH) -> list[Scored]:
    """Make up predictions that are right three times in four."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, rows)
    said = np.where(rng.random(rows) < 0.75, y, rng.integers(0, classes, rows))
    p = rng.uniform(0.5, 1, rows).astype(np.float32)
    loss = rng.exponential(size=rows).astype(np.float32)
    found = []
    for start in range(0, rows, size):
        part = slice(start, start + size)
        batch = Batch.from_arrays(np.zeros((len(y[part]), 1)), y[part], start=start)
        found.append(Scored(batch, said[part], p[part], loss[part], square_sum=p[part]))
    return found


def ours(scored: list[Scored], given: Callable[[], list[Any]]) -> float:
    """Return our seconds a row."""
    evaluator = Prequential(metrics=given())
    start = time.perf_counter()
    rows = sum(len(report) for report in evaluator(scored))
    return (time.perf_counter() - start) / rows


def rivers(scored: list[Scored], *, shared: bool = False, rolling: bool = False) -> float:
    """Return River's seconds a row."""
    matrix: Any = metrics.ConfusionMatrix()
    own = [getattr(metrics, name)(**({"cm": matrix} if shared else {})) for name in TEN]
    told = [matrix] if shared else list(own)
    if rolling:
        kinds = [metrics.ConfusionMatrix] if shared else [getattr(metrics, name) for name in TEN]
        told += [utils.Rolling(kind, WINDOW) for kind in kinds]
    pairs = [
        pair
        for each in scored
        for pair in zip(each.incoming.y.tolist(), each.prediction.tolist(), strict=True)
    ]
    start = time.perf_counter()
    for row, (y, said) in enumerate(pairs, 1):
        for metric in told:
            metric.update(y, said)
        if row % EVERY == 0:
            for metric in own:
                metric.get()
    return (time.perf_counter() - start) / len(pairs)


def bayes() -> Any:
    return preprocessing.StandardScaler() | naive_bayes.GaussianNB()


def torch_run(factory: Any, x: Any, y: Any) -> Iterator[Scored]:
    """Replay as many rows as come in."""
    stages: dict[str, Any] = {
        "buffer": ReservoirSamplingBuffer(1000),
        "mixer": Mixer(BATCH, replacement=True),
        "learner": TorchLearner(factory, partial(torch.optim.SGD, lr=0.05), threads=1),
    }
    return Chain(stages)(ArraySource(x, y, batch_size=BATCH))


def river_run(x: Any, y: Any, size: int = BATCH) -> Iterator[Scored]:
    return RiverLearner(bayes(), many=False)(ArraySource(x, y, batch_size=size))


def share(pipeline: Iterable[Any], given: Callable[[], list[Any]]) -> float:
    """Return the evaluator's share of a run's time."""
    scored: list[Scored] = []
    start = time.perf_counter()
    scored.extend(pipeline)
    run = time.perf_counter() - start
    start = time.perf_counter()
    list(Prequential(metrics=given())(scored))
    own = time.perf_counter() - start
    return own / (own + run)


def costs(rows: int, rounds: int) -> dict[str, Any]:
    """Compare what a row costs."""
    kept: dict[str, Any] = {}
    lines = []
    for classes in (2, 10):
        scored = predictions(rows, classes)
        given = interleave(
            {
                "ours, default": lambda scored=scored: ours(scored, list),
                "ours, default and ten": lambda scored=scored: ours(scored, ten),
                "River, ten": lambda scored=scored: rivers(scored),
                "River, ten and rolling": lambda scored=scored: rivers(scored, rolling=True),
                "River, ten and rolling, on one matrix each": lambda scored=scored: rivers(
                    scored, shared=True, rolling=True
                ),
            },
            rounds,
        )
        us = {name: median(times) * 1e6 for name, times in given.items()}
        ten_alone = us["ours, default and ten"] - us["ours, default"]
        for name, value in us.items():
            lines.append([f"{classes} classes: {name}", f"{value:.2f}", f"{value / ten_alone:.1f}"])
        kept[f"{classes} classes"] = given
    table(["", "us a row", "times what our ten take"], lines)
    return kept


def ways(rows: int, rounds: int) -> dict[str, Any]:
    """Say what a metric costs by the way it is fed, with the record each 1,000 rows."""
    scored = predictions(rows, 2)
    names = ("CohenKappa", "GeometricMean", "ROCAUC", "LogLoss", "RollingROCAUC")
    given = interleave(
        {
            "none": lambda: ours(scored, list),
            **{
                name: lambda name=name: ours(scored, lambda: [getattr(metrics, name)()])
                for name in names
            },
        },
        rounds,
    )
    base = median(given["none"])
    table(
        ["metric beside the default scores", "us a row"],
        [[name, f"{(median(given[name]) - base) * 1e6:.2f}"] for name in names],
    )
    return given


def default_share(x: Any, y: Any) -> float:
    """Return the share of evaluator and inventory in all stages of the default job."""
    made = build(load_job(None, ["source.path=-", "source.format=jsonl"]))
    pipeline, watch = Pipeline(None, **made.stages), Stopwatch()
    pipeline.measure(watch)
    for batch in ArraySource(x, y, batch_size=32):
        pipeline.step(batch)
        watch.batch_done()
    spent = {name: int(each.sum()) for name, each in watch.lap().items()}
    return (spent["evaluator"] + spent["inventory"]) / sum(spent.values())


def shares(rows: int, rounds: int) -> dict[str, Any]:
    """Say what part of a run evaluation takes."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, 54), dtype=np.float32)
    y = np.where(x[:, 0] + 0.3 * rng.random(rows) > 0.65, 1, 0)
    given = interleave(
        {
            "the default job": lambda: default_share(x, y),
        }
        | {
            f"{name}{asked}": lambda make=make, of=of: share(make(x, y), of)
            for name, make in {
                "mlp (256, 256)": partial(torch_run, mlp((256, 256))),
                "linear": partial(torch_run, linear()),
                "River's GaussianNB": river_run,
            }.items()
            for asked, of in ((", default", list), (", and ten metrics", ten))
        },
        rounds,
    )
    table(
        ["learner, records", "share of the run"],
        [[name, f"{100 * median(shares):.1f} %"] for name, shares in given.items()],
    )
    return given


def compare_on(path: Path) -> dict[str, Any]:
    """Compare all figures on a real stream of two classes, the last column."""
    with gzip.open(path, "rt", newline="") as file:
        _, *lines = csv.reader(file)
    x = np.array([row[:-1] for row in lines], np.float32)
    y = np.array([int(row[-1] == lines[0][-1]) for row in lines])
    stream: list[Any] = [
        (dict(enumerate(row)), label) for row, label in zip(x.tolist(), y.tolist(), strict=True)
    ]
    kept: dict[str, Any] = {}
    for size in (1, BATCH):
        told = metrics.base.Metrics(ten())
        evaluator = Prequential(metrics=ten())
        scored = list(river_run(x, y, size))
        reports = list(evaluator(scored))
        if size == 1:
            evaluate.progressive_val_score(stream, bayes(), told)
        else:
            labels: Any = scored[0].incoming.labels
            tell(told, scored, labels.names)
        figures = reports[-1].metrics[-1]["metrics"]
        kept[f"batches of {size}"] = {
            name: (figures[name], metric.get()) for name, metric in zip(TEN, told, strict=True)
        }
    table(
        ["", *(f"{who}, {size}" for size in kept for who in ("ours", "River"))],
        [[name, *(str(v) for pairs in kept.values() for v in pairs[name])] for name in TEN],
    )
    pairs = [pair for figures in kept.values() for pair in figures.values()]
    print(f"{sum(one == other for one, other in pairs)} of {len(pairs)} are the same in all digits")
    return kept


def tell(told: Any, scored: list[Scored], names: list[Any]) -> None:
    """Tell River's metrics of the same predictions, before each batch is learned."""
    for each in scored:
        for y, said in zip(each.incoming.y.tolist(), each.prediction.tolist(), strict=True):
            if said >= 0:
                told.update(names[y], names[said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--elec2", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours(predictions(2000, 2), ten)  # imports and first-call work are nobody's speed
    print(machine())
    kept = costs(options.rows, options.rounds)
    print()
    kept["ways"] = ways(min(options.rows, 10_000), options.rounds)
    print()
    kept["shares"] = shares(min(options.rows, 20_000), options.rounds)
    if options.elec2:
        print()
        kept["figures"] = compare_on(options.elec2)
    save("evaluator", kept)


if __name__ == "__main__":
    main()
