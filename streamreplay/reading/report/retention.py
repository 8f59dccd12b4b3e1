"""What was forgotten: the section about rows that were kept out of learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streamreplay.reading.report.cases import Case, curve
from streamreplay.reading.report.chart import MARKERS, Canvas, Chart, Section, Table
from streamreplay.reading.report.columns import Floats, GroupColumns
from streamreplay.reading.report.maps_and_stacks import names_axis
from streamreplay.reading.report.means import mean_interval
from streamreplay.reading.report.plots import (
    PlotLine,
    case_lines,
    cut,
    draw_scores,
    ends_text,
    legend,
    lines_table,
)
from streamreplay.reading.report.predictions import MOST_DRAWN, read_column
from streamreplay.reading.report.retention_maps import (
    age_chart,
    class_map,
    experience_map,
    matrix_chart,
)
from streamreplay.reading.report.trace import Rounds, Trace
from streamreplay.reading.scores import SCORES, Score, number, percent, tick

__all__ = ["main_rounds", "retention_section"]

_MISSING = (
    "No probe and no test set: what was forgotten is not known. Run with `--probe 0.02` to keep "
    "two rows of a hundred out of learning, or give the job a `[test]` section."
)
_SAMPLES = {"test": "test set", "probe": "probe"}
_MOST_CLASSES = 40
# figures of the last round: field, what it is called
_FIGURES = (
    ("average", "average over the experiences learned"),
    ("forgetting", "forgetting: the best at an earlier end, less the present"),
    ("backward_transfer", "backward transfer: the present, less that at its own end"),
    ("forward_transfer", "forward transfer: before it was learned, over chance"),
    ("class_forgetting", "forgetting by class: the best round, less the present"),
    ("area", "area under the curve of retention"),
    ("min_accuracy", "lowest since its end, mean over earlier experiences"),
    ("stability_gap.depth", "stability gap: drop behind the last boundary"),
)


def main_rounds(trace: Trace) -> Rounds | None:
    """Return the rounds that say most: those that came most often."""
    return max(trace.rounds, key=lambda rounds: len(rounds.columns["position"]), default=None)


def retention_section(cases: Sequence[Case]) -> Section:
    """Return the section on what was still known."""
    title = "What was forgotten?"
    if not any(case.first.rounds for case in cases):
        return Section("retention", title, missing=[_MISSING])
    charts = [chart for chart in [_score_chart(cases)] if chart is not None]
    if len(cases) > 1:
        charts += [chart for chart in [_classes_at_end(cases)] if chart is not None]
    for place, case in enumerate(cases[:MOST_DRAWN]):
        rounds = main_rounds(case.first)
        if rounds is not None:
            makers = (class_map, experience_map, age_chart, matrix_chart)
            made = (make(rounds, case, cases, place) for make in makers)
            charts += [chart for chart in made if chart is not None]
    missing = [
        f"{case.label}: no probe and no test set, so what it forgot is not known."
        for case in cases
        if not case.first.rounds
    ]
    if len(cases) > MOST_DRAWN:
        missing.append(f"Classes and experiences are drawn of the first {MOST_DRAWN} only.")
    lead = (
        "The model was asked for rows that it never learned, of all that the stream has shown so "
        "far: a test set, or a probe of rows that were kept out of learning."
    )
    return Section("retention", title, lead, charts, missing, _figures(cases))


def _read(sample: str | None, field: str) -> Callable[[Trace], tuple[Floats, Floats] | None]:
    def read(trace: Trace) -> tuple[Floats, Floats] | None:
        for rounds in trace.rounds:
            if sample in (None, rounds.sample) and field in rounds.columns:
                return rounds.columns["position"], rounds.columns[field]
        return None

    return read


def _score_chart(cases: Sequence[Case]) -> Chart | None:
    first = cases[0].first
    score = SCORES[first.objective]
    if len(cases) == 1:
        lines = _one_case_lines(cases[0], score)
    else:
        lines = case_lines(cases, _read(None, score.retained), 1.8)
    if not lines:
        return None

    def draw(canvas: Canvas) -> None:
        draw_scores(canvas, lines, first, score, score.retained_title, drifts=False)

    ends = ends_text(lines, score)
    test = any(rounds.sample == "test" for rounds in first.rounds)
    unseen = "Test rows of classes that the stream has not shown yet count as wrong."
    which = "On rows that were never learned."
    which += f" {unseen}" if test and score.name == "accuracy" else ""
    which += (
        " The mean over the classes seen so far counts each of them alike."
        if any("classes" in line.label for line in lines)
        else ""
    )
    return Chart(
        "retention",
        "What the model still knew",
        which,
        f"Line chart of {score.retained_title} on rows never learned. At the end: {ends}.",
        draw,
        height=3.1,
        narrow_height=3.3,
        table=lines_table(lines, score.write),
    )


def _one_case_lines(case: Case, score: Score) -> list[PlotLine]:
    lines = []
    samples = [rounds.sample for rounds in case.first.rounds]
    for place, sample in enumerate(samples):
        name = _SAMPLES.get(sample, sample)
        for field, what, dash in (
            (score.retained, "all rows", 0),
            ("balanced_accuracy", "mean over the classes seen", 1),
        ):
            line = curve(case, _read(sample, field)) if place == 0 or dash == 0 else None
            if line is not None:
                marker = place if len(line.x) <= 60 else None
                colour = "series1" if place == 0 else "series3"
                lines.append(
                    PlotLine(f"{name}: {what}", line, colour, dash, 1.8 - 0.5 * dash, marker)
                )
    asked = curve(case, read_column(f"{score.name}_window"))
    if asked is not None and score.name == score.retained:
        lines.append(PlotLine("predictions as rows came", asked, "soft", 2, 1.2))
    return lines


def _classes_at_end(cases: Sequence[Case]) -> Chart | None:
    """Draw what each case knows of each class in the last round, as dots in a row."""
    found: list[tuple[Case, dict[str, float]]] = []
    for case in cases:
        ends = [_last_by_class(trace) for trace in case.traces]
        told = dict.fromkeys(name for each in ends for name in each)
        known = {n: mean_interval([e[n] for e in ends if n in e]).mean for n in told}
        if known:
            found.append((case, known))
    names = list(dict.fromkeys(name for _, known in found for name in known))[:_MOST_CLASSES]
    if not names:
        return None
    at = {id(case): place for place, case in enumerate(cases)}

    def draw(canvas: Canvas) -> None:
        axes = canvas.figure.subplots()
        for place, name in enumerate(names):
            told = [known[name] for _, known in found if name in known]
            axes.plot((min(told), max(told)), (place, place), color=canvas.ink["line"], zorder=1)
        for case, known in found:
            place = at[id(case)]
            shown = [(known[name], row) for row, name in enumerate(names) if name in known]
            axes.plot(
                *zip(*shown, strict=True),
                linestyle="none",
                marker=MARKERS[place % len(MARKERS)],
                markersize=6,
                color=canvas.series(place),
                label=cut(case.label, 48),
            )
        names_axis(axes, names)
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x")
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(lambda value, _: tick(value))
        axes.set_xlabel("accuracy on rows never learned, at the end")
        legend(canvas, axes)

    rows = [
        (name, *(percent(known[name]) if name in known else "-" for _, known in found))
        for name in names
    ]
    return Chart(
        "classes-at-end",
        "What was known of each class at the end",
        "One mark for each run; the mean where there are several seeds.",
        "Dot plot of accuracy by class at the end; the table below has its values.",
        draw,
        height=max(1.8, 1.0 + 0.2 * len(names)),
        table=Table(("class", *(case.label for case, _ in found)), rows),
    )


def _last_by_class(trace: Trace) -> dict[str, float]:
    rounds = main_rounds(trace)
    groups: GroupColumns | None = None if rounds is None else rounds.by_class
    if groups is None or "accuracy" not in groups.fields:
        return {}
    values = groups.fields["accuracy"][-1]
    return {n: float(v) for n, v in zip(groups.ids, values, strict=True) if np.isfinite(v)}


def _figures(cases: Sequence[Case]) -> Table | None:
    """Return the figures of the last round that has them, of each case."""
    score = SCORES[cases[0].first.objective]
    fields = [(score.retained, "all rows"), ("balanced_accuracy", "mean over classes"), *_FIGURES]
    rows = []
    for field, what in fields:
        name = f"average_{score.retained}" if field == "average" else field
        cells = [_cell(case, name, score) for case in cases]
        if any(cell != "-" for cell in cells):
            rows.append((what, *cells))
    header = [_heading(case, alone=len(cases) == 1) for case in cases]
    return Table(("figure", *header), rows) if rows else None


def _heading(case: Case, *, alone: bool) -> str:
    rounds = main_rounds(case.first)
    sample = "" if rounds is None else _SAMPLES.get(rounds.sample, rounds.sample)
    return f"{sample}, at the end" if alone else f"{case.label}, {sample}".removesuffix(", ")


def _cell(case: Case, name: str, score: Score) -> str:
    ends = []
    for trace in case.traces:
        rounds = main_rounds(trace)
        values = None if rounds is None else rounds.columns.get(name)
        if values is not None and np.isfinite(values).any():
            ends.append(float(values[np.isfinite(values)][-1]))
    if not ends:
        return "-"
    found = mean_interval(ends)
    if found.half is None:
        return score.write(found.mean)
    half = f"{100 * found.half:.1f}" if score.share else number(found.half)
    return f"{score.write(found.mean)} ± {half}"
