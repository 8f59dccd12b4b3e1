"""The sections on what went into a run: its rows, its columns, its data, and the command for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamreplay.config.job import Job
from streamreplay.config.parsing.inputs import listed as listed_paths
from streamreplay.config.parsing.outside import reaches_out
from streamreplay.log.lines import JOB_FILE
from streamreplay.log.rows_text import FATES, share_text
from streamreplay.plain_text import listed, printable
from streamreplay.reading.events import ColumnsInUse
from streamreplay.reading.report.charts.chart import Section, Table
from streamreplay.reading.report.curves import CurveGroup, LearnerCurves
from streamreplay.reading.run import Run

_MOST_REASONS = 20  # of each run
_NO_ROWS = "{}: what became of each row is not known, the log has no record of kind rows."
_NO_COLUMNS = "{}: what its columns were used for is not known, the run did not note it."
_NOT_KNOWN = "not known"


def rows_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on what became of the rows, and what the columns were used for."""
    runs = _runs(groups)
    missing: list[str] = []
    tables: list[tuple[str, Table]] = []
    with_rows = {name: first for name, first in runs.items() if first.rows}
    if with_rows:
        tables.append(("What became of the rows.", _fates(with_rows, alone=len(runs) == 1)))
    for name, first in runs.items():
        of = f"{name}: " if len(runs) > 1 else ""
        tables += [(f"{of}{caption}", table) for caption, table in _row_tables(first.rows)]
        columns = first.run.events.columns
        if columns is not None:
            tables.append((f"{of}What each column was used for.", _columns_table(columns)))
        missing += [] if first.rows else [_NO_ROWS.format(name)]
        missing += [] if columns is not None else [_NO_COLUMNS.format(name)]
    return Section("rows", "Which rows and columns were used?", missing=missing, tables=tables)


def _runs(groups: Sequence[CurveGroup]) -> dict[str, LearnerCurves]:
    """Return the first learner of each run, by the run's folder."""
    learners = [learner for group in groups for learner in group]
    found: dict[Run, LearnerCurves] = {}
    for learner in learners:
        found.setdefault(learner.run, learner)
    return {printable(str(run.folder)): learner for run, learner in found.items()}


def _fates(runs: Mapping[str, LearnerCurves], *, alone: bool) -> Table:
    fates = {"rows_in": "rows that came", **FATES}
    rows = [
        (name, *(_fate(first.rows, key) for first in runs.values()))
        for key, name in fates.items()
        if any(first.rows.get(key) for first in runs.values())
    ]
    return Table(("", *(["rows"] if alone else runs)), rows)


def _fate(rows: Mapping[str, Any], key: str) -> str:
    if key not in rows:
        return "-"
    share = rows[key] / max(rows["rows_in"], 1)
    return f"{rows[key]:,}" + ("" if key == "rows_in" else f" ({share_text(share)})")


def _row_tables(rows: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """Yield why rows were put aside, and which columns had values that did not fit."""
    reasons = rows.get("put_aside_by_reason") or {}
    if reasons:
        most = sorted(reasons.items(), key=lambda each: -each[1])
        cells = [(printable(reason), f"{n:,}") for reason, n in most[:_MOST_REASONS]]
        if len(most) > _MOST_REASONS:
            rest = most[_MOST_REASONS:]
            cells.append((f"{len(rest)} other reasons", f"{sum(n for _, n in rest):,}"))
        caption = f"Why rows were put aside; the first was in line {rows['first_line']:,}."
        yield caption, Table(("reason", "rows"), cells)
    misfits = rows.get("misfits") or {}
    if misfits:
        cells = [
            (printable(name), f"{n:,}")
            for name, n in sorted(misfits.items(), key=lambda each: -each[1])
        ]
        caption = "Values that did not fit the kind of their column, and counted as missing."
        yield caption, Table(("column", "values"), cells)


def _columns_table(columns: ColumnsInUse) -> Table:
    rows = [(what, printable(name)) for what, name in columns.goal.items()]
    rows += [(role, printable(name)) for role, name in columns.roles.items()]
    rows += [
        (f"{kind} features ({len(names):,})", ", ".join(map(printable, names)))
        for kind, names in columns.features.items()
        if names
    ]
    reasons: dict[str, list[str]] = {}
    for name, why in columns.left_out.items():
        reasons.setdefault(why, []).append(printable(name))
    rows += [(f"left out: {why} ({len(some):,})", ", ".join(some)) for why, some in reasons.items()]
    return Table(("use", "columns"), rows, text=True)


def origin_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on the data, the seed, the versions, and how to run it again."""
    runs = _runs(groups)
    facts = {name: _facts(first) for name, first in runs.items()}
    keys = dict.fromkeys(key for each in facts.values() for key in each)
    rows = [(key, *(each.get(key, "-") for each in facts.values())) for key in keys]
    return Section(
        "origin",
        "How was this made?",
        missing=[
            f"{name}: {note}"
            for name, first in runs.items()
            if first.run.job is not None
            for note in _notes(first.run.job)
        ],
        figures=Table(("", *(["this run"] if len(runs) == 1 else runs)), rows, text=True),
        commands=[
            (f"To run {name} again:", rerun_command(first.run)) for name, first in runs.items()
        ],
    )


def _facts(first: LearnerCurves) -> dict[str, str]:
    """Return what a run was made from and when, in the order of the table."""
    job, events = first.run.job, first.run.events
    data, predicted = _NOT_KNOWN, _NOT_KNOWN
    if job is not None:
        data = f"{listed([*map(printable, listed_paths(job.source.path))])} ({job.source.format})"
        predicted = _predicted(job)
    if events.columns is not None and events.columns.goal:
        predicted = ", ".join(
            f"{what} {printable(name)}" for what, name in events.columns.goal.items()
        )
    seed = _NOT_KNOWN if first.seed is None else str(first.seed)
    return {
        "data": data,
        "predicted": predicted,
        "rows of the stream": f"{first.prequential['position']:,}",
        "seed": seed,
        "begun": f"{events.begun} UTC" if events.begun else _NOT_KNOWN,
        "last event": f"{events.last} UTC" if events.last else _NOT_KNOWN,
        "state": first.run.status.state,
        "made with": "; ".join(events.versions) or _NOT_KNOWN,
    }


def _predicted(job: Job) -> str:
    source = job.source
    return next((str(each) for each in (source.label, source.target) if each), _NOT_KNOWN)


def _notes(job: Job) -> Iterator[str]:
    """Yield what a command needs that is not in the job."""
    if listed_paths(job.source.path)[-1] == "-":
        yield "its rows came from standard input: give the command the same rows there."
    if reaches_out(job):
        yield f"its job reaches out of the folder: {'; '.join(reaches_out(job))}."


def rerun_command(run: Run) -> str:
    """Return the command that runs a run's job again, into a folder next to it.

    A shell reads each path as it is, whatever characters it has.
    """
    job, out = run.folder / JOB_FILE, run.folder.with_name(f"{run.folder.name or 'run'}-again")
    return f"streamreplay run {shlex.quote(str(job))} --out {shlex.quote(str(out))}"
