"""Whether a probe tells what a test set would, and what it costs.

First the default job with and without a probe: both learn the same stream, batch by batch in
turns, so that a change of the machine's speed falls on both. Then Split-Fashion-MNIST with and
without replay: at every boundary, accuracy over the classes seen so far by the probe alone (2 % of
the rows, which are not learned) and by the 10,000 test images. The data is not part of the project:
give the folder with the four files (see accuracy.py); without it only the cost is measured.

    python benchmarks/probe.py --fashion-mnist DIR
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import machine, median, save, table

from streamreplay import ArraySource, Pipeline, build, load_job

JOBS = Path(__file__).parent / "jobs"
SHARE = 0.02
WARM_UP = 20  # batches


def agreement(folder: Path, seeds: int) -> dict[str, Any]:
    """Print both figures at each boundary, and how far they are apart."""
    rows, kept = [], {}
    for name, settings in {"replay": [], "no replay": ["buffer.kind=none"]}.items():
        pairs: list[list[tuple[float, float]]] = []  # by seed and boundary: probe, test
        prequential = []
        for seed in range(seeds):
            records = _run(folder, [*settings, f"seed={seed}", f"source.split.seed={seed}"])
            ends = [r for r in records if r["kind"] == "retention" and r["experience_end"]]
            samples = [[r for r in ends if r["sample"] == s] for s in ("probe", "test")]
            pairs.append(
                [
                    (probe["balanced_accuracy"], test["balanced_accuracy"])
                    for probe, test in zip(*samples, strict=True)
                ]
            )
            prequential.append([r for r in records if r["kind"] == "prequential"][-1]["accuracy"])
        for boundary in range(len(pairs[0])):
            at = [pair[boundary] for pair in pairs]
            probe, test = (100 * statistics.mean(side) for side in zip(*at, strict=True))
            apart = 100 * max(abs(a - b) for a, b in at)
            rows.append([name, str(boundary + 1), f"{probe:.1f}", f"{test:.1f}", f"{apart:.1f}"])
        mean = f"{100 * statistics.mean(prequential):.1f}"
        rows.append([name, "prequential, at the end", mean, "", ""])
        kept[name] = {"pairs": pairs, "prequential": prequential}
    table(["job", "boundary", "probe", "test images", "most apart, any seed"], rows)
    return kept


def _run(folder: Path, settings: list[str]) -> list[dict[str, Any]]:
    files = [
        f"source.path={folder / 'train-images-idx3-ubyte.gz'}",
        f"test.path={folder / 't10k-images-idx3-ubyte.gz'}",
    ]
    job = load_job(JOBS / "split_fashion_mnist.toml", [*files, *settings, f"probe.share={SHARE}"])
    return [record for report in build(job) for record in report.metrics]


def cost(rows: int, rounds: int) -> dict[str, Any]:
    """Print the time of default jobs with and without a probe, and the ratio over all rounds."""
    rng = np.random.default_rng(0)
    printed, kept = [], {}
    for features in (54, 784):
        y = rng.integers(0, 10, rows)
        x = (
            rng.standard_normal((rows, features), np.float32)
            + rng.standard_normal((10, features), np.float32)[y]
        )
        given = [_side_by_side(x, y) for _ in range(rounds)]
        ratios = sorted(probed / plain for plain, probed in given)
        us = [f"{1e6 * median(list(times)) / rows:.1f}" for times in zip(*given, strict=True)]
        spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
        printed.append([f"default job, {features} features", *us, f"{median(ratios):.3f}", spread])
        kept[str(features)] = given
    table([f"{rows:,} rows", "us a row", "with a probe", "ratio", f"{rounds} rounds"], printed)
    return kept


def _side_by_side(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the seconds of two runs that take turns, as the machine's speed changes meanwhile."""
    asked: list[list[str]] = [[], [f"probe.share={SHARE}"]]
    made = [
        build(load_job(None, ["source.path=-", "source.format=jsonl", *more])) for more in asked
    ]
    pipelines = [Pipeline(None, **each.stages) for each in made]
    spent = [0.0, 0.0]
    for number, batch in enumerate(ArraySource(x, y, batch_size=32)):
        for who in (0, 1) if number % 2 else (1, 0):
            start = time.process_time()
            pipelines[who].step(batch)
            if number >= WARM_UP:
                spent[who] += time.process_time() - start
    for who, pipeline in enumerate(pipelines):
        start = time.process_time()
        pipeline.finish()
        spent[who] += time.process_time() - start
    return spent[0], spent[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fashion-mnist", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    kept: dict[str, Any] = {"cost": cost(options.rows, options.rounds)}
    if options.fashion_mnist is not None:
        kept["agreement"] = agreement(options.fashion_mnist, options.seeds)
    save("probe", kept)


if __name__ == "__main__":
    main()
