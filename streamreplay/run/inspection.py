"""What is in a run folder or a checkpoint, without opening its stream."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from streamreplay.checkpoint import latest_checkpoint, load_checkpoint
from streamreplay.errors import RunFolderError
from streamreplay.run.records import class_names
from streamreplay.stage import State

__all__ = ["inspect_path", "print_report"]

Row: TypeAlias = tuple[str, ...]
_CHECKPOINT_FILE = "manifest.json"


def inspect_path(path: Path) -> dict[str, Any]:
    """Describe a run folder by its newest whole checkpoint, or one checkpoint.

    Returns
    -------
    dict
        What JSON can hold; ``position``, ``labels``, ``buffer``, ``parameters``, ``scores``, ...

    Raises
    ------
    RunFolderError
        It is neither, or the run has made no checkpoint yet.
    CheckpointError
        The checkpoint is damaged or of another version.
    """
    skipped: tuple[str, ...] = ()
    if (path / _CHECKPOINT_FILE).exists():
        folder, (state, manifest) = path, load_checkpoint(path)
    else:
        if not (path / "job.toml").exists():
            raise RunFolderError(f"{path}: is neither a run folder nor a checkpoint")
        latest = latest_checkpoint(path / "checkpoints")
        if latest is None:
            raise RunFolderError(f"{path}: the run has made no checkpoint yet")
        folder, state, manifest = latest.path, latest.state, latest.manifest
        skipped = latest.skipped
    pipeline = state.get("pipeline", state)
    names = list(pipeline.get("source", {}).get("labels", {}).get("names", []))
    return {
        "path": str(path),
        "checkpoint": folder.name,
        "skipped": list(skipped),
        "position": manifest["position"],
        "finished": bool(state.get("finished", False)),
        "library": manifest["library"],
        "labels": names,
        "buffer": _buffer(pipeline.get("buffer"), names, manifest["position"]),
        "parameters": _parameters(pipeline.get("learner", {})),
        "scores": _last_scores(path),
        "bytes": {name: file["bytes"] for name, file in manifest["files"].items()},
    }


def _buffer(state: State | None, names: list[Any], position: int) -> dict[str, Any] | None:
    if not state:
        return None
    rows = state["rows"]
    y, t = rows.get("y", np.empty(0, np.int64)), rows.get("t", np.empty(0, np.int64))
    ids, counts = np.unique(y, return_counts=True)
    ages = position - 1 - t
    by_class = {
        int(index): {
            "rows": int(count),
            "median_age": float(np.median(ages[y == index])),
        }
        for index, count in zip(ids, counts, strict=True)
    }
    return {
        "kind": state["kind"],
        "rows": len(y),
        "max_size": state["max_size"],
        "bytes": sum(column.nbytes for column in rows.values()),
        "by_class": class_names(by_class, names),
        "age": _quantiles(ages),
    }


def _quantiles(ages: Any) -> dict[str, int] | None:
    if not len(ages):
        return None
    values = np.percentile(ages, [0, 25, 50, 75, 100], method="lower").tolist()
    return dict(zip(("newest", "q25", "median", "q75", "oldest"), map(int, values), strict=True))


def _parameters(learner: State) -> dict[str, list[int]]:
    module = learner.get("network", learner).get("module", {})
    return {name: list(tensor.shape) for name, tensor in module.items()}


def _last_scores(path: Path) -> dict[str, Any]:
    """Return the last record of each kind of a run folder's log."""
    log = path / "metrics.jsonl"
    last: dict[str, Any] = {}
    if log.exists():
        with log.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    record = orjson.loads(line)
                    last[record["kind"]] = record
    return last


def print_report(report: dict[str, Any]) -> None:
    """Write what `inspect_path` found for a person: framed on a terminal, plain elsewhere."""
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    for reason in report["skipped"]:
        console.print(f"damaged: {reason}")
    _print_facts(console, report)
    for title, header, rows in _tables(report):
        _print_table(console, title, header, rows)


def _tables(report: dict[str, Any]) -> Iterator[tuple[str, Row, list[Row]]]:
    buffer = report["buffer"]
    if buffer is not None and buffer["by_class"]:
        classes: list[Row] = [
            (_shown(name), f"{part['rows']:,}", f"{part['rows'] / buffer['rows']:.1%}", _age(part))
            for name, part in buffer["by_class"].items()
        ]
        yield "Buffer", ("class", "rows", "share", "median age"), classes
    shapes = report["parameters"]
    if shapes:
        counts = {name: math.prod(shape) for name, shape in shapes.items()}
        named: list[Row] = [(name, str(shapes[name]), f"{n:,}") for name, n in counts.items()]
        total = ("total", "", f"{sum(counts.values()):,}")
        yield "Parameters", ("name", "shape", "numbers"), [*named, total]
    for kind, record in report["scores"].items():
        scores: list[Row] = [
            (key, _number(value)) for key, value in record.items() if isinstance(value, int | float)
        ]
        yield f"Last {kind} record", ("field", "value"), scores


def _print_facts(console: Console, report: dict[str, Any]) -> None:
    buffer, size = report["buffer"], sum(report["bytes"].values())
    facts = {
        "run": report["path"],
        "checkpoint": f"{report['checkpoint']}, {size:,} bytes, by version {report['library']}",
        "position": f"{report['position']:,} rows{', finished' if report['finished'] else ''}",
        "labels": ", ".join(f"{i}: {_shown(name)}" for i, name in enumerate(report["labels"]))
        or "none",
    }
    if buffer is not None:
        facts["buffer"] = (
            f"{buffer['kind']}, {buffer['rows']:,} of {buffer['max_size']:,} rows, "
            f"{buffer['bytes']:,} bytes"
        )
        if buffer["age"] is not None:
            ages = ", ".join(f"{name} {age:,}" for name, age in buffer["age"].items())
            facts["age in rows"] = ages
    for name, value in facts.items():
        console.print(f"{name:<12} {value}")


def _print_table(console: Console, title: str, header: Row, rows: list[Row]) -> None:
    if not console.is_terminal:
        console.print(f"\n{title}")
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            console.print("  ".join(cells).rstrip())
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _shown(name: int | str) -> str:
    """Write a label: quoted where it would break the line, or talk to the terminal."""
    text = str(name)
    return text if text.isprintable() else json.dumps(text)


def _age(part: dict[str, Any]) -> str:
    return f"{part['median_age']:,.0f}"


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
