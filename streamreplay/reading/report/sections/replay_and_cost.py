"""The sections on replay (which rows were stored and learned again) and on time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streamreplay.reading.columns import Columns, Floats, GroupColumns
from streamreplay.reading.number_text import number, percent
from streamreplay.reading.report.charts.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.charts.lines import (
    Panel,
    PlotLine,
    draw_lines,
    group_lines,
    last_row,
    lines_table,
    make_panel,
    panels_chart,
)
from streamreplay.reading.report.charts.maps import NamedShare, draw_stack
from streamreplay.reading.report.curves import (
    BufferCurves,
    CurveGroup,
    DrawnGroup,
    LearnerCurves,
    MeanCurve,
    ReadCurve,
    drawn_groups,
)
from streamreplay.reading.seed_groups import SeedGroup

_LARGEST = 8  # classes with a band of their own
_MOST_ROWS = 40  # of the table

_TIMINGS = (
    ("rows_per_s", "rows per second"),
    ("latency_ms.p50", "latency of a batch, median, ms"),
    ("latency_ms.p99", "latency of a batch, 99th percentile, ms"),
    ("resident_bytes", "memory, MB"),
)


def replay_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on the buffer and on rehearsal."""
    missing, charts = [], []
    if any(group.first.prequential.get("replayed") for group in groups):
        charts.append(_share_chart(groups))
    else:
        missing.append("Nothing was replayed: no memory row was learned.")
    for drawn in drawn_groups(groups):
        charts += _buffer_charts(drawn)
    if charts and all(group.first.buffer is None for group in groups):
        missing.append(
            "The log does not record what the buffer held. `streamreplay inspect RUN` shows its "
            "contents at the last checkpoint."
        )
    lead = (
        "With each batch of the stream the model also learned from stored rows. The charts show "
        "how many, and which."
    )
    return Section("replay", "What was replayed?", lead if charts else "", charts, missing)


def _replay_share(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
    """Return the memory rows learned for each row of the stream, between records."""
    replayed, position = learner.scores.get("replayed"), learner.scores["position"]
    if replayed is None:
        return None
    rows = np.diff(position, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return position, np.where(rows > 0, np.diff(replayed, prepend=0.0) / rows, np.nan)


def _share_chart(groups: Sequence[CurveGroup]) -> Chart:
    lines = group_lines(groups, _replay_share, 1.6)
    if len(groups) == 1:
        lines = [PlotLine("memory rows per row that came", lines[0].curve, "series1")]

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        draw_lines(canvas, axes, lines)
        axes.set_ylim(0, 1.08 * max(1e-9, *(float(line.curve.y.max()) for line in lines)))
        axes.set_ylabel("memory rows\nper row that came")
        canvas.rows_axis(axes, last_row(lines))
        if len(groups) > 1:
            canvas.legend(axes)

    totals = "; ".join(
        f"{group.title}: {group.first.prequential.get('replayed', 0):,} memory rows in all"
        for group in groups
    )
    return Chart(
        "replay-share",
        "Replay share",
        f"Memory rows learned for each row of the stream, over all passes. {totals}.",
        f"Line chart of the replay share over the stream. {totals}.",
        draw,
        height=2.1,
        narrow_height=2.3,
        table=lines_table(lines, number),
    )


def _buffer_charts(drawn: DrawnGroup) -> Iterator[Chart]:
    buffer = drawn.learner.buffer
    if buffer is not None and buffer.by_class is not None:
        yield _contents_chart(drawn, buffer, buffer.by_class)
        yield from _age_chart(drawn, buffer)


def _contents_chart(drawn: DrawnGroup, buffer: BufferCurves, classes: GroupColumns) -> Chart:
    shares = _class_shares(classes)
    last = buffer.last
    end = "; ".join(f"{name} {percent(float(share[-1]))}" for name, share in shares)
    filled = f"{last.get('rows', 0):,} of {last.get('max_size', 0):,} rows at the end"
    return Chart(
        drawn.name("buffer"),
        drawn.title("What the buffer held, by class"),
        f"{filled}, a sample of {last.get('seen', 0):,} labelled rows.",
        f"Stacked areas of the buffer's classes over the stream. At the end: {end}.",
        lambda canvas: draw_stack(canvas, classes.position, shares, "share of the rows stored"),
        height=2.7,
        table=_class_table(classes),
    )


def _class_shares(classes: GroupColumns) -> list[NamedShare]:
    """Return the share of the largest classes in the buffer, and of all others together."""
    rows = np.nan_to_num(classes.fields["rows"])
    total = np.maximum(rows.sum(axis=1), 1.0)
    n = _LARGEST - (len(classes.ids) > _LARGEST)
    largest = sorted(np.argsort(-rows.mean(axis=0), kind="stable")[:n].tolist())
    shares = [(classes.ids[i], rows[:, i] / total) for i in largest]
    others = [i for i in range(len(classes.ids)) if i not in {*largest}]
    if others:
        shares.append((f"{len(others)} others", rows[:, others].sum(axis=1) / total))
    return shares


def _class_table(classes: GroupColumns) -> Table:
    order = np.argsort(-np.nan_to_num(classes.fields["rows"][-1]), kind="stable")[:_MOST_ROWS]
    fields = [field for field in ("rows", "median_age", "replayed") if field in classes.fields]
    rows = []
    for i in order:
        values = [classes.fields[field][-1, i] for field in fields]
        cells = [f"{value:,.0f}" if np.isfinite(value) else "-" for value in values]
        rows.append((classes.ids[i], *cells))
    return Table(("class", *(field.replace("_", " ") for field in fields)), rows)


def _age_chart(drawn: DrawnGroup, buffer: BufferCurves) -> Iterator[Chart]:
    """Return a chart of the ages of stored rows, and of how often they were replayed."""
    columns, panels = buffer.columns, []
    for title, name, low, high in (
        ("median age of stored rows, in rows", "ages.median", "ages.q25", "ages.q75"),
        ("times a stored row was replayed, mean", "replays.mean", "", ""),
    ):
        if name in columns:
            band = columns.get(low), columns.get(high)
            line = PlotLine(title, MeanCurve(columns["position"], columns[name], *band), "series1")
            panels.append(Panel(title, [line], floor=True))
    return panels_chart(
        drawn.name("stored-rows"),
        drawn.title("Age of stored rows, and how often they were replayed"),
        "Band: the middle half of the ages. Horizontal axis: rows of the stream.",
        panels,
    )


def cost_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on time and memory, with charts once for each run."""
    title = "What did it cost?"
    of_each_run = {group.first.run: group for group in groups if group.first.run.timings}
    if not of_each_run:
        missing = ["The cost is not known: the run has no timings.jsonl."]
        return Section("cost", title, missing=missing)
    timed = list(of_each_run.values())
    stages = [chart for drawn in drawn_groups(timed) for chart in _stage_chart(drawn)]
    return Section(
        "cost",
        title,
        "Measured on the machine of the run. Learners of one run share these figures.",
        [*_timings_chart(timed), *stages],
    )


def _timings_chart(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
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
        panels,
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


def _stage_chart(drawn: DrawnGroup) -> Iterator[Chart]:
    timings = drawn.learner.run.timings
    shares = _stage_shares(timings)
    if not shares:
        return
    rest = np.clip(1 - sum(share for _, share in shares), 0, None)
    parts = [*sorted(shares, key=lambda each: -float(each[1].mean())), ("other", rest)]
    rows = [(name, percent(float(share.mean())), _p99_text(timings, name)) for name, share in parts]
    means = "; ".join(f"{name} {share}" for name, share, _ in rows)
    yield Chart(
        drawn.name("stages"),
        drawn.title("Where the time went"),
        "Each stage's own time, without the time it waited for other stages. Other: writing and "
        "waiting.",
        f"Stacked areas of each stage's share of the time. On average: {means}.",
        lambda canvas: draw_stack(canvas, timings["position"], parts, "share of the time"),
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
