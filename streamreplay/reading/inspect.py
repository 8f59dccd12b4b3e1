"""What is in a run folder or a checkpoint, without opening its stream."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from streamreplay.buffers import describe_state
from streamreplay.checkpoint import latest_checkpoint, load_checkpoint
from streamreplay.errors import RunFolderError
from streamreplay.log.lines import NumberedLine, number_lines, parse_metric
from streamreplay.log.records import class_names
from streamreplay.log.score_table import compare, keep_last
from streamreplay.plain_text import Row, aligned, printable
from streamreplay.state import State

__all__ = ["inspect_path", "print_report"]

_CHECKPOINT_FILE = "manifest.json"


def inspect_path(path: Path) -> dict[str, Any]:
    """Describe a run folder by its newest whole checkpoint, or one checkpoint.

    Returns
    -------
    dict
        What JSON can hold; ``position``, ``labels``, ``buffer``, ``parameters``, ``scores``, ...
        With several learners the last three are in ``learners``, by name, but for a buffer that all
        share.

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
    scores, position = _last_scores(path), manifest["position"]
    branches = pipeline.get("learners", {}).get("branches", {})
    return {
        "path": str(path),
        "checkpoint": folder.name,
        "skipped": list(skipped),
        "position": position,
        "finished": bool(state.get("finished", False)),
        "library": manifest["library"],
        "labels": names,
        **_learner(pipeline, names, position, scores.get("", {})),
        "learners": {
            name: _learner(stages, names, position, scores.get(name, {}))
            for name, stages in branches.items()
        },
        "bytes": {name: file["bytes"] for name, file in manifest["files"].items()},
    }


def _learner(
    stages: State, names: list[Any], position: int, scores: dict[str, Any]
) -> dict[str, Any]:
    """Describe one learner and what is its own."""
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


def _last_scores(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the last record of each kind of score, by learner, as of `keep_last`."""
    newest: dict[tuple[bytes, bool], NumberedLine] = {}
    for place in number_lines(path, "metrics", missing_ok=True):
        line = place[2]
        start, _, _ = line.partition(b',"position":')  # learner, kind: not parsed for each
        newest[start, b'"sample":"probe"' in line] = place
    last: dict[str, dict[str, dict[str, Any]]] = {}
    for file, number, line in newest.values():
        keep_last(last, parse_metric(line, file, number))
    return last


def print_report(report: dict[str, Any]) -> None:
    """Write what `inspect_path` found for a person: framed on a terminal, plain elsewhere."""
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    for reason in report["skipped"]:
        console.print(f"damaged: {reason}")
    _print_facts(console, report)
    for title, header, rows in _all_tables(report):
        _print_table(console, title, header, rows)


def _all_tables(report: dict[str, Any]) -> Iterator[tuple[str, Row, list[Row]]]:
    yield from _tables(report)
    learners = report["learners"]
    if any(each["scores"] for each in learners.values()):
        yield "Learners", *compare({name: each["scores"] for name, each in learners.items()})
    for name, each in learners.items():
        for title, header, rows in _tables(each):
            yield f"{name}: {title[0].lower()}{title[1:]}", header, rows


def _tables(report: dict[str, Any]) -> Iterator[tuple[str, Row, list[Row]]]:
    buffer = report["buffer"]
    if buffer is not None and buffer["rows"]:
        for by in ("class", "task", "experience"):
            groups = buffer[f"by_{by}"]
            if by == "class" or len(groups) > 1:
                yield (
                    f"Buffer by {by}",
                    (by, "rows", "share", "median age", "replayed"),
                    [_group_row(name, part, buffer["rows"]) for name, part in groups.items()],
                )
        yield "Buffer by age", ("age in rows", "rows", "share"), _age_rows(buffer)
        yield "Buffer by replays", ("times replayed", "rows", "share"), _replay_rows(buffer)
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
        if "sample" in record:
            scores.append(("sample", str(record["sample"])))
        yield f"Last {kind} record", ("field", "value"), scores


def _print_facts(console: Console, report: dict[str, Any]) -> None:
    buffer, size = report["buffer"], sum(report["bytes"].values())
    facts = {
        "run": report["path"],
        "checkpoint": f"{report['checkpoint']}, {size:,} bytes, by version {report['library']}",
        "position": f"{report['position']:,} rows{', finished' if report['finished'] else ''}",
        "labels": ", ".join(f"{i}: {printable(name)}" for i, name in enumerate(report["labels"]))
        or "none",
    }
    if buffer is not None:
        facts |= _buffer_facts(buffer)
    for name, each in report["learners"].items():
        if each["buffer"] is not None:
            own = _buffer_facts(each["buffer"])
            facts |= {f"{name}: {fact}": value for fact, value in own.items()}
    width = max(12, *(1 + len(name) for name in facts))
    for name, value in facts.items():
        console.print(f"{name:<{width}} {value}")


def _buffer_facts(buffer: dict[str, Any]) -> dict[str, str]:
    facts = {
        "buffer": (
            f"{buffer['kind']}, {buffer['rows']:,} of {buffer['max_size']:,} rows, "
            f"{buffer['nbytes']:,} bytes"
        ),
        "sample": _sample(buffer),
    }
    if buffer["age"] is not None:
        names = ("newest", "q25", "median", "q75", "oldest")
        facts["age in rows"] = ", ".join(f"{name} {buffer['age'][name]:,}" for name in names)
        replayed = buffer["replayed"]
        facts["replayed"] = (
            f"{replayed['total']:,} times, {replayed['mean']:.1f} a row, at most "
            f"{replayed['most']:,}; {replayed['never']:,} rows never"
        )
    return facts


def _print_table(console: Console, title: str, header: Row, rows: list[Row]) -> None:
    if not console.is_terminal:
        console.print(f"\n{title}")
        for line in aligned(header, rows):
            console.print(line)
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _sample(buffer: dict[str, Any]) -> str:
    """Say which rows had a chance to be stored, and how large it is now."""
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


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
