"""What charts are drawn with: axes along the stream, marks, legends, maps and stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.report.cases import Case, MeanCurve, curve
from streamreplay.reading.report.chart import DASHES, MARKERS, SERIES, Canvas, Table
from streamreplay.reading.report.columns import Floats, pick
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import Score, compact, tick

__all__ = [
    "MOST_MARKS",
    "PlotLine",
    "boundaries",
    "case_lines",
    "cut",
    "draw_lines",
    "draw_scores",
    "ends_text",
    "legend",
    "lines_table",
    "mark_stream",
    "rows_axis",
    "share_axis",
]

MOST_MARKS = 40
"""Boundaries, or drifts, that are drawn as lines across a chart."""

_EVENTS = ("end of an experience", "warning", "drift")
_NAME = 18  # letters of a name on an axis


@dataclass(frozen=True)
class PlotLine:
    """A line of a chart.

    Attributes
    ----------
    label : str
    curve : Curve
    colour : str
        A part of `Ink`.
    dash : int
        Place among the dashes.
    width : float
    marker : int or None
        Place among the markers.
    """

    label: str
    curve: MeanCurve
    colour: str
    dash: int = 0
    width: float = 1.6
    marker: int | None = None


def case_lines(
    cases: Sequence[Case], read: Callable[[Trace], tuple[Floats, Floats] | None], width: float
) -> list[PlotLine]:
    """Return a line for each case that has something to show, told apart by its place."""
    return [
        PlotLine(case.label, line, f"series{place % SERIES + 1}", place, width, place)
        for place, case in enumerate(cases)
        if (line := curve(case, read)) is not None
    ]


def draw_lines(canvas: Canvas, axes: Any, lines: Sequence[PlotLine]) -> None:
    """Draw lines along the stream, with bands where there are several seeds."""
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
            label=cut(line.label, 48),
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def draw_scores(
    canvas: Canvas,
    lines: Sequence[PlotLine],
    trace: Trace,
    score: Score,
    title: str,
    *,
    drifts: bool = True,
) -> None:
    """Draw lines of a score along a stream, and mark what happened in it."""
    axes = canvas.figure.subplots()
    mark_stream(canvas, axes, trace, drifts=drifts)
    draw_lines(canvas, axes, lines)
    if score.share:
        share_axis(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(title)
    rows_axis(axes, canvas, max(float(line.curve.x[-1]) for line in lines))
    legend(canvas, axes)


def ends_text(lines: Sequence[PlotLine], score: Score) -> str:
    """Say what each line has at its end."""
    return "; ".join(f"{line.label} {score.write(float(line.curve.y[-1]))}" for line in lines)


def lines_table(lines: Sequence[PlotLine], write: Callable[[float], str], most: int = 20) -> Table:
    """Return lines as a table: some of the first one's rows of the stream, the last among them."""
    longest = max(lines, key=lambda line: len(line.curve.x)).curve.x
    at = longest[pick(len(longest), most)]
    rows = []
    for x in at:
        values = [_value_at(line.curve, x) for line in lines]
        cells = ["-" if value is None else write(value) for value in values]
        rows.append((f"{x:,.0f}", *cells))
    return Table(("row", *(line.label for line in lines)), rows)


def _value_at(curve: MeanCurve, x: float) -> float | None:
    if not curve.x[0] <= x <= curve.x[-1]:
        return None
    return float(curve.y[np.searchsorted(curve.x, x, side="right") - 1])


def rows_axis(axes: Any, canvas: Canvas, last: float, *, label: bool = True) -> None:
    """Make the horizontal axis the rows of the stream."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_formatter(lambda value, _: compact(value))
    axes.locator_params(axis="x", nbins=4 if canvas.narrow else 8)
    axes.grid(visible=False, axis="x")
    if label:
        axes.set_xlabel("rows of the stream")


def share_axis(axes: Any, *, whole: bool = True) -> None:
    """Make the vertical axis a share, from nothing to all or over what there is."""
    if whole:
        axes.set_ylim(-0.02, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(lambda value, _: tick(value))


def boundaries(trace: Trace) -> list[float]:
    """Return where experiences ended and the stream went on."""
    last = trace.last["position"]
    return [at for at, _ in trace.ends if at < last]


def mark_stream(canvas: Canvas, axes: Any, trace: Trace, *, drifts: bool = True) -> None:
    """Mark where experiences ended and where the stream was found to drift."""
    ends = boundaries(trace)
    if len(ends) <= MOST_MARKS:
        for place, at in enumerate(ends):
            name = _EVENTS[0] if place == 0 else None
            axes.axvline(at, color=canvas.ink["soft"], linewidth=0.8, alpha=0.55, label=name)
    if not drifts:
        return
    for level, colour, marker, height in (
        ("warning", "series5", "^", 0.0),
        ("drift", "series2", "v", 1.0),
    ):
        found = [each["position"] for each in trace.drifts if each.get("level") == level]
        marks: Floats = np.array(found, float)
        if len(marks):
            axes.plot(
                marks,
                np.full(len(marks), height),
                transform=axes.get_xaxis_transform(),
                color=canvas.ink[colour],
                marker=marker,
                markersize=5.5,
                linestyle="none",
                clip_on=False,
                label=level,
            )
            if level == "drift" and len(marks) <= MOST_MARKS:
                for each in marks:
                    axes.axvline(each, color=canvas.ink[colour], linewidth=1, linestyle=(0, (3, 2)))


def legend(canvas: Canvas, axes: Any) -> None:
    """Put the legend above the axes, where it covers nothing, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: labels[place] in _EVENTS)  # these last
    for columns in range(len(labels), 0, -1):
        made = canvas.figure.legend(
            [handles[place] for place in order],
            [labels[place] for place in order],
            loc="outside upper left",
            ncols=columns,
        )
        if made.get_window_extent().width <= canvas.figure.bbox.width or columns == 1:
            return
        made.remove()


def cut(name: str, most: int = _NAME) -> str:
    """Shorten a name that is too long for its place.

    Examples
    --------
    >>> cut("a class with a long name")
    'a class with a lo…'
    """
    shown = name if len(name) <= most else f"{name[: most - 1]}…"
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown
    )
    shown = shown.replace("$", r"\$")  # to matplotlib, no formula
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown  # nor a hidden label
