"""The sections on rows as they came: prequential scores and calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streamreplay.reading.columns import Floats, GroupColumns
from streamreplay.reading.number_text import percent
from streamreplay.reading.report.charts.chart import Chart, Section, Table
from streamreplay.reading.report.charts.lines import (
    MOST_MARKS,
    PlotLine,
    group_lines,
    make_panel,
    panels_chart,
    scores_chart,
)
from streamreplay.reading.report.charts.maps import Map, draw_map
from streamreplay.reading.report.curves import (
    CurveGroup,
    DrawnGroup,
    LearnerCurves,
    ReadCurve,
    drawn_groups,
    mean_curve,
    read_score,
)
from streamreplay.reading.scores import Score

_MOST_CLASSES = 40
_BASELINES = (
    ("last_known", "series2", 2),
    ("no_change", "series2", 2),
    ("majority", "series4", 1),
    ("mean", "series4", 1),
)
# other scores: field, title, whether from 0 to 1
_OTHER_SCORES = (
    ("loss_window", "log loss", False),
    ("kappa", "Cohen's kappa, all rows so far", False),
    ("kappa_temporal_window", "temporal kappa", False),
    ("f1_micro_window", "F1, micro", True),
    ("f1_macro_window", "F1, macro", True),
    ("hamming_loss_window", "Hamming loss", True),
    ("rmse_window", "root mean squared error", False),
    ("r2_window", "R²", False),
)
_SCORES = (("ece", "expected calibration error"), ("brier", "Brier score"))


def predictions_section(groups: Sequence[CurveGroup]) -> Section:
    """Return the section on prequential scores."""
    charts = [*_score_chart(groups)]
    for drawn in drawn_groups(groups):
        classes = drawn.learner.by_class
        if classes is not None and len(classes.ids) > 1 and len(classes.position) > 1:
            charts.append(_class_chart(drawn, classes))
    return Section(
        "predictions",
        "How good were the predictions?",
        "Every row was predicted first and learned afterwards. These scores cover the rows as they "
        "came; they do not show what was forgotten of earlier rows.",
        [*charts, *_other_chart(groups)],
        [] if charts else ["No chart: the log has no scores over a window."],
    )


def _score_chart(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
    first = groups[0].first
    score = first.score
    lines = _single_lines(groups[0], score) if len(groups) == 1 else _overlaid(groups, score)
    if not lines:  # no row had a label
        return
    window = first.settings.get("evaluator.window", 1000)
    head = (
        "predictions",
        f"{score.title.capitalize()} over the stream",
        f"Over the last {window:,} labelled rows.{_marks_text(first)}",
        f"Line chart of {score.title} over {first.prequential['position']:,} rows.",
    )
    yield scores_chart(head, lines, first, score.title)


def _marks_text(learner: LearnerCurves) -> str:
    ended = len(learner.boundaries)
    text = " Vertical lines: ends of experiences." if ended else ""
    if ended > MOST_MARKS:
        text = f" {ended:,} experiences ended, too many to mark them."
    return text + _triangles_text(learner)


def _triangles_text(learner: LearnerCurves) -> str:
    if not learner.drifts:
        return ""
    many = len(learner.drifts) > MOST_MARKS
    return " Triangles: detected drifts" + (", many close together as one." if many else ".")


def _single_lines(group: CurveGroup, score: Score) -> list[PlotLine]:
    """Return the lines of the only group: the model in two ways, and its baselines."""
    found = [
        ("the model", f"{score.name}_window", "series1", 0, 2.0),
        ("the model, fading", f"{score.name}_fading", "series6", 1, 1.0),
    ]
    baselines = score.baselines_of(group.first.prequential)
    found += [
        (baselines[key], f"{key}.{score.name}_window", colour, dash, 1.4)
        for key, colour, dash in _BASELINES
        if key in baselines
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
        for dash, (key, title) in enumerate(
            score.baselines_of(groups[0].first.prequential).items(), 1
        )
        if (line := mean_curve(groups[0], read_score(f"{key}.{score.name}_window"))) is not None
    ]


def _class_chart(drawn: DrawnGroup, classes: GroupColumns) -> Chart:
    _, accuracy = classes.between("accuracy")
    rows = classes.fields["rows"][-1]
    order = np.sort(np.argsort(-np.nan_to_num(rows), kind="stable")[:_MOST_CLASSES])
    names = [classes.ids[i] for i in order]
    total = [percent(float(each)) for each in classes.fields["accuracy"][-1, order]]
    shown = Map(names, classes.position, accuracy[:, order].T, total)

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
        ("Hatched: no rows of the class came. " if np.isnan(shown.values).any() else "")
        + "On the right: accuracy over all rows of the class."
        + (hidden if count > len(names) else ""),
        f"Heat map of accuracy by class over the stream. Over all rows: {end}.",
        lambda canvas: draw_map(canvas, shown),
        height=shown.height,
        table=Table(("class", "rows", "accuracy"), cells),
    )


def _other_chart(groups: Sequence[CurveGroup]) -> Iterator[Chart]:
    chosen = [
        (name, name.removeprefix("metrics.").removesuffix("_window"), False)
        for name in groups[0].first.scores
        if name.startswith("metrics.") and name.endswith("_window")
    ]
    panels = [
        make_panel(title, groups, _read_other(name), share=share)
        for name, title, share in (*_OTHER_SCORES, *chosen)
    ]
    caption = (
        "Over the window, unless the title says otherwise. Horizontal axis: rows of the stream."
    )
    return panels_chart("further", "Other scores", caption, panels)


def _read_other(name: str) -> ReadCurve:
    read = read_score(name)
    if name != "kappa_temporal_window":
        return read

    def read_or_derive(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
        model = learner.scores.get("accuracy_window")
        baseline = learner.scores.get("no_change.accuracy_window")
        if name in learner.scores or model is None or baseline is None:
            return read(learner)
        with np.errstate(invalid="ignore", divide="ignore"):  # where the last label is always right
            kappa = np.where(baseline < 1, (model - baseline) / (1 - baseline), np.nan)
        return learner.scores["position"], kappa

    return read_or_derive


def probability_section(groups: Sequence[CurveGroup]) -> Section | None:
    """Return the section on calibration; None if the log has neither of its scores."""
    panels = []
    for name, title in _SCORES:
        field = f"{name}_window" if f"{name}_window" in groups[0].first.scores else name
        panels.append(make_panel(title, groups, read_score(field), floor=True))
    caption = "Over the window. Horizontal axis: rows of the stream."
    charts = [*panels_chart("probabilities", "Errors of the probabilities", caption, panels)]
    if not charts:
        return None
    lead = (
        "If a calibrated model gives a probability of 80 %, it is right in 80 of 100 cases. Both "
        "scores are errors: 0 is best."
    )
    return Section("probabilities", "Are the probabilities reliable?", lead, charts)
