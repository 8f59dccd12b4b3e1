"""Line charts along the stream: large ones, and small ones side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreplay.reading.columns import Floats, evenly_spread
from streamreplay.reading.number_text import compact, number
from streamreplay.reading.report.charts.chart import (
    DASHES,
    MARKERS,
    SERIES,
    Canvas,
    Chart,
    Table,
    share_axis,
    shorten,
)
from streamreplay.reading.report.curves import (
    CurveGroup,
    LearnerCurves,
    MeanCurve,
    ReadCurve,
    mean_curve,
)

MOST_MARKS = 40
"""Boundaries or drifts that are drawn as lines across a chart; more are not drawn."""


@dataclass(frozen=True)
class PlotLine:
    """A line of a chart.

    Attributes
    ----------
    label : str
    curve : MeanCurve
    colour : str
        A key of `Ink`.
    dash : int
        Index into `DASHES`.
    width : float
    marker : int or None
        Index into `MARKERS`.
    """

    label: str
    curve: MeanCurve
    colour: str
    dash: int = 0
    width: float = 1.6
    marker: int | None = None

    @property
    def end(self) -> float:
        """The last value."""
        return float(self.curve.y[-1])


def group_lines(groups: Sequence[CurveGroup], read: ReadCurve, width: float) -> list[PlotLine]:
    """Return a line for each group that has the curve; colour, dash and marker tell them apart."""
    return [
        PlotLine(group.title, line, f"series{place % SERIES + 1}", place, width, place)
        for place, group in enumerate(groups)
        if (line := mean_curve(group, read)) is not None
    ]


def draw_lines(canvas: Canvas, axes: Any, lines: Sequence[PlotLine]) -> None:
    """Draw lines along the stream, with bands for the intervals over seeds."""
    for place, line in enumerate(lines):
        curve, colour = line.curve, canvas.ink[line.colour]
        every = max(1, len(curve.x) // 8)
        marker = line.marker if len(curve.x) > 1 else line.marker or 0  # a point alone has no line
        axes.plot(
            curve.x,
            curve.y,
            color=colour,
            linestyle=DASHES[line.dash % len(DASHES)],
            linewidth=line.width,
            marker=None if marker is None else MARKERS[marker % len(MARKERS)],
            clip_on=False,
            markevery=(min(place * every // 5, len(curve.x) - 1), every),
            label=shorten(line.label, 48),
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def last_row(lines: Sequence[PlotLine]) -> float:
    """Return the row of the stream at which the longest line ends."""
    return max(float(line.curve.x[-1]) for line in lines)


def scores_chart(
    head: tuple[str, str, str, str],
    lines: Sequence[PlotLine],
    learner: LearnerCurves,
    label: str,
    *,
    drifts: bool = True,
) -> Chart:
    """Return a chart of a learner's score, with the events of its stream.

    `head` is the chart's name, title, caption and description.
    """
    score = learner.score

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        _mark_stream(canvas, axes, learner, drifts=drifts)
        draw_lines(canvas, axes, lines)
        if score.share:
            share_axis(axes)
        else:
            axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        canvas.rows_axis(axes, last_row(lines))
        canvas.legend(axes)

    name, title, caption, alt = head
    ends = "; ".join(f"{line.label} {score.write(line.end)}" for line in lines)
    table = lines_table(lines, score.write)
    return Chart(name, title, caption, f"{alt} At the end: {ends}.", draw, 3.1, 3.3, table)


def _mark_stream(canvas: Canvas, axes: Any, learner: LearnerCurves, *, drifts: bool) -> None:
    """Mark the ends of experiences, and the drifts that were detected."""
    ends = learner.boundaries
    if len(ends) <= MOST_MARKS:
        for place, at in enumerate(ends):
            name = "end of an experience" if place == 0 else None
            axes.axvline(at, color=canvas.ink["soft"], linewidth=0.8, alpha=0.55, label=name)
    if drifts:
        for level, colour, marker, height in (
            ("warning", "series5", "^", 0.0),
            ("drift", "series2", "v", 1.0),
        ):
            found = [each["position"] for each in learner.drifts if each.get("level") == level]
            if found:
                last = learner.prequential["position"]
                style = {"color": canvas.ink[colour], "marker": marker, "label": level}
                _mark_level(axes, _spread(np.array(found, float), last), height, style)


def _spread(positions: Floats, last: float) -> Floats:
    """Return positions, or of many that stand close together, one for each hundredth."""
    if len(positions) <= MOST_MARKS:
        return positions
    return (np.unique(np.floor(100 * positions / last)) + 0.5) * last / 100


def _mark_level(axes: Any, positions: Any, height: float, style: dict[str, Any]) -> None:
    """Draw a triangle at each drift or warning, and a line through the chart at each drift."""
    axes.plot(
        positions,
        np.full(len(positions), height),
        transform=axes.get_xaxis_transform(),
        markersize=5.5,
        linestyle="none",
        clip_on=False,
        **style,
    )
    if style["label"] == "drift" and len(positions) <= MOST_MARKS:
        for position in positions:
            axes.axvline(position, color=style["color"], linewidth=1, linestyle=(0, (3, 2)))


def lines_table(lines: Sequence[PlotLine], write: Callable[[float], str], most: int = 20) -> Table:
    """Return the values of lines at some rows of the stream, including the last row."""
    longest = max(lines, key=lambda line: len(line.curve.x)).curve.x

    def cell(curve: MeanCurve, x: float) -> str:
        if not curve.x[0] <= x <= curve.x[-1]:
            return "-"
        return write(float(curve.y[np.searchsorted(curve.x, x, side="right") - 1]))

    rows = [
        (f"{x:,.0f}", *(cell(line.curve, x) for line in lines))
        for x in longest[evenly_spread(len(longest), most)]
    ]
    return Table(("row", *(line.label for line in lines)), rows)


@dataclass(frozen=True)
class Panel:
    """One of several small charts.

    Attributes
    ----------
    title : str
    lines : list of PlotLine
        One for each group that has the score.
    share : bool
        Whether values are from 0 to 1.
    floor : bool
        Whether the axis begins at 0.
    """

    title: str
    lines: list[PlotLine]
    share: bool = False
    floor: bool = False


def make_panel(
    title: str,
    groups: Sequence[CurveGroup],
    read: ReadCurve,
    *,
    share: bool = False,
    floor: bool = False,
    bands: bool = True,
) -> Panel | None:
    """Return a panel with a line for each group; None if no group has the curve."""
    lines = group_lines(groups, read, 1.5)
    if not bands:
        lines = [replace(line, curve=MeanCurve(line.curve.x, line.curve.y)) for line in lines]
    if len(groups) == 1:
        lines = [PlotLine(title, line.curve, "series1", width=1.5) for line in lines]
    return Panel(title, lines, share, floor) if lines else None


def panels_chart(
    name: str, title: str, caption: str, made: Iterable[Panel | None]
) -> Iterator[Chart]:
    """Yield a chart of the panels in two columns, with a table of the last values, if any."""
    panels = [panel for panel in made if panel is not None]
    if not panels:
        return
    several = any(panel.lines[0].label != panel.title for panel in panels)

    def draw(canvas: Canvas) -> None:
        columns = 1 if canvas.narrow else 2
        grid = canvas.figure.subplots(-(-len(panels) // columns), columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(canvas, axes, panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        if several:
            most = max(range(len(panels)), key=lambda place: len(panels[place].lines))
            canvas.legend(grid.flat[most])

    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    rows = []
    for panel in panels:
        ends = {line.label: number(line.end) for line in panel.lines}
        names = labels if several else [panel.title]
        rows.append((panel.title, *(ends.get(name, "-") for name in names)))
    said = "; ".join(f"{heading} {end}" for heading, end, *_ in rows)
    yield Chart(
        name,
        title,
        caption,
        f"Small line charts over the stream. At the end: {said}.",
        draw,
        height=1.55 * -(-len(panels) // 2) + 0.3,
        narrow_height=1.5 * len(panels) + 0.3,
        table=Table(("score", *(labels if several else ["at the end"])), rows),
    )


def _draw_panel(canvas: Canvas, axes: Any, panel: Panel) -> None:
    draw_lines(canvas, axes, panel.lines)
    axes.set_title(shorten(panel.title, 40))
    if panel.share:
        share_axis(axes)
    elif panel.floor:
        axes.set_ylim(0, _top(panel.lines))
    if max(float(abs(line.curve.y).max()) for line in panel.lines) >= 1000:
        axes.yaxis.set_major_formatter(lambda value, _: compact(value))
    axes.locator_params(axis="y", nbins=5)
    canvas.rows_axis(axes, last_row(panel.lines), label=False)


def _top(lines: Sequence[PlotLine]) -> float:
    """Return the upper end of an axis that begins at 0."""
    curves = [line.curve for line in lines]
    tops = [curve.y if curve.high is None else curve.high for curve in curves]
    top = max(float(np.nanmax(each)) for each in tops)
    return 1.1 * top if top > 0 else 1.0
