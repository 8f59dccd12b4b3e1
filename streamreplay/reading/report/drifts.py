"""Where the stream changed: the section on drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from streamreplay.reading.report.cases import Case
from streamreplay.reading.report.chart import Section, Table
from streamreplay.reading.report.columns import pick
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import number

__all__ = ["drift_section"]

_MOST = 40  # of a table


def drift_section(cases: Sequence[Case]) -> Section:
    """Return the section with what detectors found."""
    title = "Did the stream change?"
    if not any(case.first.drifts for case in cases):
        watched = any(case.first.job.get("drift") for case in cases)
        missing = (
            "The detectors of the job found nothing."
            if watched
            else "Nobody watched for drift: give the job a `[[drift]]` section."
        )
        return Section("drift", title, missing=[missing])
    several = len(cases) > 1
    rows: list[tuple[str, ...]] = []
    for case in cases:
        found = case.first.drifts
        for place in pick(len(found), _MOST):
            cells = _row(found[place])
            rows.append((case.label, *cells) if several else cells)
    header = ("position", "level", "detector", "on", "value", "carried out")
    count = "; ".join(_counted(case.first, f"{case.label}: " if several else "") for case in cases)
    shown = len(rows) < sum(len(case.first.drifts) for case in cases)
    return Section(
        "drift",
        title,
        f"{count}. They are marked in the first chart."
        + (f" At most {_MOST} of each run are listed, evenly chosen." if shown else ""),
        facts=Table(("run", *header) if several else header, rows),
    )


def _row(record: dict[str, object]) -> tuple[str, ...]:
    value, actions = record.get("value"), record.get("actions")
    return (
        f"{record['position']:,}",
        str(record.get("level", "-")),
        str(record.get("detector", "-")),
        str(record.get("on", "-")),
        number(value) if isinstance(value, int | float) else "-",
        ", ".join(map(str, actions)) if isinstance(actions, list) and actions else "-",
    )


def _counted(trace: Trace, prefix: str) -> str:
    if trace.n_drifts > len(trace.drifts):
        return f"{prefix}{trace.n_drifts:,} entries, of which {len(trace.drifts):,} were read"
    levels = Counter(str(each.get("level")) for each in trace.drifts)
    told = [f"{n:,} {level}{'' if n == 1 else 's'}" for level, n in sorted(levels.items())]
    return prefix + (", ".join(told) or _nothing(trace))


def _nothing(trace: Trace) -> str:
    return "nothing found" if trace.job.get("drift") else "not watched"
