"""The section on retention: scores on rows that were kept out of learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streamreplay.reading.columns import Floats
from streamreplay.reading.estimates import mean_of_seeds
from streamreplay.reading.number_text import number
from streamreplay.reading.report.charts.chart import Chart, Section, Table
from streamreplay.reading.report.charts.lines import PlotLine, group_lines, scores_chart
from streamreplay.reading.report.curves import (
    MOST_DRAWN,
    CurveGroup,
    LearnerCurves,
    ReadCurve,
    drawn_groups,
    mean_curve,
    read_score,
)
from streamreplay.reading.report.sections.retention_charts import (
    charts_by_group,
    final_classes_chart,
)
from streamreplay.reading.scores import Score, sample_name

_MISSING = (
    "Forgetting was not measured: the job has no probe and no test set. Run with `--probe 0.02` "
    "to keep 2 % of the rows out of learning, or add a `[test]` section to the job."
)
# figures of the last round: field, title
_FIGURES = (
    ("average", "average over the experiences learned"),
    ("forgetting", "forgetting: best score at an earlier end, minus the last score"),
    ("backward_transfer", "backward transfer: last score, minus that at its own end"),
    ("forward_transfer", "forward transfer: score before it was learned, above chance"),
    ("class_forgetting", "forgetting by class: best score, minus the last score"),
    ("area", "area under the curve of retention"),
    ("min_accuracy", "lowest score since its end, mean over earlier experiences"),
    ("stability_gap.depth", "stability gap: drop after the last boundary"),
)


def retention_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on rows that were kept out of learning."""
    title = "What was forgotten?"
    if not any(group.first.retention_curves for group in groups):
        return Section("retention", title, missing=[_MISSING])
    missing = [
        f"{group.title}: forgetting was not measured, since the job has no probe and no test set."
        for group in groups
        if not group.first.retention_curves
    ]
    if len(groups) > MOST_DRAWN:
        missing.append(f"Charts by class and by experience show the first {MOST_DRAWN} only.")
    lead = (
        "The model was tested on rows that it never learned, of everything that the stream has "
        "shown so far: the rows of a test set, or those that a probe kept out of learning."
    )
    return Section("retention", title, lead, [*_charts(groups)], missing, _figures(groups))


def _charts(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
    yield from _score_chart(groups)
    if len(groups) > 1:
        yield from final_classes_chart(groups)
    for drawn in drawn_groups(groups):
        yield from charts_by_group(drawn)


def _read(sample: str | None, field: str) -> ReadCurve:
    """Return a function that reads a score on a sample, or on the first that has it."""

    def read(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
        for curves in learner.retention_curves:
            if sample in (None, curves.sample) and field in curves.columns:
                return curves.columns["position"], curves.columns[field]
        return None

    return read


def _score_chart(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
    first = groups[0].first
    score = first.score
    if len(groups) == 1:
        lines = _single_lines(groups[0], score)
    else:
        lines = group_lines(groups, _read(None, score.retained), 1.8)
    if lines:
        head = (
            "retention",
            "What the model still knew",
            _caption(first, lines),
            f"Line chart of {score.retained_title} on rows never learned.",
        )
        yield scores_chart(head, lines, first, score.retained_title, drifts=False)


def _caption(learner: LearnerCurves, lines: Sequence[PlotLine]) -> str:
    text = "On rows that were never learned."
    tested = any(curves.sample == "test" for curves in learner.retention_curves)
    if tested and learner.score.name == "accuracy":
        text += " Test rows of classes that the stream has not shown yet count as wrong."
    if any("classes" in line.label for line in lines):
        text += " The mean over the classes seen so far gives each class the same weight."
    return text


def _single_lines(group: CurveGroup, score: Score) -> list[PlotLine]:
    """Return the lines of the only group: its samples, and the predictions as rows came."""
    lines = []
    for place, curves in enumerate(group.first.retention_curves):
        colour = "series1" if place == 0 else "series3"
        fields = [(score.retained, "all rows"), ("balanced_accuracy", "mean over the classes seen")]
        for dash, (field, title) in enumerate(fields[: 2 - place]):
            line = mean_curve(group, _read(curves.sample, field))
            if line is not None:
                label = f"{sample_name(curves.sample)}: {title}"
                marker = place if len(line.x) <= 60 else None
                lines.append(PlotLine(label, line, colour, dash, 1.8 - 0.5 * dash, marker))
    prequential = mean_curve(group, read_score(f"{score.name}_window"))
    if prequential is not None and score.name == score.retained:
        lines.append(PlotLine("predictions as rows came", prequential, "soft", 2, 1.2))
    return lines


def _figures(groups: Sequence[CurveGroup]) -> Table | None:
    """Return the last figures of each group; None if there are none."""
    score = groups[0].first.score
    fields = [(score.retained, "all rows"), ("balanced_accuracy", "mean over classes"), *_FIGURES]
    rows = []
    for field, title in fields:
        name = f"average_{score.retained}" if field == "average" else field
        cells = [_cell(group, name, score) for group in groups]
        if any(cell != "-" for cell in cells):
            rows.append((title, *cells))
    header = [_heading(group, alone=len(groups) == 1) for group in groups]
    return Table(("figure", *header), rows) if rows else None


def _heading(group: CurveGroup, *, alone: bool) -> str:
    curves = group.first.main_retention
    sample = "" if curves is None else sample_name(curves.sample)
    return f"{sample}, at the end" if alone else f"{group.title}, {sample}".removesuffix(", ")


def _cell(group: CurveGroup, name: str, score: Score) -> str:
    ends = []
    for learner in group:
        curves = learner.main_retention
        values = np.empty(0) if curves is None else curves.columns.get(name, np.empty(0))
        ends += values[np.isfinite(values)][-1:].tolist()
    if not ends:
        return "-"
    found = mean_of_seeds(ends)
    if found.half is None:
        return score.write(found.value)
    half = f"{100 * found.half:.1f}" if score.share else number(found.half)
    return f"{score.write(found.value)} ± {half}"
