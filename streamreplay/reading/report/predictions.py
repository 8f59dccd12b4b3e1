"""How good the predictions were: the section about rows as they came."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streamreplay.reading.report.cases import Case, curve
from streamreplay.reading.report.chart import Canvas, Chart, Section, Table
from streamreplay.reading.report.columns import Floats, GroupColumns
from streamreplay.reading.report.maps_and_stacks import Map, colour_bar, draw_map
from streamreplay.reading.report.panels import make_panel, panels_chart
from streamreplay.reading.report.plots import (
    MOST_MARKS,
    PlotLine,
    boundaries,
    case_lines,
    draw_scores,
    ends_text,
    lines_table,
)
from streamreplay.reading.report.trace import Trace
from streamreplay.reading.scores import SCORES, Score, percent

__all__ = ["MOST_DRAWN", "case_title", "predictions_section", "read_column"]

MOST_DRAWN = 4
"""Cases of which a chart of their own is drawn, where one cannot hold several."""

_MOST_CLASSES = 40
_BASELINES = (("no_change", "series2", 2), ("majority", "series4", 1), ("mean", "series4", 1))
# further scores: field, title, whether from 0 to 1
_FURTHER = (
    ("loss_window", "log loss", False),
    ("kappa", "Cohen's kappa", False),
    ("kappa_temporal", "temporal kappa", False),
    ("f1_micro_window", "F1, micro", True),
    ("f1_macro_window", "F1, macro", True),
    ("hamming_loss_window", "Hamming loss", True),
    ("rmse_window", "root mean squared error", False),
    ("r2_window", "R²", False),
)


def read_column(name: str) -> Callable[[Trace], tuple[Floats, Floats] | None]:
    """Return a reader of a prequential score along the stream, for `curve`."""

    def read(trace: Trace) -> tuple[Floats, Floats] | None:
        values = trace.scores.get(name)
        return None if values is None else (trace.scores["position"], values)

    return read


def case_title(title: str, case: Case, cases: Sequence[Case]) -> str:
    """Return a chart's title, with what it is of where there are several."""
    if len(cases) == 1:
        return title
    several = f", seed {case.first.seed}" if len(case.traces) > 1 else ""
    return f"{title}: {case.label}{several}"


def predictions_section(cases: Sequence[Case]) -> Section:
    """Return the section with scores as the stream came."""
    charts = [chart for chart in [_score_chart(cases)] if chart is not None]
    for place, case in enumerate(cases[:MOST_DRAWN]):
        found = case.first.by_class
        if found is not None and len(found.ids) > 1 and len(found.position) > 1:
            charts.append(_class_chart(case, cases, found, place))
    further = _further_chart(cases)
    missing = [] if charts else ["There are no scores over a window: nothing can be drawn."]
    return Section(
        "predictions",
        "How good were the predictions?",
        "Every row was predicted first and learned afterwards. These scores are of what came, when "
        "it came: they say nothing about what is no longer asked for.",
        [*charts, *([further] if further else [])],
        missing,
    )


def _score_chart(cases: Sequence[Case]) -> Chart | None:
    first = cases[0].first
    score = SCORES[first.objective]
    lines = _one_case_lines(cases[0], score) if len(cases) == 1 else _several_lines(cases, score)
    if not lines:  # no row had a label
        return None

    def draw(canvas: Canvas) -> None:
        draw_scores(canvas, lines, first, score, score.title)

    ends = ends_text(lines, score)
    ended = len(boundaries(first))
    marks = " Vertical lines: ends of experiences." if ended else ""
    if ended > MOST_MARKS:
        marks = f" {ended:,} experiences ended, too many to mark them."
    marks += " Triangles: detected drifts." if first.drifts else ""
    window = first.job.get("evaluator", {}).get("window", 1000)
    return Chart(
        "predictions",
        f"{score.title.capitalize()} over the stream",
        f"Over the last {window:,} labelled rows.{marks}",
        f"Line chart of {score.title} over {first.last['position']:,} rows. At the end: {ends}.",
        draw,
        height=3.1,
        narrow_height=3.3,
        table=lines_table(lines, score.write),
    )


def _one_case_lines(case: Case, score: Score) -> list[PlotLine]:
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
        if (line := curve(case, read_column(field))) is not None
    ]


def _several_lines(cases: Sequence[Case], score: Score) -> list[PlotLine]:
    return case_lines(cases, read_column(f"{score.name}_window"), 1.8) + [
        PlotLine(title, line, "soft", dash, 1.1)
        for dash, (key, title) in enumerate(score.baselines.items(), 1)
        if (line := curve(cases[0], read_column(f"{key}.{score.name}_window"))) is not None
    ]


def _class_chart(case: Case, cases: Sequence[Case], found: GroupColumns, place: int) -> Chart:
    _, score = found.between("accuracy")
    most = np.argsort(-np.nan_to_num(found.fields["rows"][-1]), kind="stable")[:_MOST_CLASSES]
    order = np.sort(most)  # as they appeared
    names = [found.ids[i] for i in order]
    total = found.fields["accuracy"][-1, order]
    shown = Map(names, found.position, score[:, order].T, [percent(each) for each in total])

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        image = draw_map(canvas, axes, shown)
        colour_bar(canvas, axes, image)

    more = len(found.ids) + found.left_out - len(names)
    end = "; ".join(f"{name} {percent(each)}" for name, each in zip(names, total, strict=True))
    return Chart(
        f"classes-{place}" if place else "classes",
        case_title("Accuracy by class, as rows came", case, cases),
        "Blank: no rows of the class came. On the right: over all rows of the class."
        + (f" The {len(names)} largest of {len(names) + more:,} classes." if more else ""),
        f"Heat map of accuracy by class over the stream. Over all rows: {end}.",
        draw,
        height=max(1.5, 0.75 + 0.2 * len(names)),
        table=Table(
            ("class", "rows", "accuracy"),
            [
                (name, f"{found.fields['rows'][-1, i]:,.0f}", percent(float(each)))
                for name, i, each in zip(names, order, total, strict=True)
            ],
        ),
    )


def _further_chart(cases: Sequence[Case]) -> Chart | None:
    asked = [
        (name, name.removeprefix("metrics.").removesuffix("_window"), False)
        for name in cases[0].first.scores
        if name.startswith("metrics.") and name.endswith("_window")
    ]
    panels = [
        panel
        for name, title, share in (*_FURTHER, *asked)
        if (panel := make_panel(title, cases, read_column(name), share=share)) is not None
    ]
    caption = "Over the window, where a score has one. Horizontal: rows of the stream."
    return panels_chart("further", "Further scores", caption, panels) if panels else None
