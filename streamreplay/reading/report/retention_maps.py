"""Retention by class, by experience and by age, and the matrix R."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamreplay.reading.report.cases import Case, MeanCurve
from streamreplay.reading.report.chart import Canvas, Chart, Table
from streamreplay.reading.report.columns import Floats, GroupColumns, MatrixColumns, pick
from streamreplay.reading.report.maps_and_stacks import (
    Map,
    colour_bar,
    colours,
    draw_map,
    names_axis,
)
from streamreplay.reading.report.plots import (
    PlotLine,
    cut,
    draw_lines,
    legend,
    lines_table,
    rows_axis,
    share_axis,
)
from streamreplay.reading.report.predictions import case_title
from streamreplay.reading.report.trace import Rounds
from streamreplay.reading.scores import SCORES, Score, and_list, number, percent

__all__ = ["age_chart", "class_map", "experience_map", "matrix_chart"]

_MOST = 40  # rows of a map
_MOST_NUMBERS = 12  # rows and columns of a matrix whose cells have room for their number


def class_map(rounds: Rounds, case: Case, cases: Sequence[Case], place: int) -> Chart | None:
    """Draw how well each class was known over time."""
    found = rounds.by_class
    if found is None or len(found.ids) < 2:
        return None
    title = case_title("Retention by class", case, cases)
    what = ("class", f"blank before the stream had shown it. {_of(rounds)}")
    return _map_chart("retention-classes", title, what, found, "accuracy", place)


def experience_map(rounds: Rounds, case: Case, cases: Sequence[Case], place: int) -> Chart | None:
    """Draw how well each experience was known over time, where there were rounds between ends."""
    found, matrix = rounds.by_experience, rounds.matrix
    if found is None or len(found.ids) < 2:
        return None
    if matrix is not None and len(found.position) <= len(matrix.after) <= _MOST_NUMBERS:
        return None  # the matrix shows the same
    score = SCORES[case.first.objective]
    name = "value" if "value" in found.fields else score.retained
    title = case_title("Retention by experience", case, cases)
    blank = "blank before the stream had shown it"
    if rounds.sample == "test":
        blank = "before the stream had shown it, it could not be known"
    what = ("experience", f"{blank}. {_of(rounds)}")
    return _map_chart("retention-experiences", title, what, found, name, place, score)


def _map_chart(
    name: str,
    title: str,
    names_of: tuple[str, str],
    found: GroupColumns,
    field: str,
    place: int,
    score: Score = SCORES["classes"],
) -> Chart:
    (what, blank), values = names_of, found.fields[field].T
    order = (
        _worst(values, share=score.share) if len(found.ids) > _MOST else list(range(len(found.ids)))
    )
    names, last = [found.ids[i] for i in order], values[order, -1]
    shown = Map(
        *(names, found.position, values[order], [score.write(each) for each in last]),
        share=score.share,
    )

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        image = draw_map(canvas, axes, shown)
        colour_bar(canvas, axes, image, share=score.share)
        if what == "experience":
            axes.set_ylabel("experience")

    left_out = len(found.ids) + found.left_out - len(names)
    best = _best(values[order], share=score.share)
    rows = [
        (each, score.write(top), score.write(now))
        for each, top, now in zip(names, best, last, strict=True)
    ]
    worst = and_list([f"{each} {now}" for each, _, now in rows[:_MOST]])
    return Chart(
        f"{name}-{place}" if place else name,
        title,
        f"Each row is {'a' if what == 'class' else 'an'} {what}. A colour is what was known of it "
        f"at the round where the colour ends; {blank} On the right: in the last round."
        + (f" The {len(names)} that lost most, of {len(names) + left_out:,}." if left_out else ""),
        f"Heat map of retention by {what}. In the last round: {worst}.",
        draw,
        height=max(1.5, 0.75 + 0.2 * len(names)),
        table=Table((what, "best", "last"), rows),
    )


def _of(rounds: Rounds) -> str:
    return f"Rows are of the {'test set' if rounds.sample == 'test' else rounds.sample}."


def _best(values: Floats, *, share: bool) -> Floats:
    filled = np.where(np.isfinite(values), values, -np.inf if share else np.inf)
    found: Floats = filled.max(axis=1) if share else filled.min(axis=1)
    return found


def _worst(values: Floats, *, share: bool) -> list[int]:
    lost = (_best(values, share=share) - values[:, -1]) * (1 if share else -1)
    kept = np.argsort(-np.nan_to_num(lost, posinf=0.0, neginf=0.0), kind="stable")[:_MOST]
    return sorted(int(i) for i in kept)


def age_chart(rounds: Rounds, case: Case, cases: Sequence[Case], place: int) -> Chart | None:
    """Draw how well rows of different age were known."""
    found = rounds.by_age
    if found is None or "accuracy" not in found.fields:
        return None
    order = sorted(range(len(found.ids)), key=lambda i: float(found.ids[i]))
    lines = []
    for i, group in enumerate(order):
        known = np.isfinite(found.fields["accuracy"][:, group])
        if known.any():
            low = found.ids[order[i - 1]] if i else "0"
            label = f"{float(low):,.0f} to {float(found.ids[group]):,.0f} rows ago"
            points = MeanCurve(found.position[known], found.fields["accuracy"][known, group])
            lines.append(PlotLine(label, points, f"series{i % 8 + 1}", i, 1.5, i))
    if not lines:
        return None

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        draw_lines(canvas, axes, lines)
        share_axis(axes)
        axes.set_ylabel("accuracy")
        rows_axis(axes, canvas, float(found.position[-1]))
        legend(canvas, axes)

    ends = "; ".join(f"{line.label}: {percent(float(line.curve.y[-1]))}" for line in lines)
    return Chart(
        f"ages-{place}" if place else "ages",
        case_title("What it knew of rows by their age", case, cases),
        "Rows of the probe by how long ago they came.",
        f"Line chart of accuracy by age of the rows. At the end: {ends}.",
        draw,
        height=2.7,
        narrow_height=3.2,
        table=lines_table(lines, percent),
    )


def matrix_chart(rounds: Rounds, case: Case, cases: Sequence[Case], place: int) -> Chart | None:
    """Draw R[i, j]."""
    matrix, score = rounds.matrix, SCORES[case.first.objective]
    if matrix is None or len(matrix.of) < 2:
        return None
    written = len(matrix.after) <= _MOST_NUMBERS and len(matrix.of) <= _MOST_NUMBERS

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
    rows = pick(len(matrix.after), _MOST)
    columns = pick(len(matrix.of), _MOST_NUMBERS)
    cells = [[score.write(float(matrix.values[i, j])) for j in columns] for i in rows]
    name = score.retained_title
    return Chart(
        f"matrix-{place}" if place else "matrix",
        case_title("The matrix R[i, j]", case, cases),
        f"Each row: {name} on the held-out rows of all experiences when one had ended. Below the "
        f"outlined diagonal is what was retained, above it what was known beforehand. "
        f"{_of(rounds)}",
        f"Heat map of {name}, {len(matrix.after)} by {len(matrix.of)} experiences; its numbers are "
        "in the table below.",
        draw,
        height=min(5.5, max(1.6, 0.7 + size * len(matrix.after))),
        table=Table(
            ("after experience", *(f"of {matrix.of[j]}" for j in columns)),
            [(matrix.after[i], *line) for i, line in zip(rows, cells, strict=True)],
        ),
    )


def _write_cells(
    axes: Any, matrix: MatrixColumns, score: Score, look: dict[str, Any], *, narrow: bool
) -> None:
    span = look["vmax"] - look["vmin"]
    small = narrow and len(matrix.of) > 6
    for (i, j), value in np.ndenumerate(matrix.values):
        if np.isfinite(value):
            bright = (value - look["vmin"]) / span
            bright = bright if score.share else 1 - bright
            text = f"{100 * value:.0f}" if score.share else number(float(value))
            ink = "#000000" if bright > 0.5 else "#ffffff"
            size = 6 if small else 8
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=size)
        if matrix.after[i] == matrix.of[j]:
            axes.add_patch(_frame(i, j))


def _frame(i: int, j: int) -> Any:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - an extra

    return Rectangle(
        (j - 0.47, i - 0.45), 0.94, 0.9, fill=False, edgecolor="#ffffff", linewidth=1.6
    )


def _label_matrix(axes: Any, matrix: MatrixColumns) -> None:
    rows, columns = pick(len(matrix.after), 24), pick(len(matrix.of), 24)
    names_axis(axes, ["" for _ in matrix.after])
    axes.set_yticks(rows, [cut(matrix.after[i], 8) for i in rows])
    axes.set_xticks(columns, [cut(matrix.of[j], 8) for j in columns])
    axes.set_ylabel("after experience i")
    axes.set_xlabel("of experience j")
