"""The section on prequential scores: how good the predictions were as the rows came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamreplay.reading.columns import GroupColumns
from streamreplay.reading.number_text import percent
from streamreplay.reading.report.charts.axes import MOST_MARKS, boundaries
from streamreplay.reading.report.charts.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.charts.lines import (
    PlotLine,
    draw_scores,
    ends_text,
    group_lines,
    lines_table,
)
from streamreplay.reading.report.charts.maps import Map, colour_bar, draw_map, map_height
from streamreplay.reading.report.charts.panels import make_panel, panels_chart
from streamreplay.reading.report.data.curves import LearnerCurves
from streamreplay.reading.report.data.seed_means import CurveGroup, mean_curve, read_score
from streamreplay.reading.report.sections.drawn_group import DrawnGroup, drawn_groups
from streamreplay.reading.scores import Score

_MOST_CLASSES = 40
_BASELINES = (("no_change", "series2", 2), ("majority", "series4", 1), ("mean", "series4", 1))
# other scores: field, title, whether from 0 to 1
_OTHER_SCORES = (
    ("loss_window", "log loss", False),
    ("kappa", "Cohen's kappa", False),
    ("kappa_temporal", "temporal kappa", False),
    ("f1_micro_window", "F1, micro", True),
    ("f1_macro_window", "F1, macro", True),
    ("hamming_loss_window", "Hamming loss", True),
    ("rmse_window", "root mean squared error", False),
    ("r2_window", "R²", False),
)


def predictions_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on prequential scores."""
    charts = [_score_chart(groups)]
    for drawn in drawn_groups(groups):
        classes = drawn.learner.by_class
        if classes is not None and len(classes.ids) > 1 and len(classes.position) > 1:
            charts.append(_class_chart(drawn, classes))
    found = [chart for chart in charts if chart is not None]
    other = _other_chart(groups)
    return Section(
        "predictions",
        "How good were the predictions?",
        "Every row was predicted first and learned afterwards. These scores cover the rows as they "
        "came; they do not show what was forgotten of earlier rows.",
        [*found, *([other] if other else [])],
        [] if found else ["No chart: the log has no scores over a window."],
    )


def _score_chart(groups: Sequence[CurveGroup]) -> Chart | None:
    first = groups[0].first
    score = first.score
    lines = _single_lines(groups[0], score) if len(groups) == 1 else _overlaid(groups, score)
    if not lines:  # no row had a label
        return None

    def draw(canvas: Canvas) -> None:
        draw_scores(canvas, lines, first, score.title)

    ends = ends_text(lines, score)
    window = first.settings.get("evaluator.window", 1000)
    rows = f"{first.prequential['position']:,}"
    return Chart(
        "predictions",
        f"{score.title.capitalize()} over the stream",
        f"Over the last {window:,} labelled rows.{_marks_text(first)}",
        f"Line chart of {score.title} over {rows} rows. At the end: {ends}.",
        draw,
        height=3.1,
        narrow_height=3.3,
        table=lines_table(lines, score.write),
    )


def _marks_text(learner: LearnerCurves) -> str:
    ended = len(boundaries(learner))
    text = " Vertical lines: ends of experiences." if ended else ""
    if ended > MOST_MARKS:
        text = f" {ended:,} experiences ended, too many to mark them."
    return text + (" Triangles: detected drifts." if learner.drifts else "")


def _single_lines(group: CurveGroup, score: Score) -> list[PlotLine]:
    """Return the lines of the only group: the model in two ways, and its baselines."""
    found = [
        ("the model", f"{score.name}_window", "series1", 0, 2.0),
        ("the model, fading", f"{score.name}_fading", "series6", 1, 1.0),
    ]
    found += [
        (score.baselines[key], f"{key}.{score.name}_window", colour, dash, 1.4)
        for key, colour, dash in _BASELINES
        if key in score.baselines
    ]
    return [
        PlotLine(label, line, colour, dash, width)
        for label, field, colour, dash, width in found
        if (line := mean_curve(group, read_score(field))) is not None
    ]


def _overlaid(groups: Sequence[CurveGroup], score: Score) -> list[PlotLine]:
    """Return a line for each group, and the baselines of the first one."""
    return group_lines(groups, read_score(f"{score.name}_window"), 1.8) + [
        PlotLine(title, line, "soft", dash, 1.1)
        for dash, (key, title) in enumerate(score.baselines.items(), 1)
        if (line := mean_curve(groups[0], read_score(f"{key}.{score.name}_window"))) is not None
    ]


def _class_chart(drawn: DrawnGroup, classes: GroupColumns) -> Chart:
    _, accuracy = classes.between("accuracy")
    rows = classes.fields["rows"][-1]
    order = np.sort(np.argsort(-np.nan_to_num(rows), kind="stable")[:_MOST_CLASSES])
    names = [classes.ids[i] for i in order]
    total = [percent(float(each)) for each in classes.fields["accuracy"][-1, order]]
    shown = Map(names, classes.position, accuracy[:, order].T, total)

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        image = draw_map(canvas, axes, shown)
        colour_bar(canvas, axes, image)

    count = len(classes.ids) + classes.left_out
    hidden = f" Only the {len(names)} largest of {count:,} classes are shown."
    cells = [
        (name, f"{rows[i]:,.0f}", all_rows)
        for name, i, all_rows in zip(names, order, total, strict=True)
    ]
    end = "; ".join(f"{name} {all_rows}" for name, _, all_rows in cells)
    return Chart(
        drawn.name("classes"),
        drawn.title("Accuracy by class, as rows came"),
        "Blank: there were no rows of the class. On the right: accuracy over all rows of the class."
        + (hidden if count > len(names) else ""),
        f"Heat map of accuracy by class over the stream. Over all rows: {end}.",
        draw,
        height=map_height(len(names)),
        table=Table(("class", "rows", "accuracy"), cells),
    )


def _other_chart(groups: Sequence[CurveGroup]) -> Chart | None:
    chosen = [
        (name, name.removeprefix("metrics.").removesuffix("_window"), False)
        for name in groups[0].first.scores
        if name.startswith("metrics.") and name.endswith("_window")
    ]
    panels = [
        panel
        for name, title, share in (*_OTHER_SCORES, *chosen)
        if (panel := make_panel(title, groups, read_score(name), share=share)) is not None
    ]
    caption = "Over the window, if the score has one. Horizontal axis: rows of the stream."
    return panels_chart("further", "Other scores", caption, panels) if panels else None
