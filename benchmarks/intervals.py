"""How often the intervals of `streamreplay compare` hold the true mean of a stream's differences.

Series without a mean, each value partly the one before (autoregressive), of several lengths: the
share of 95 % intervals that hold 0, beside those that take rows for independent. Then the outcomes
of two equally good models that are each right in seven rows of ten and stay as they are in four of
five: how often a difference is called significant.

    python benchmarks/intervals.py [--trials 1000]
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
from common import machine, save, table
from numpy.typing import NDArray

from streamreplay.reading.bootstrap import Units
from streamreplay.reading.estimates import mean_of_stream

CASES = ((0.0, 300), (0.5, 300), (0.5, 1000), (0.9, 1000), (0.5, 100))  # dependence, rows
RESAMPLES = 300


def autoregressive(n: int, rho: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a series of which each value is so much of the one before, and noise."""
    warm_up = 200
    noise = rng.standard_normal(n + warm_up)
    series = np.empty_like(noise)
    value = 0.0
    for place, each in enumerate(noise.tolist()):
        value = rho * value + each
        series[place] = value
    return series[warm_up:]


def outcomes(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw whether a model is right at each row."""
    fresh = rng.random(n) >= 0.8
    fresh[0] = True
    drawn = rng.random(n) < 0.7
    return drawn[np.maximum.accumulate(np.where(fresh, np.arange(n), 0))].astype(float)


def holds(series: NDArray[np.float64], rng: np.random.Generator) -> tuple[bool, bool]:
    """Tell whether 0 is in our interval, and in that for independent rows."""
    units = Units(series, np.ones(len(series)))
    low, high = mean_of_stream(units, RESAMPLES, rng)[0].interval
    error = float(series.std(ddof=1)) / math.sqrt(len(series))
    return low <= 0 <= high, abs(float(series.mean())) <= 1.96 * error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    rng = np.random.default_rng(0)
    print(machine())
    kept: dict[str, Any] = {}
    for rho, n in CASES:
        found = [holds(autoregressive(n, rho, rng), rng) for _ in range(trials)]
        kept[f"dependence {rho}, {n:,} rows"] = np.mean(found, axis=0).tolist()
    table(
        ["95 % intervals that hold the mean", "of blocks", "of independent rows"],
        [[name, f"{100 * a:.1f} %", f"{100 * b:.1f} %"] for name, (a, b) in kept.items()],
    )
    pairs = [holds(outcomes(800, rng) - outcomes(800, rng), rng) for _ in range(trials)]
    wrong = 1 - np.mean(pairs, axis=0)
    print(
        f"\nEqually good models, 800 rows, told apart: {100 * wrong[0]:.1f} % by blocks, "
        f"{100 * wrong[1]:.1f} % by independent rows"
    )
    save("intervals", {**kept, "told apart": wrong.tolist()})


if __name__ == "__main__":
    main()
