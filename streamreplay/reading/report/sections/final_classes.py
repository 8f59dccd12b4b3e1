"""The accuracy of each group on each class at the end, as dots in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.estimates import mean_of_seeds
from streamreplay.reading.number_text import percent, tick
from streamreplay.reading.report.charts.axes import legend, names_axis, shorten
from streamreplay.reading.report.charts.chart import MARKERS, Canvas, Chart, Table
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import CurveGroup

_MOST_CLASSES = 40


def final_classes_chart(groups: Sequence[CurveGroup]) -> Chart | None:
    """Return a dot plot of accuracy by class in the last round; None if no log has it."""
    found = [_Dots(group, place, _mean_accuracies(group)) for place, group in enumerate(groups)]
    shown = [dots for dots in found if dots.known]
    names = list(dict.fromkeys(name for dots in shown for name in dots.known))[:_MOST_CLASSES]
    if not names:
        return None
    cells = [(name, *(dots.cell(name) for dots in shown)) for name in names]
    return Chart(
        "classes-at-end",
        "Accuracy on each class at the end",
        "One mark for each run, or for the mean of several seeds.",
        "Dot plot of accuracy by class at the end; the table below has its values.",
        lambda canvas: _draw(canvas, shown, names),
        height=max(1.8, 1.0 + 0.2 * len(names)),
        table=Table(("class", *(dots.group.title for dots in shown)), cells),
    )


@dataclass(frozen=True)
class _Dots:
    """The accuracy of a group on each class that it knows."""

    group: CurveGroup
    place: int
    known: Mapping[str, float]

    def cell(self, name: str) -> str:
        return percent(self.known[name]) if name in self.known else "-"

    def draw(self, canvas: Canvas, axes: Any, names: Sequence[str]) -> None:
        rows = [row for row, name in enumerate(names) if name in self.known]
        axes.plot(
            [self.known[names[row]] for row in rows],
            rows,
            linestyle="none",
            marker=MARKERS[self.place % len(MARKERS)],
            markersize=6,
            color=canvas.series(self.place),
            label=shorten(self.group.title, 48),
        )


def _draw(canvas: Canvas, shown: Sequence[_Dots], names: Sequence[str]) -> None:
    axes = canvas.figure.subplots()
    for row, name in enumerate(names):
        values = [dots.known[name] for dots in shown if name in dots.known]
        axes.plot((min(values), max(values)), (row, row), color=canvas.ink["line"], zorder=1)
    for dots in shown:
        dots.draw(canvas, axes, names)
    names_axis(axes, names)
    axes.invert_yaxis()
    axes.grid(visible=True, axis="x")
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: tick(value))
    axes.set_xlabel("accuracy on rows never learned, at the end")
    legend(canvas, axes)


def _mean_accuracies(group: CurveGroup) -> Mapping[str, float]:
    ends = [_last_accuracies(learner) for learner in group]
    names = dict.fromkeys(name for end in ends for name in end)
    return {name: mean_of_seeds([e[name] for e in ends if name in e]).value for name in names}


def _last_accuracies(learner: LearnerCurves) -> Mapping[str, float]:
    curves = learner.main_retention
    if curves is None or curves.by_class is None or "accuracy" not in curves.by_class.fields:
        return {}
    values = zip(curves.by_class.ids, curves.by_class.fields["accuracy"][-1], strict=True)
    return {name: float(value) for name, value in values if np.isfinite(value)}
