"""Small line charts side by side, each of another score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreplay.reading.number_text import compact, number
from streamreplay.reading.report.charts.axes import legend, rows_axis, share_axis, shorten
from streamreplay.reading.report.charts.chart import Canvas, Chart, Table
from streamreplay.reading.report.charts.lines import PlotLine, draw_lines, group_lines, last_row
from streamreplay.reading.report.data.seed_means import CurveGroup, MeanCurve, ReadCurve


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


def panels_chart(name: str, title: str, caption: str, panels: Sequence[Panel]) -> Chart:
    """Return a chart of panels in two columns, with a table of the last values."""
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
            legend(canvas, grid.flat[most])

    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    rows = []
    for panel in panels:
        ends = {line.label: number(line.end) for line in panel.lines}
        names = labels if several else [panel.title]
        rows.append((panel.title, *(ends.get(name, "-") for name in names)))
    said = "; ".join(f"{heading} {end}" for heading, end, *_ in rows)
    return Chart(
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
    rows_axis(axes, canvas, last_row(panel.lines), label=False)


def _top(lines: Sequence[PlotLine]) -> float:
    """Return the upper end of an axis that begins at 0."""
    curves = [line.curve for line in lines]
    tops = [curve.y if curve.high is None else curve.high for curve in curves]
    top = max(float(np.nanmax(each)) for each in tops)
    return 1.1 * top if top > 0 else 1.0
