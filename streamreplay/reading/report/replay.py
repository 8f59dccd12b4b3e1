"""What was stored and replayed: the section on memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamreplay.reading.report.cases import Case, MeanCurve
from streamreplay.reading.report.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.columns import Floats, GroupColumns
from streamreplay.reading.report.maps_and_stacks import draw_stack
from streamreplay.reading.report.panels import Panel, panels_chart
from streamreplay.reading.report.plots import (
    PlotLine,
    case_lines,
    draw_lines,
    legend,
    lines_table,
    rows_axis,
    share_axis,
)
from streamreplay.reading.report.predictions import MOST_DRAWN, case_title
from streamreplay.reading.report.trace import BufferTrace, Trace
from streamreplay.reading.scores import number, percent

__all__ = ["replay_section"]

_PARTS = 8  # of a stack, and the others


def replay_section(cases: Sequence[Case]) -> Section:
    """Return the section on the buffer and on rehearsal."""
    missing, charts = [], []
    if any(case.first.last.get("replayed") for case in cases):
        charts.append(_share_chart(cases))
    else:
        missing.append("No row of memory was learned: nothing was replayed.")
    for place, case in enumerate(cases[:MOST_DRAWN]):
        buffer = case.first.buffer
        if buffer is not None and buffer.by_class is not None:
            charts.append(_stack_chart(buffer, buffer.by_class, case, cases, place))
            charts += [c for c in (_count_chart(buffer, case, cases, place),) if c is not None]
    if charts and all(case.first.buffer is None for case in cases):
        missing.append(
            "What the buffer held over time is not in the log. `streamreplay inspect RUN` shows "
            "what it holds at the last checkpoint."
        )
    lead = (
        "With each batch that came the model also learned from stored rows: what they were, and "
        "how many."
    )
    return Section("replay", "What was replayed?", lead if charts else "", charts, missing)


def _replay_share(trace: Trace) -> tuple[Floats, Floats] | None:
    """Return memory rows learned for each row of the stream, between records."""
    replayed, position = trace.scores.get("replayed"), trace.scores["position"]
    if replayed is None:
        return None
    rows = np.diff(position, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return position, np.where(rows > 0, np.diff(replayed, prepend=0.0) / rows, np.nan)


def _share_chart(cases: Sequence[Case]) -> Chart:
    lines = case_lines(cases, _replay_share, 1.6)
    if len(cases) == 1:
        lines = [PlotLine("memory rows per row that came", lines[0].curve, "series1")]

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        draw_lines(canvas, axes, lines)
        axes.set_ylim(0, 1.08 * max(1e-9, *(float(line.curve.y.max()) for line in lines)))
        axes.set_ylabel("memory rows\nper row that came")
        rows_axis(axes, canvas, max(float(line.curve.x[-1]) for line in lines))
        if len(cases) > 1:
            legend(canvas, axes)

    totals = "; ".join(
        f"{case.label}: {case.first.last.get('replayed', 0):,} memory rows in all" for case in cases
    )
    return Chart(
        "replay-share",
        "Replay share",
        f"Rows of memory learned for each row of the stream, over all passes. {totals}.",
        f"Line chart of the replay share over the stream. {totals}.",
        draw,
        height=2.1,
        narrow_height=2.3,
        table=lines_table(lines, number),
    )


def _stack_chart(
    buffer: BufferTrace, groups: GroupColumns, case: Case, cases: Sequence[Case], place: int
) -> Chart:
    rows = np.nan_to_num(groups.fields["rows"])
    total = np.maximum(rows.sum(axis=1), 1.0)
    most = np.argsort(-rows.mean(axis=0), kind="stable")[: _PARTS - (len(groups.ids) > _PARTS)]
    kept = sorted(int(i) for i in most)
    parts = [(groups.ids[i], rows[:, i] / total) for i in kept]
    if len(kept) < len(groups.ids):
        others = [i for i in range(len(groups.ids)) if i not in set(kept)]
        parts.append((f"{len(others)} others", rows[:, others].sum(axis=1) / total))

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        rows_axis(axes, canvas, float(groups.position[-1]))
        draw_stack(canvas, axes, groups.position, parts)
        share_axis(axes, whole=False)
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of the rows stored")

    last = buffer.last
    end = "; ".join(f"{name} {percent(float(part[-1]))}" for name, part in parts)
    size_now = f"{last.get('rows', 0):,} of {last.get('max_size', 0):,} rows at the end"
    return Chart(
        f"buffer-{place}" if place else "buffer",
        case_title("What the buffer held, by class", case, cases),
        f"{size_now}, a sample of {last.get('seen', 0):,} labelled rows.",
        f"Stacked areas of the buffer's classes over the stream. At the end: {end}.",
        draw,
        height=2.7,
        table=_buffer_table(groups),
    )


def _buffer_table(groups: GroupColumns) -> Table:
    order = np.argsort(-np.nan_to_num(groups.fields["rows"][-1]), kind="stable")[:40]
    fields = [
        (f, t)
        for f, t in (("rows", "rows"), ("median_age", "median age"), ("replayed", "replayed"))
        if f in groups.fields
    ]
    rows = []
    for i in order:
        values = [groups.fields[field][-1, i] for field, _ in fields]
        cells = [f"{value:,.0f}" if np.isfinite(value) else "-" for value in values]
        rows.append((groups.ids[i], *cells))
    return Table(("class", *(title for _, title in fields)), rows)


def _count_chart(
    buffer: BufferTrace, case: Case, cases: Sequence[Case], place: int
) -> Chart | None:
    """Draw how old stored rows are, and how often they were replayed."""
    x, panels = buffer.columns["position"], []
    for title, name, low, high in (
        ("median age of stored rows, in rows", "ages.median", "ages.q25", "ages.q75"),
        ("times a stored row was replayed, mean", "replays.mean", None, None),
    ):
        if name in buffer.columns:
            band = (buffer.columns.get(each) if each else None for each in (low, high))
            line = PlotLine(title, MeanCurve(x, buffer.columns[name], *band), "series1")
            panels.append(Panel(title, [line], floor=True))
    if not panels:
        return None
    return panels_chart(
        f"stored-rows-{place}" if place else "stored-rows",
        case_title("How old stored rows are, and how often they were replayed", case, cases),
        "Band: the middle half of all ages. Horizontal: rows of the stream.",
        panels,
    )
