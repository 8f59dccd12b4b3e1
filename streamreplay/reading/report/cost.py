"""What a run cost: the section on time and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streamreplay.reading.report.cases import Case
from streamreplay.reading.report.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.columns import Floats
from streamreplay.reading.report.maps_and_stacks import draw_stack
from streamreplay.reading.report.panels import make_panel, panels_chart
from streamreplay.reading.report.plots import rows_axis, share_axis
from streamreplay.reading.report.predictions import MOST_DRAWN, case_title
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import number, percent

__all__ = ["cost_section"]


def cost_section(cases: Sequence[Case]) -> Section:
    """Return the section on time and memory."""
    runs = {case.first.run: case for case in cases if len(case.first.timings.get("position", ()))}
    title = "What did it cost?"
    if not runs:
        return Section(
            "cost",
            title,
            missing=["There is no timings.jsonl: what the run cost is not known."],
        )
    timed = list(runs.values())
    lead = "By the clock of the machine it ran on; learners of one run share it."
    charts = [_clock_chart(timed)]
    for place, case in enumerate(timed[:MOST_DRAWN]):
        stages = _stage_chart(case, timed, place)
        charts += [] if stages is None else [stages]
    return Section("cost", title, lead, charts)


_CLOCK = (
    ("rows_per_s", "rows per second"),
    ("latency_ms.p50", "latency of a batch, median, ms"),
    ("latency_ms.p99", "latency of a batch, 99th percentile, ms"),
    ("resident_bytes", "memory, MB"),
)


def _clock_chart(cases: Sequence[Case]) -> Chart:
    named = [Case(_run_name(case), case.traces) for case in cases]
    made = [
        make_panel(title, named, _read(field), floor=True, bands=False) for field, title in _CLOCK
    ]
    return panels_chart(
        "cost",
        "Throughput, latency and memory",
        "Means over stretches of the stream, of memory the most. Horizontal: rows of the stream.",
        [panel for panel in made if panel is not None],
    )


def _read(field: str) -> Callable[[Trace], tuple[Floats, Floats] | None]:
    scale = 1e-6 if field == "resident_bytes" else 1.0

    def read(trace: Trace) -> tuple[Floats, Floats] | None:
        values = trace.timings.get(field)
        return None if values is None else (trace.timings["position"], scale * values)

    return read


def _run_name(case: Case) -> str:
    """Name a run, without the learner: they share its clock."""
    learner = case.first.learner
    return case.label if learner is None else case.label.removesuffix(f": {learner}")


def _stage_chart(case: Case, cases: Sequence[Case], place: int) -> Chart | None:
    timings = case.first.timings
    stages = [  # of several learners, their names have a point in them
        name.removeprefix("stages.").removesuffix(".share")
        for name in timings
        if name.startswith("stages.") and name.endswith(".share")
    ]
    shares = [(name, timings[f"stages.{name}.share"]) for name in stages]
    if not shares:
        shares = [(n.split(".")[1], timings[n]) for n in timings if n.startswith("share.")]
    if not shares:
        return None
    shares = [(name, np.nan_to_num(part)) for name, part in shares]
    rest = np.clip(1 - sum(part for _, part in shares), 0, None)
    parts = [*sorted(shares, key=lambda each: -float(each[1].mean())), ("other", rest)]

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        rows_axis(axes, canvas, float(timings["position"][-1]))
        draw_stack(canvas, axes, timings["position"], parts)
        share_axis(axes, whole=False)
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of the time")

    rows = []
    for name, part in parts:
        latency = timings.get(f"stages.{name}.p99_ms")
        cells = (
            percent(float(part.mean())),
            "-" if latency is None else number(float(np.nanmedian(latency))),
        )
        rows.append((name, *cells))
    said = "; ".join(f"{name} {share}" for name, share, _ in rows)
    return Chart(
        f"stages-{place}" if place else "stages",
        case_title("Where the time went", case, cases),
        "Each stage's own time, without what it waited for; other is writing and waiting.",
        f"Stacked areas of each stage's share of the time. On average: {said}.",
        draw,
        height=2.3,
        table=Table(("stage", "share of the time", "99th percentile, ms"), rows),
    )
