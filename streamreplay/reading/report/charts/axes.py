"""Axes, legends and marks that charts along the stream share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreplay.reading.number_text import compact, tick
from streamreplay.reading.report.charts.chart import Canvas
from streamreplay.reading.report.data.curves import LearnerCurves

MOST_MARKS = 40
"""Boundaries or drifts that are drawn as lines across a chart; more are not drawn."""

_EVENTS = ("end of an experience", "warning", "drift")
_NAME = 18  # letters of a name at an axis


def rows_axis(axes: Any, canvas: Canvas, last: float, *, label: bool = True) -> None:
    """Set up the horizontal axis for the rows of the stream."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_formatter(lambda value, _: compact(value))
    axes.locator_params(axis="x", nbins=4 if canvas.narrow else 8)
    axes.grid(visible=False, axis="x")
    if label:
        axes.set_xlabel("rows of the stream")


def share_axis(axes: Any, *, whole: bool = True) -> None:
    """Set up the vertical axis for shares, from 0 to 100 % or over the range of the data."""
    if whole:
        axes.set_ylim(-0.02, 1.03)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(lambda value, _: tick(value))


def names_axis(axes: Any, names: Sequence[str]) -> None:
    """Set up the vertical axis for one name a row."""
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    if len(names) > 20:
        axes.tick_params(axis="y", labelsize=7)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def boundaries(learner: LearnerCurves) -> list[float]:
    """Return the positions at which an experience ended and the stream went on."""
    last = learner.prequential["position"]
    return [position for position in learner.ends if position < last]


def mark_stream(canvas: Canvas, axes: Any, learner: LearnerCurves, *, drifts: bool = True) -> None:
    """Mark the ends of experiences, and the drifts that were detected."""
    ends = boundaries(learner)
    if len(ends) <= MOST_MARKS:
        for place, at in enumerate(ends):
            name = _EVENTS[0] if place == 0 else None
            axes.axvline(at, color=canvas.ink["soft"], linewidth=0.8, alpha=0.55, label=name)
    if drifts:
        for level, colour, marker, height in (
            ("warning", "series5", "^", 0.0),
            ("drift", "series2", "v", 1.0),
        ):
            found = [each["position"] for each in learner.drifts if each.get("level") == level]
            if found:
                style = {"color": canvas.ink[colour], "marker": marker, "label": level}
                _mark_level(axes, np.array(found, float), height, style)


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


def legend(canvas: Canvas, axes: Any) -> None:
    """Draw the legend above the axes, in as many columns as fit."""
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


def shorten(name: str, most: int = _NAME) -> str:
    """Shorten a name to fit, and keep matplotlib from reading it as a formula or a hidden label.

    Examples
    --------
    >>> shorten("a class with a long name")
    'a class with a lo…'
    """
    shown = name if len(name) <= most else f"{name[: most - 1]}…"
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in shown
    )
    shown = shown.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown
