"""The section on drift: where detectors found that the stream had changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from streamreplay.reading.columns import evenly_spread
from streamreplay.reading.number_text import number
from streamreplay.reading.report.charts.chart import Section, Table
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import CurveGroup

_MOST = 40  # rows of the table for each group
_HEADER = ("position", "level", "detector", "on", "value", "actions")


def drift_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section with the findings of drift detectors."""
    title = "Did the stream change?"
    if not any(group.first.drifts for group in groups):
        watched = any(group.first.watches_drift for group in groups)
        missing = (
            "The drift detectors of the job found nothing."
            if watched
            else "The job has no drift detector. To watch for drift, add a `[[drift]]` section to "
            "the job."
        )
        return Section("drift", title, missing=[missing])
    several = len(groups) > 1
    counts = [(f"{group.title}: " if several else "") + _count(group.first) for group in groups]
    lead = f"{'; '.join(counts)}. They are marked in the first chart."
    if any(len(group.first.drifts) > _MOST for group in groups):
        lead += f" At most {_MOST} of each run are listed, evenly spread."
    return Section("drift", title, lead, figures=_table(groups))


def _table(groups: Sequence[CurveGroup]) -> Table:
    rows: list[tuple[str, ...]] = []
    for group in groups:
        drifts = group.first.drifts
        rows += [
            (group.title, *_cells(drifts[place])) for place in evenly_spread(len(drifts), _MOST)
        ]
    if len(groups) == 1:
        return Table(_HEADER, [row[1:] for row in rows])
    return Table(("run", *_HEADER), rows)


def _cells(record: dict[str, object]) -> tuple[str, ...]:
    value, actions = record.get("value"), record.get("actions")
    return (
        f"{record['position']:,}",
        *(str(record.get(field, "-")) for field in ("level", "detector", "on")),
        number(value) if isinstance(value, int | float) else "-",
        ", ".join(map(str, actions)) if isinstance(actions, list) and actions else "-",
    )


def _count(learner: LearnerCurves) -> str:
    if learner.n_drifts > len(learner.drifts):
        return f"{learner.n_drifts:,} entries, of which {len(learner.drifts):,} were read"
    if not learner.drifts:
        return "nothing found" if learner.watches_drift else "not watched"
    levels = Counter(str(each.get("level")) for each in learner.drifts)
    return ", ".join(f"{n:,} {level}{'' if n == 1 else 's'}" for level, n in sorted(levels.items()))
