"""Line charts along the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.columns import evenly_spread
from streamreplay.reading.report.charts.axes import (
    legend,
    mark_stream,
    rows_axis,
    share_axis,
    shorten,
)
from streamreplay.reading.report.charts.chart import DASHES, MARKERS, SERIES, Canvas, Table
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import (
    CurveGroup,
    MeanCurve,
    ReadCurve,
    mean_curve,
)
from streamreplay.reading.scores import Score


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
        axes.plot(
            curve.x,
            curve.y,
            color=colour,
            linestyle=DASHES[line.dash % len(DASHES)],
            linewidth=line.width,
            marker=None if line.marker is None else MARKERS[line.marker % len(MARKERS)],
            clip_on=False,
            markevery=(min(place * every // 5, len(curve.x) - 1), every),
            label=shorten(line.label, 48),
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def last_row(lines: Sequence[PlotLine]) -> float:
    """Return the row of the stream at which the longest line ends."""
    return max(float(line.curve.x[-1]) for line in lines)


def draw_scores(
    canvas: Canvas,
    lines: Sequence[PlotLine],
    learner: LearnerCurves,
    title: str,
    *,
    drifts: bool = True,
) -> None:
    """Draw lines of a learner's score, and mark the events of its stream."""
    axes = canvas.figure.subplots()
    mark_stream(canvas, axes, learner, drifts=drifts)
    draw_lines(canvas, axes, lines)
    if learner.score.share:
        share_axis(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(title)
    rows_axis(axes, canvas, last_row(lines))
    legend(canvas, axes)


def ends_text(lines: Sequence[PlotLine], score: Score) -> str:
    """Return the last value of each line as text."""
    return "; ".join(f"{line.label} {score.write(line.end)}" for line in lines)


def lines_table(lines: Sequence[PlotLine], write: Callable[[float], str], most: int = 20) -> Table:
    """Return the values of lines at some rows of the stream, including the last row."""
    longest = max(lines, key=lambda line: len(line.curve.x)).curve.x
    rows = []
    for x in longest[evenly_spread(len(longest), most)]:
        values = [_value_at(line.curve, x) for line in lines]
        cells = ["-" if value is None else write(value) for value in values]
        rows.append((f"{x:,.0f}", *cells))
    return Table(("row", *(line.label for line in lines)), rows)


def _value_at(curve: MeanCurve, x: float) -> float | None:
    if not curve.x[0] <= x <= curve.x[-1]:
        return None
    return float(curve.y[np.searchsorted(curve.x, x, side="right") - 1])
