"""The contents of a run folder or a checkpoint."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table

from streamreplay.buffers.description import describe_state
from streamreplay.checkpoint.folder import checkpoints_of, latest_checkpoint, load_checkpoint
from streamreplay.errors import RunFolderError, fitting
from streamreplay.log.folder_format import check_format
from streamreplay.log.lines import JOB_FILE
from streamreplay.log.records import class_names
from streamreplay.log.rows_text import labels_text, sum_text
from streamreplay.log.score_table import compare
from streamreplay.plain_text import Row, aligned, counted, printable, score_text, visible
from streamreplay.put_aside import PutAside
from streamreplay.reading.run import Run
from streamreplay.regular_files import exists
from streamreplay.row_counts import RowLedger
from streamreplay.state import State

_CHECKPOINT_FILE = "manifest.json"
_Table: TypeAlias = tuple[str, Row, list[Row]]
"""Title, header and rows."""


def inspect_path(path: Path) -> dict[str, Any]:
    """Describe a run folder by its newest undamaged checkpoint, or describe one checkpoint.

    Returns
    -------
    dict
        An object for JSON, with ``position``, ``labels``, ``buffer``, ``parameters``, ``scores``
        and so on. If there are several learners, ``learners`` has the last three by name; a buffer
        that all share stays outside.

    Raises
    ------
    RunFolderError
        The folder is neither, or the run has made no checkpoint yet.
    CheckpointError
        The checkpoint is damaged or of another version.
    """
    skipped: tuple[str, ...] = ()
    scores: dict[str, dict[str, Any]] = {}
    if exists(path / _CHECKPOINT_FILE):
        folder, (state, manifest) = path, load_checkpoint(path)
    else:
        if not exists(path / JOB_FILE):
            raise RunFolderError(f"{path}: is neither a run folder nor a checkpoint")
        check_format(path)
        latest = latest_checkpoint(checkpoints_of(path))
        if latest is None:
            raise RunFolderError(f"{path}: the run has made no checkpoint yet")
        folder, state, manifest = latest.path, latest.state, latest.manifest
        skipped = latest.skipped
        scores = {each.learner: each.last for each in Run(path).learners()}
    with fitting(f"{folder}: its state cannot be described"):
        described = _description(state, manifest["position"], scores)
    return {
        "path": str(path),
        "checkpoint": folder.name,
        "skipped": list(skipped),
        "library": manifest["library"],
        **described,
        "bytes": {name: file["bytes"] for name, file in manifest["files"].items()},
    }


def _description(state: State, position: int, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe the state of a run, or that of a pipeline."""
    pipeline = state.get("pipeline", state)
    names = list(pipeline.get("source", {}).get("labels", {}).get("names", []))
    branches = pipeline.get("learners", {}).get("branches", {})
    return {
        "position": position,
        "finished": bool(state.get("finished", False)),
        "labels": names,
        "rows": _rows(pipeline, position),
        **_learner(pipeline, names, position, scores.get("", {})),
        "learners": {
            name: _learner(stages, names, position, scores.get(name, {}))
            for name, stages in branches.items()
        },
    }


def _rows(pipeline: State, position: int) -> dict[str, Any]:
    """Describe what became of the rows as a record of kind ``rows`` does; {} if it is not known."""
    if "rows" not in pipeline:
        return {}
    ledger, aside = RowLedger(), PutAside()
    ledger.load_state_dict(pipeline["rows"])
    source = pipeline.get("source")
    if isinstance(source, dict) and "put_aside" in source:
        aside.load_state_dict(source["put_aside"])
    late, held, given_up = pipeline.get("late"), 0, None
    if late and late["kind"] == "LateLabels":
        held, given_up, lost = len(late["id"]), late["given_up"], PutAside()
        lost.load_state_dict(late["put_aside"])
        aside = aside.joined(lost)
    elif late:
        held = sum(len(rows["t"]) for rows in late["waiting"])
    record = ledger.counts(pipeline["position"], held, aside, given_up).as_record(position)
    return {name: value for name, value in record.items() if name not in ("kind", "position")}


def _learner(
    stages: State, names: list[Any], position: int, scores: dict[str, Any]
) -> dict[str, Any]:
    """Describe one learner."""
    return {
        "buffer": _buffer(stages.get("buffer"), names, position),
        "parameters": _parameters(stages.get("learner", {})),
        "scores": scores,
    }


def _buffer(state: State | None, names: list[Any], position: int) -> dict[str, Any] | None:
    if not state:
        return None
    described = describe_state(state, position)
    by_class = class_names(described["by_class"], names)
    return {"kind": state["kind"], **described, "by_class": by_class}


def _parameters(learner: State) -> dict[str, list[int]]:
    module = learner.get("network", learner).get("module", {})
    return {name: list(tensor.shape) for name, tensor in module.items()}


def print_report(report: dict[str, Any]) -> None:
    """Print a description of `inspect_path`, with framed tables if the output is a terminal."""
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    for reason in report["skipped"]:
        console.print(visible(f"damaged: {reason}"))
    _print_overview(console, report)
    for title, header, rows in _all_tables(report):
        _print_table(console, title, header, rows)


def _all_tables(report: dict[str, Any]) -> Iterator[_Table]:
    yield from _learner_tables(report)
    learners = report["learners"]
    if any(each["scores"] for each in learners.values()):
        yield "Learners", *compare({name: each["scores"] for name, each in learners.items()})
    for name, each in learners.items():
        for title, header, rows in _learner_tables(each):
            yield f"{name}: {title[0].lower()}{title[1:]}", header, rows


def _learner_tables(report: dict[str, Any]) -> Iterator[_Table]:
    buffer = report["buffer"]
    if buffer is not None and buffer["rows"]:
        yield from _buffer_tables(buffer)
    if report["parameters"]:
        yield _parameter_table(report["parameters"])
    for kind, record in report["scores"].items():
        scores: list[Row] = [
            (key, score_text(value))
            for key, value in record.items()
            if isinstance(value, int | float)
        ]
        if "sample" in record:
            scores.append(("sample", str(record["sample"])))
        yield f"Last {kind} record", ("field", "value"), scores


def _buffer_tables(buffer: dict[str, Any]) -> Iterator[_Table]:
    for by in ("class", "task", "experience"):
        groups = buffer[f"by_{by}"]
        if by == "class" or len(groups) > 1:
            header = (by, "rows", "share", "median age", "replayed")
            rows = [_group_row(name, part, buffer["rows"]) for name, part in groups.items()]
            yield f"Buffer by {by}", header, rows
    yield "Buffer by age", ("age in rows", "rows", "share"), _age_rows(buffer)
    yield "Buffer by replays", ("times replayed", "rows", "share"), _replay_rows(buffer)


def _parameter_table(shapes: dict[str, list[int]]) -> _Table:
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    rows: list[Row] = [(name, str(shapes[name]), f"{n:,}") for name, n in counts.items()]
    total = ("total", "", f"{sum(counts.values()):,}")
    return "Parameters", ("name", "shape", "numbers"), [*rows, total]


def _print_overview(console: Console, report: dict[str, Any]) -> None:
    buffer, size = report["buffer"], sum(report["bytes"].values())
    lines = {
        "run": report["path"],
        "checkpoint": f"{report['checkpoint']}, {size:,} bytes, by version {report['library']}",
        "position": counted(report["position"], "row")
        + (", finished" if report["finished"] else ""),
        "labels": ", ".join(f"{i}: {printable(name)}" for i, name in enumerate(report["labels"]))
        or "none",
    }
    lines |= _rows_overview(report["rows"])
    if buffer is not None:
        lines |= _buffer_overview(buffer)
    for name, each in report["learners"].items():
        if each["buffer"] is not None:
            own = _buffer_overview(each["buffer"])
            lines |= {f"{name}: {title}": value for title, value in own.items()}
    width = max(12, *(1 + len(name) for name in lines))
    for name, value in lines.items():
        console.print(visible(f"{name:<{width}} {value}"))


def _rows_overview(rows: dict[str, Any]) -> dict[str, str]:
    if not rows:
        return {}
    late = labels_text(rows)
    return {"rows": printable(sum_text(rows)), **({"late labels": late} if late else {})}


def _buffer_overview(buffer: dict[str, Any]) -> dict[str, str]:
    lines = {
        "buffer": (
            f"{buffer['kind']}, {buffer['rows']:,} of {buffer['max_size']:,} rows, "
            f"{buffer['nbytes']:,} bytes"
        ),
        "sample": _sample(buffer),
    }
    if buffer["age"] is not None:
        names = ("newest", "q25", "median", "q75", "oldest")
        lines["age in rows"] = ", ".join(f"{name} {buffer['age'][name]:,}" for name in names)
        replayed = buffer["replayed"]
        lines["replayed"] = (
            f"{replayed['total']:,} times, {replayed['mean']:.1f} a row, at most "
            f"{replayed['most']:,}; {replayed['never']:,} rows never"
        )
    return lines


def _print_table(console: Console, title: str, header: Row, rows: list[Row]) -> None:
    if not console.is_terminal:
        console.print(f"\n{visible(title)}")
        for line in aligned(header, rows):
            console.print(visible(line))
        return
    table = Table(title=visible(title), title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*map(visible, row))
    console.print(table)


def _sample(buffer: dict[str, Any]) -> str:
    """Describe the rows that the buffer samples, and the chance of a new row to be stored."""
    chance = buffer["acceptance"]
    since = buffer["uniform_since"]
    return (
        f"of {buffer['seen']:,} labelled rows"
        + (f", fair from row {since:,} on" if since else "")
        + ("" if chance is None else f"; {chance:.2%} of new ones are stored")
    )


def _group_row(name: int | str, part: dict[str, Any], rows: int) -> Row:
    age = f"{part['median_age']:,.0f}"
    return (
        *(printable(name), f"{part['rows']:,}", f"{part['rows'] / rows:.1%}"),
        *(age, f"{part['replayed']:,}"),
    )


def _age_rows(buffer: dict[str, Any]) -> list[Row]:
    edges, counts = buffer["age"]["edges"], buffer["age"]["counts"]
    return [
        (f"{low:,} to {high - (high < edges[-1]):,}", f"{count:,}", f"{count / buffer['rows']:.1%}")
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]


def _replay_rows(buffer: dict[str, Any]) -> list[Row]:
    least, counts = buffer["replayed"]["at_least"], buffer["replayed"]["counts"]
    highest = max(i for i, count in enumerate(counts) if count)
    names = [
        f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}"
        for low, high in pairwise(least)
    ] + [f"{least[-1]:,} or more"]
    return [
        (name, f"{count:,}", f"{count / buffer['rows']:.1%}")
        for name, count in zip(names[: highest + 1], counts, strict=False)
    ]
