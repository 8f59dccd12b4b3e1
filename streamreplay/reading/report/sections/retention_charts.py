"""Charts of retention by class, by experience and by age, and of the matrix R."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.columns import Floats, GroupColumns, RetentionMatrix, evenly_spread
from streamreplay.reading.estimates import mean_of_seeds
from streamreplay.reading.number_text import and_list, number, percent, tick
from streamreplay.reading.report.charts.chart import (
    MARKERS,
    Canvas,
    Chart,
    Table,
    names_axis,
    share_axis,
    shorten,
)
from streamreplay.reading.report.charts.lines import PlotLine, draw_lines, lines_table
from streamreplay.reading.report.charts.maps import (
    Map,
    colour_bar,
    colours,
    draw_map,
    hatch_blanks,
    ink_on,
)
from streamreplay.reading.report.curves import (
    CurveGroup,
    DrawnGroup,
    LearnerCurves,
    MeanCurve,
    RetentionCurves,
)
from streamreplay.reading.scores import SCORES, Score, sample_name

_MOST = 40  # rows of a map
_HATCHED = "Hatched: the stream had not shown the"
_MOST_NUMBERS = 12  # rows and columns of a matrix that has room for the numbers in its cells


def charts_by_group(drawn: DrawnGroup) -> Iterator[Chart]:
    """Yield charts of the scores by class, by experience and by age that the log has."""
    curves = drawn.learner.main_retention
    if curves is not None:
        for make in (_class_map, _experience_map, _age_chart, _matrix_chart):
            yield from make(drawn, curves)


def _class_map(drawn: DrawnGroup, curves: RetentionCurves) -> Iterator[Chart]:
    """Yield a map of the accuracy on each class over the stream."""
    classes = curves.by_class
    if classes is not None and len(classes.ids) > 1:
        blank = "" if np.isfinite(classes.fields["accuracy"]).all() else f"{_HATCHED} class yet. "
        more = f"{blank}{_rows_of(curves)}"
        yield _map_chart(drawn, "class", classes, "accuracy", more, SCORES["classes"])


def _experience_map(drawn: DrawnGroup, curves: RetentionCurves) -> Iterator[Chart]:
    """Yield a map of the score on each experience, unless the matrix shows the same."""
    experiences, matrix = curves.by_experience, curves.matrix
    if experiences is None or len(experiences.ids) < 2:
        return
    if matrix is not None and len(experiences.position) <= len(matrix.after) <= _MOST_NUMBERS:
        return
    score = drawn.learner.score
    field = "value" if "value" in experiences.fields else score.retained
    blank = "" if np.isfinite(experiences.fields[field]).all() else f"{_HATCHED} experience yet. "
    if curves.sample == "test":
        blank = "Before the stream had shown an experience, the model could not know it. "
    more = f"{blank}{_rows_of(curves)}"
    yield _map_chart(drawn, "experience", experiences, field, more, score)


def _map_chart(
    drawn: DrawnGroup, by: str, groups: GroupColumns, field: str, more: str, score: Score
) -> Chart:
    values = groups.fields[field].T
    order = list(range(len(groups.ids)))
    if len(groups.ids) > _MOST:
        order = _most_forgotten(values, share=score.share)
    names, last = [groups.ids[i] for i in order], [score.write(each) for each in values[order, -1]]
    label = "experience" if by == "experience" else ""
    shown = Map(names, groups.position, values[order], last, score.share, label)
    count = len(groups.ids) + groups.left_out
    hidden = f" Only the {len(names)} most forgotten of {count:,} are shown."
    best = [score.write(each) for each in _best(values[order], share=score.share)]
    plural = "classes" if by == "class" else "experiences"
    ends = and_list([f"{name} {now}" for name, now in zip(names[:_MOST], last, strict=False)])
    return Chart(
        drawn.name(f"retention-{plural}"),
        drawn.title(f"Retention by {by}"),
        f"One line for each {by}. A colour shows the {score.retained_title} in the test round at "
        f"its right end. {more} On the right: the last round."
        + (hidden if count > len(names) else ""),
        f"Heat map of retention by {by}. In the last round: {ends}.",
        lambda canvas: draw_map(canvas, shown),
        height=shown.height,
        table=Table((by, "best", "last"), [*zip(names, best, last, strict=True)]),
    )


def _rows_of(curves: RetentionCurves) -> str:
    return f"The rows are those of the {sample_name(curves.sample)}."


def _best(values: Floats, *, share: bool) -> Floats:
    filled = np.where(np.isfinite(values), values, -np.inf if share else np.inf)
    found: Floats = filled.max(axis=1) if share else filled.min(axis=1)
    return found


def _most_forgotten(values: Floats, *, share: bool) -> list[int]:
    lost = (_best(values, share=share) - values[:, -1]) * (1 if share else -1)
    kept = np.argsort(-np.nan_to_num(lost, posinf=0.0, neginf=0.0), kind="stable")[:_MOST]
    return sorted(kept.tolist())


def _age_chart(drawn: DrawnGroup, curves: RetentionCurves) -> Iterator[Chart]:
    """Yield a chart of the accuracy on rows of different age."""
    ages = curves.by_age
    if ages is None or "accuracy" not in ages.fields or not (lines := _age_lines(ages)):
        return

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        draw_lines(canvas, axes, lines)
        share_axis(axes)
        axes.set_ylabel("accuracy")
        canvas.rows_axis(axes, float(ages.position[-1]))
        canvas.legend(axes)

    ends = "; ".join(f"{line.label}: {percent(line.end)}" for line in lines)
    yield Chart(
        drawn.name("ages"),
        drawn.title("Accuracy by age of the rows"),
        "Rows of the probe by how long ago they came.",
        f"Line chart of accuracy by age of the rows. At the end: {ends}.",
        draw,
        height=2.7,
        narrow_height=3.2,
        table=lines_table(lines, percent),
    )


def _age_lines(ages: GroupColumns) -> list[PlotLine]:
    order = sorted(range(len(ages.ids)), key=lambda i: float(ages.ids[i]))
    lines, low = [], 0.0
    for place, i in enumerate(order):
        high, accuracy = float(ages.ids[i]), ages.fields["accuracy"][:, i]
        known = np.isfinite(accuracy)
        if known.any():
            label = f"{low:,.0f} to {high:,.0f} rows ago"
            points = MeanCurve(ages.position[known], accuracy[known])
            lines.append(PlotLine(label, points, f"series{place % 8 + 1}", place, 1.5, place))
        low = high
    return lines


def _matrix_chart(drawn: DrawnGroup, curves: RetentionCurves) -> Iterator[Chart]:
    """Yield a chart of the matrix R[i, j]."""
    matrix, score = curves.matrix, drawn.learner.score
    if matrix is None or len(matrix.of) < 2:
        return
    written = max(len(matrix.after), len(matrix.of)) <= _MOST_NUMBERS

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        look = colours(matrix.values, share=score.share)
        image = axes.imshow(
            np.ma.masked_invalid(matrix.values), aspect="auto", interpolation="none", **look
        )
        hatch_blanks(canvas, axes, matrix.values)
        if written:
            _write_cells(axes, matrix, score, look, narrow=canvas.narrow)
        _label_matrix(axes, matrix)
        if not written:
            colour_bar(canvas, axes, image, share=score.share)

    size = 0.34 if written else 0.1
    name = score.retained_title
    unknown = " Hatched: not known." if not np.isfinite(matrix.values).all() else ""
    yield Chart(
        drawn.name("matrix"),
        drawn.title("The matrix R[i, j]"),
        f"Each line: {name} on the held-out rows of all experiences, after one of them had ended. "
        f"Below the outlined diagonal: experiences learned before. Above it: experiences not "
        f"learned yet.{unknown} {_rows_of(curves)}",
        f"Heat map of {name}, {len(matrix.after)} by {len(matrix.of)} experiences; its numbers are "
        "in the table below.",
        draw,
        height=min(5.5, max(1.6, 0.7 + size * len(matrix.after))),
        table=_matrix_table(matrix, score),
    )


def _matrix_table(matrix: RetentionMatrix, score: Score) -> Table:
    columns = evenly_spread(len(matrix.of), _MOST_NUMBERS)
    return Table(
        ("after experience", *(f"of {matrix.of[j]}" for j in columns)),
        [
            (matrix.after[i], *(score.write(float(matrix.values[i, j])) for j in columns))
            for i in evenly_spread(len(matrix.after), _MOST)
        ],
    )


def _write_cells(
    axes: Any, matrix: RetentionMatrix, score: Score, look: dict[str, Any], *, narrow: bool
) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - an extra

    size = 6 if narrow and len(matrix.of) > 6 else 8
    low, high = look["vmin"], look["vmax"]
    for (i, j), value in np.ndenumerate(matrix.values):
        known = np.isfinite(value)
        ink = ink_on(look["cmap"]((value - low) / (high - low))) if known else "#000000"
        if known:
            text = f"{100 * value:.0f}" if score.share else number(float(value))
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=size)
        if matrix.after[i] == matrix.of[j]:
            outline: dict[str, Any] = {"fill": False, "edgecolor": ink, "linewidth": 1.6}
            axes.add_patch(Rectangle((j - 0.47, i - 0.45), 0.94, 0.9, **outline))


def _label_matrix(axes: Any, matrix: RetentionMatrix) -> None:
    rows, columns = evenly_spread(len(matrix.after), 24), evenly_spread(len(matrix.of), 24)
    names_axis(axes, ["" for _ in matrix.after])
    axes.set_yticks(rows, [shorten(matrix.after[i], 8) for i in rows])
    axes.set_xticks(columns, [shorten(matrix.of[j], 8) for j in columns])
    axes.set_ylabel("after experience i")
    axes.set_xlabel("of experience j")


def final_classes_chart(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
    """Yield a dot plot of accuracy by class in the last round, if a log has it."""
    found = [_Dots(group, place, _mean_accuracies(group)) for place, group in enumerate(groups)]
    shown = [dots for dots in found if dots.known]
    names = list(dict.fromkeys(name for dots in shown for name in dots.known))[:_MOST]
    if not names:
        return
    cells = [(name, *(dots.cell(name) for dots in shown)) for name in names]
    yield Chart(
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
    canvas.legend(axes)


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
