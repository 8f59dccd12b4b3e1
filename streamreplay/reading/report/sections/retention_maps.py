"""Charts of retention by class, by experience and by age, and of the matrix R."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamreplay.reading.columns import Floats, GroupColumns, RetentionMatrix, evenly_spread
from streamreplay.reading.number_text import and_list, number, percent
from streamreplay.reading.report.charts.axes import (
    legend,
    names_axis,
    rows_axis,
    share_axis,
    shorten,
)
from streamreplay.reading.report.charts.chart import Canvas, Chart, Table
from streamreplay.reading.report.charts.lines import PlotLine, draw_lines, lines_table
from streamreplay.reading.report.charts.maps import (
    Map,
    colour_bar,
    colours,
    draw_map,
    map_height,
)
from streamreplay.reading.report.data.curves import RetentionCurves
from streamreplay.reading.report.data.seed_means import MeanCurve
from streamreplay.reading.report.sections.drawn_group import DrawnGroup
from streamreplay.reading.scores import SCORES, Score, sample_name

_MOST = 40  # rows of a map
_MOST_NUMBERS = 12  # rows and columns of a matrix that has room for the numbers in its cells


def class_map(drawn: DrawnGroup, curves: RetentionCurves) -> Chart | None:
    """Return a map of the accuracy on each class over the stream."""
    classes = curves.by_class
    if classes is None or len(classes.ids) < 2:
        return None
    blank = f"Blank: the stream had not shown the class yet. {_rows_of(curves)}"
    return _map_chart(drawn, "class", classes, "accuracy", blank, SCORES["classes"])


def experience_map(drawn: DrawnGroup, curves: RetentionCurves) -> Chart | None:
    """Return a map of the score on each experience; None if the matrix shows the same."""
    experiences, matrix = curves.by_experience, curves.matrix
    if experiences is None or len(experiences.ids) < 2:
        return None
    if matrix is not None and len(experiences.position) <= len(matrix.after) <= _MOST_NUMBERS:
        return None
    score = drawn.learner.score
    field = "value" if "value" in experiences.fields else score.retained
    blank = "Blank: the stream had not shown the experience yet."
    if curves.sample == "test":
        blank = "Before the stream had shown an experience, the model could not know it."
    return _map_chart(drawn, "experience", experiences, field, f"{blank} {_rows_of(curves)}", score)


def _map_chart(
    drawn: DrawnGroup, by: str, groups: GroupColumns, field: str, blank: str, score: Score
) -> Chart:
    values = groups.fields[field].T
    order = list(range(len(groups.ids)))
    if len(groups.ids) > _MOST:
        order = _most_forgotten(values, share=score.share)
    names, last = [groups.ids[i] for i in order], [score.write(each) for each in values[order, -1]]
    shown = Map(names, groups.position, values[order], last, share=score.share)

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        image = draw_map(canvas, axes, shown)
        colour_bar(canvas, axes, image, share=score.share)
        if by == "experience":
            axes.set_ylabel("experience")

    count = len(groups.ids) + groups.left_out
    hidden = f" Only the {len(names)} most forgotten of {count:,} are shown."
    best = [score.write(each) for each in _best(values[order], share=score.share)]
    plural = "classes" if by == "class" else "experiences"
    ends = and_list([f"{name} {now}" for name, now in zip(names[:_MOST], last, strict=False)])
    return Chart(
        drawn.name(f"retention-{plural}"),
        drawn.title(f"Retention by {by}"),
        f"One line for each {by}. A colour shows the {score.retained_title} in the test round at "
        f"its right end. {blank} On the right: the last round."
        + (hidden if count > len(names) else ""),
        f"Heat map of retention by {by}. In the last round: {ends}.",
        draw,
        height=map_height(len(names)),
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


def age_chart(drawn: DrawnGroup, curves: RetentionCurves) -> Chart | None:
    """Return a chart of the accuracy on rows of different age."""
    ages = curves.by_age
    if ages is None or "accuracy" not in ages.fields:
        return None
    lines = _age_lines(ages)
    if not lines:
        return None

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        draw_lines(canvas, axes, lines)
        share_axis(axes)
        axes.set_ylabel("accuracy")
        rows_axis(axes, canvas, float(ages.position[-1]))
        legend(canvas, axes)

    ends = "; ".join(f"{line.label}: {percent(line.end)}" for line in lines)
    return Chart(
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


def matrix_chart(drawn: DrawnGroup, curves: RetentionCurves) -> Chart | None:
    """Return a chart of the matrix R[i, j]."""
    matrix, score = curves.matrix, drawn.learner.score
    if matrix is None or len(matrix.of) < 2:
        return None
    written = max(len(matrix.after), len(matrix.of)) <= _MOST_NUMBERS

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        look = colours(matrix.values, share=score.share)
        image = axes.imshow(
            np.ma.masked_invalid(matrix.values), aspect="auto", interpolation="none", **look
        )
        if written:
            _write_cells(axes, matrix, score, look, narrow=canvas.narrow)
        _label_matrix(axes, matrix)
        if not written:
            colour_bar(canvas, axes, image, share=score.share)

    size = 0.34 if written else 0.1
    name = score.retained_title
    return Chart(
        drawn.name("matrix"),
        drawn.title("The matrix R[i, j]"),
        f"Each line: {name} on the held-out rows of all experiences, after one of them had ended. "
        f"Below the outlined diagonal: experiences learned before. Above it: experiences not "
        f"learned yet. {_rows_of(curves)}",
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

    span = look["vmax"] - look["vmin"]
    size = 6 if narrow and len(matrix.of) > 6 else 8
    for (i, j), value in np.ndenumerate(matrix.values):
        if np.isfinite(value):
            bright = (value - look["vmin"]) / span
            bright = bright if score.share else 1 - bright
            text = f"{100 * value:.0f}" if score.share else number(float(value))
            ink = "#000000" if bright > 0.5 else "#ffffff"
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=size)
        if matrix.after[i] == matrix.of[j]:
            outline: dict[str, Any] = {"fill": False, "edgecolor": "#ffffff", "linewidth": 1.6}
            axes.add_patch(Rectangle((j - 0.47, i - 0.45), 0.94, 0.9, **outline))


def _label_matrix(axes: Any, matrix: RetentionMatrix) -> None:
    rows, columns = evenly_spread(len(matrix.after), 24), evenly_spread(len(matrix.of), 24)
    names_axis(axes, ["" for _ in matrix.after])
    axes.set_yticks(rows, [shorten(matrix.after[i], 8) for i in rows])
    axes.set_xticks(columns, [shorten(matrix.of[j], 8) for j in columns])
    axes.set_ylabel("after experience i")
    axes.set_xlabel("of experience j")
