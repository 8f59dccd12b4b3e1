"""The section on cost: time and memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamreplay.reading.columns import Columns, Floats
from streamreplay.reading.number_text import number, percent
from streamreplay.reading.report.charts.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.charts.panels import make_panel, panels_chart
from streamreplay.reading.report.charts.stacks import NamedShare, draw_stack
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import CurveGroup, ReadCurve
from streamreplay.reading.report.sections.drawn_group import DrawnGroup, drawn_groups
from streamreplay.reading.seed_groups import SeedGroup

_TIMINGS = (
    ("rows_per_s", "rows per second"),
    ("latency_ms.p50", "latency of a batch, median, ms"),
    ("latency_ms.p99", "latency of a batch, 99th percentile, ms"),
    ("resident_bytes", "memory, MB"),
)


def cost_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on time and memory, with charts once for each run."""
    title = "What did it cost?"
    of_each_run = {group.first.run: group for group in groups if group.first.run.timings}
    if not of_each_run:
        missing = ["The cost is not known: the run has no timings.jsonl."]
        return Section("cost", title, missing=missing)
    timed = list(of_each_run.values())
    stages = [_stage_chart(drawn) for drawn in drawn_groups(timed)]
    return Section(
        "cost",
        title,
        "Measured on the machine of the run. Learners of one run share these figures.",
        [_timings_chart(timed), *(chart for chart in stages if chart is not None)],
    )


def _timings_chart(groups: Sequence[CurveGroup]) -> Chart:
    named = [SeedGroup(_run_name(group), group.learners) for group in groups]
    panels = [
        make_panel(title, named, _read_timing(field), floor=True, bands=False)
        for field, title in _TIMINGS
    ]
    return panels_chart(
        "cost",
        "Throughput, latency and memory",
        "Means over parts of the stream; for memory, the maximum. Horizontal axis: rows of the "
        "stream.",
        [panel for panel in panels if panel is not None],
    )


def _read_timing(field: str) -> ReadCurve:
    scale = 1e-6 if field == "resident_bytes" else 1.0

    def read(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
        timings = learner.run.timings
        return (timings["position"], scale * timings[field]) if field in timings else None

    return read


def _run_name(group: CurveGroup) -> str:
    """Return a group's name without the learner, since learners share the timings of a run."""
    return group.name.removesuffix(f": {group.first.learner}")


def _stage_chart(drawn: DrawnGroup) -> Chart | None:
    timings = drawn.learner.run.timings
    shares = _stage_shares(timings)
    if not shares:
        return None
    rest = np.clip(1 - sum(share for _, share in shares), 0, None)
    parts = [*sorted(shares, key=lambda each: -float(each[1].mean())), ("other", rest)]

    def draw(canvas: Canvas) -> None:
        draw_stack(canvas, timings["position"], parts, "share of the time")

    rows = [(name, percent(float(share.mean())), _p99_text(timings, name)) for name, share in parts]
    means = "; ".join(f"{name} {share}" for name, share, _ in rows)
    return Chart(
        drawn.name("stages"),
        drawn.title("Where the time went"),
        "Each stage's own time, without the time it waited for other stages. Other: writing and "
        "waiting.",
        f"Stacked areas of each stage's share of the time. On average: {means}.",
        draw,
        height=2.3,
        table=Table(("stage", "share of the time", "99th percentile, ms"), rows),
    )


def _stage_shares(timings: Columns) -> list[NamedShare]:
    """Return the share of the time of each stage; in old logs, of the source and all stages."""
    stages = [
        (name.removeprefix("stages.").removesuffix(".share"), values)
        for name, values in timings.items()
        if name.startswith("stages.") and name.endswith(".share")
    ]
    parts = [
        (name.split(".")[1], values) for name, values in timings.items() if name[:6] == "share."
    ]
    return [(name, np.nan_to_num(values)) for name, values in stages or parts]


def _p99_text(timings: Columns, stage: str) -> str:
    latency = timings.get(f"stages.{stage}.p99_ms")
    return "-" if latency is None else number(float(np.nanmedian(latency)))
