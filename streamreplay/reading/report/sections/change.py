"""The section on what to change in the job."""

from __future__ import annotations

from collections.abc import Sequence

from streamreplay.reading.report.advice import advice
from streamreplay.reading.report.charts.chart import Section
from streamreplay.reading.report.curves import CurveGroup

_LOOKED_AT = (
    "Nothing in the log calls for a change. Looked at: rows put aside, values that do not fit, "
    "late labels, the loss, baselines, forgetting, replay, drift, and the size of the probe."
)


def change_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section with advice, each with the figure that it follows from.

    Advice on a run's input is the same for all of its learners, and is given once.
    """
    found: dict[str, list[str]] = {}
    for group in groups:
        for text in advice(group.first):
            found.setdefault(text, []).append(group.title)
    several = len(groups) > 1
    points = [f"{', '.join(of)}: {text}" if several else text for text, of in found.items()]
    lead = "Each follows from the figure in it; whether it helps, another run tells."
    return Section(
        "change",
        "What to change",
        lead if points else "",
        missing=[] if points else [_LOOKED_AT],
        points=points,
    )
