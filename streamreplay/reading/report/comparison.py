"""Several runs side by side: end scores, differences to the first, intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamreplay.reading.report.cases import Case, differences
from streamreplay.reading.report.chart import Table
from streamreplay.reading.report.means import Interval, difference, mean_interval
from streamreplay.reading.report.sentences import Sentence
from streamreplay.reading.report.summary import LearnerSummary, facts_of
from streamreplay.reading.scores import SCORES, Score, number, percent, points

__all__ = ["compare_cases", "jobs_table", "scores_table"]

_Read = Callable[[LearnerSummary], float | None]


def scores_table(cases: Sequence[Case]) -> Table:
    """Return the scores at the end of each case, with differences to the first."""
    facts = [[facts_of(trace) for trace in case.traces] for case in cases]
    columns = [_column(heading, read, kind, facts) for heading, read, kind in _columns(cases)]
    kept = [column for column in columns if any(cell != "-" for cell in column[1])]
    rows = [(case.label, *(cells[place] for _, cells in kept)) for place, case in enumerate(cases)]
    return Table(("run", *(heading for heading, _ in kept)), rows)


def _columns(cases: Sequence[Case]) -> list[tuple[str, _Read, str]]:
    score = SCORES[cases[0].first.objective]
    kind = "share" if score.share else "number"
    return [
        (f"{score.title}, all rows", lambda facts: facts.overall, kind),
        ("in the last window", lambda facts: facts.window, kind),
        (f"retained: {score.retained_title}", _retained("score"), kind),
        *([("retained: mean over classes", _retained("known"), kind)] if _by_class(score) else []),
        ("forgetting", _retained("forgetting"), kind),
        ("memory rows per row", lambda facts: facts.replayed, "number"),
        ("rows per second", lambda facts: facts.rows_per_s, "rows"),
    ]


def _by_class(score: Score) -> bool:
    return score.name == "accuracy"


def _retained(name: str) -> _Read:
    def read(facts: LearnerSummary) -> float | None:
        return getattr(facts.retained[0], name) if facts.retained else None

    return read


def _column(
    heading: str, read: _Read, kind: str, facts: Sequence[Sequence[LearnerSummary]]
) -> tuple[str, list[str]]:
    values = [[v for each in case if (v := read(each)) is not None] for case in facts]
    cells = []
    for place, own in enumerate(values):
        if not own:
            cells.append("-")
            continue
        cell = _written(mean_interval(own), kind)
        if place and values[0]:
            cell += f"\n{_difference(difference(own, values[0]), kind)}"
        cells.append(cell)
    return heading, cells


def _written(found: Interval, kind: str) -> str:
    if kind == "share":
        return f"{percent(found.mean)}{_half(found, kind)}"
    return f"{_whole(found.mean) if kind == 'rows' else number(found.mean)}{_half(found, kind)}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _difference(found: Interval, kind: str) -> str:
    if kind == "share":
        return f"{points(found.mean)}{_half(found, kind)}"
    mean = round(found.mean) if kind == "rows" else found.mean
    return f"{number(_cleared(mean, abs(mean)), sign=True)}{_half(found, kind)}"


def _half(found: Interval, kind: str) -> str:
    """Write how far an interval reaches to each side."""
    if found.half is None:
        return ""
    if kind == "share":
        return f" ± {100 * found.half:.1f}"
    if kind == "rows":
        return f" ± {_whole(found.half)}"
    return f" ± {number(_cleared(found.half, found.mean), digits=2)}"


def _cleared(value: float, scale: float) -> float:
    """Return 0 in place of what is left of rounding."""
    return 0.0 if abs(value) < 1e-12 * max(1.0, abs(scale)) else value


def jobs_table(cases: Sequence[Case]) -> Table | None:
    """Return what is not the same in all jobs."""
    found = differences(cases)
    if not found:
        return None
    header = ("key", *(case.label for case in cases))
    return Table(header, [(key, *values) for key, values in found])


def compare_cases(cases: Sequence[Case]) -> list[Sentence]:
    """Say in sentences which case is best, as rows came and in what it retains."""
    score = SCORES[cases[0].first.objective]
    asked = _ranked(cases, lambda facts: facts.overall, score)
    kept = _ranked(cases, _retained("score"), score)
    ranks = (
        (f"{score.title.capitalize()} as rows came", asked),
        (f"Retained {score.retained_title} at the end", kept),
    )
    said = [Sentence(_best(what, found, score)) for what, found in ranks if len(found) > 1]
    if any(_tells(found, score) for _, found in ranks):
        said.append(
            Sentence("Whether such a difference may be chance, `streamreplay compare` tells.")
        )
    if (
        _tells(asked, score)
        and _tells(kept, score)
        and not _leaders(asked, score) & _leaders(kept, score)
    ):
        said.append(
            Sentence(
                f"The best as rows came is not the best in what is retained: prequential "
                f"{score.title} alone would mislead here.",
                "warning",
            )
        )
    if len({int(trace.last["position"]) for case in cases for trace in case.traces}) > 1:
        said.append(
            Sentence(
                "The runs are not equally long: scores at their ends are of different rows.",
                "warning",
            )
        )
    return said


def _best(what: str, found: Sequence[tuple[str, float]], score: Score) -> str:
    (first, best), (last, least) = found[0], found[-1]
    if not _tells(found, score):
        return f"{what}: all have {score.write(best)}."
    return (
        f"{what}: best is {first} with {score.write(best)}, least good {last} with "
        f"{score.write(least)}."
    )


def _tells(found: Sequence[tuple[str, float]], score: Score) -> bool:
    """Tell whether the first and the last differ as they are written."""
    return len(found) > 1 and score.write(found[0][1]) != score.write(found[-1][1])


def _leaders(found: Sequence[tuple[str, float]], score: Score) -> set[str]:
    """Return those that are as good as the best, as they are written."""
    return {name for name, value in found if score.write(value) == score.write(found[0][1])}


def _ranked(cases: Sequence[Case], read: _Read, score: Score) -> list[tuple[str, float]]:
    found = []
    for case in cases:
        values = [value for t in case.traces if (value := read(facts_of(t))) is not None]
        if values:
            found.append((case.label, mean_interval(values).mean))
    return sorted(found, key=lambda each: each[1], reverse=score.share)
