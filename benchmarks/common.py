"""What the benchmarks share: clocks, rounds and tables."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"

__all__ = ["RESULTS", "interleave", "machine", "median", "save", "table"]


def interleave(cases: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every case once a round, so that noise hits all alike; return what each gave."""
    given: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            gc.collect()
            given[name].append(case())
    return given


def median(values: list[float]) -> float:
    return statistics.median(values)


def machine() -> str:
    """Describe what the figures were taken on, in a line."""
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"{torch.get_num_threads()} torch thread(s), {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print rows as a Markdown table."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |")
    sys.stdout.flush()


def save(name: str, payload: object) -> None:
    """Keep the figures beside the benchmarks, as JSON."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(payload, indent=1) + "\n")
