"""Run folders as runs leave them, written line by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
Bools = NDArray[np.bool_]


def dump(path: Path, records: Sequence[dict[str, Any]], *, append: bool = False) -> None:
    with path.open("ab" if append else "wb") as file:
        file.writelines(orjson.dumps(record, option=_OPTIONS) for record in records)


def make_run(
    folder: Path,
    hits: dict[str, Bools],
    labels: NDArray[np.int64],
    *,
    job: str = "seed = 0\n",
    predictions: bool = True,
    every: int = 100,
) -> Path:
    """Write what a classifier's run leaves: hits by learner ("" where there is one)."""
    folder.mkdir(parents=True)
    (folder / "job.toml").write_text(job)
    scores, rows = [], []
    for position in sorted({*range(every, len(labels) + 1, every), len(labels)}):
        scores += [
            {**named(learner), **prequential(position, hit, labels)}
            for learner, hit in hits.items()
        ]
    for i, label in enumerate(labels.tolist()):
        for learner, hit in hits.items():
            right = bool(hit[i])
            rows.append(
                {
                    **named(learner),
                    "position": i,
                    "id": None,
                    "prediction": label if right else -7,
                    "probability": 0.5,
                    "label": label,
                    "correct": right,
                }
            )
    dump(folder / "metrics.jsonl", scores)
    if predictions:
        dump(folder / "predictions.jsonl", rows)
    return folder


def named(learner: str) -> dict[str, Any]:
    return {"learner": learner} if learner else {}


def prequential(position: int, hit: Bools, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return a record with the fields that readers use, computed the slow way."""
    seen = labels[:position]
    repeated = np.count_nonzero(seen[1:] == seen[:-1])
    right = int(np.count_nonzero(hit[:position]))
    return {
        "kind": "prequential",
        "v": 1,
        "position": position,
        "experience": 0,
        "experience_end": position == len(labels),
        "rows": position,
        "unlabelled": 0,
        "accuracy": right / position,
        "accuracy_window": float(hit[max(0, position - 100) : position].mean()),
        "loss": 1.0,
        "kappa": 0.5,
        "no_change": {"accuracy": repeated / position, "accuracy_window": 0.25},
        "majority": {"accuracy": 0.125, "accuracy_window": 0.5},
        "by_class": {
            str(c): {
                "rows": int(np.count_nonzero(seen == c)),
                "accuracy": 0.5,
                "rows_recent": 3,
                "accuracy_recent": 0.75,
            }
            for c in np.unique(seen)
        },
        "replayed": 2 * position,
    }


def retention(
    position: int, by_class: dict[str, float], *, sample: str = "probe", learner: str = ""
) -> dict[str, Any]:
    mean = sum(by_class.values()) / len(by_class)
    return {
        **named(learner),
        "kind": "retention",
        "v": 1,
        "position": position,
        "after_experience": 0,
        "experience_end": False,
        "sample": sample,
        "rows": 100,
        "accuracy": mean,
        "balanced_accuracy": mean,
        "average_accuracy": None,
        "forgetting": None,
        "backward_transfer": None,
        "class_forgetting": 0.125,
        "by_class": {name: {"rows": 10, "accuracy": value} for name, value in by_class.items()},
        "probed": 200,
        "withheld": 20,
    }


def drift(position: int, *, level: str = "drift", name: str = "errors") -> dict[str, Any]:
    return {
        "kind": "drift",
        "v": 1,
        "position": position,
        "experience": 1,
        "level": level,
        "name": name,
        "detector": "ADWIN",
        "on": "error",
        "value": 1.0,
        "actions": ["new_experience", "replay(2)"] if level == "drift" else [],
    }


def buffer(position: int, rows: dict[str, int], *, learner: str = "") -> dict[str, Any]:
    return {
        **named(learner),
        "kind": "buffer",
        "v": 1,
        "position": position,
        "rows": sum(rows.values()),
        "max_size": 1000,
        "seen": position,
        "acceptance": 0.5,
        "uniform_since": 0,
        "nbytes": 4096,
        "by_class": {
            name: {"rows": n, "median_age": 10.0, "replayed": 3} for name, n in rows.items()
        },
        "ages": None,
        "replays": None,
    }


def timing(position: int, time: float, *, rows_per_s: float = 1234.5) -> dict[str, Any]:
    return {
        "position": position,
        "time": time,
        "elapsed_s": 2.0,
        "rows_per_s": rows_per_s,
        "latency_ms": {"p50": 3.25, "p99": 9.75},
        "share": {"source": 0.125, "stages": 0.75},
        "stages": {
            "source": {"p50_ms": 0.1, "p99_ms": 0.2, "share": 0.125},
            "buffer": {"p50_ms": 0.1, "p99_ms": 0.2, "share": 0.0625},
            "learner": {"p50_ms": 0.1, "p99_ms": 0.2, "share": 0.625},
            "evaluator": {"p50_ms": 0.1, "p99_ms": 0.2, "share": 0.001},
        },
        "replayed": 300,
        "throttled": 0,
        "resident_bytes": 512 << 20,
    }


def dependent(n: int, share: float, stick: float, seed: int) -> Bools:
    """Draw outcomes of which each is the one before with probability `stick`, else a new draw."""
    rng = np.random.default_rng(seed)
    fresh = rng.random(n) >= stick
    fresh[0] = True
    drawn = rng.random(n) < share
    last = np.maximum.accumulate(np.where(fresh, np.arange(n), 0))
    chosen: Bools = drawn[last]
    return chosen
