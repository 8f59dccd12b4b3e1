"""Small charts side by side, each of another score, of all cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamreplay.reading.report.cases import Case, MeanCurve
from streamreplay.reading.report.chart import Canvas, Chart, Table
from streamreplay.reading.report.columns import Floats
from streamreplay.reading.report.plots import (
    PlotLine,
    case_lines,
    cut,
    draw_lines,
    legend,
    rows_axis,
    share_axis,
)
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import compact, number

__all__ = ["Panel", "make_panel", "panels_chart"]


@dataclass(frozen=True)
class Panel:
    """One of several small charts.

    Attributes
    ----------
    title : str
    lines : list of Line
        One for each case that has it.
    share : bool
        Whether it is from 0 to 1.
    floor : bool
        Whether its axis begins at 0.
    """

    title: str
    lines: list[PlotLine]
    share: bool = False
    floor: bool = False


def make_panel(
    title: str,
    cases: Sequence[Case],
    read: Callable[[Trace], tuple[Floats, Floats] | None],
    *,
    share: bool = False,
    floor: bool = False,
    bands: bool = True,
) -> Panel | None:
    """Return a panel with a line for each case, or None where no case has anything to show."""
    lines = case_lines(cases, read, 1.5)
    if not bands:
        lines = [replace(line, curve=MeanCurve(line.curve.x, line.curve.y)) for line in lines]
    if len(cases) == 1:
        lines = [PlotLine(title, line.curve, "series1", width=1.5) for line in lines]
    return Panel(title, lines, share, floor) if lines else None


def panels_chart(name: str, title: str, caption: str, panels: Sequence[Panel]) -> Chart:
    """Return a chart of panels, two side by side, with the values at their ends as a table."""
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
        ends = {line.label: number(float(line.curve.y[-1])) for line in panel.lines}
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
    axes.set_title(cut(panel.title, 40))
    if panel.share:
        share_axis(axes)
    elif panel.floor:
        curves = [line.curve for line in panel.lines]
        tops = [curve.y if curve.high is None else curve.high for curve in curves]
        top = max(float(np.nanmax(each)) for each in tops)
        axes.set_ylim(0, 1.1 * top if top > 0 else 1)
    largest = max(float(abs(line.curve.y).max()) for line in panel.lines)
    if largest >= 1000:
        axes.yaxis.set_major_formatter(lambda value, _: compact(value))
    axes.locator_params(axis="y", nbins=5)
    rows_axis(axes, canvas, max(float(line.curve.x[-1]) for line in panel.lines), label=False)
