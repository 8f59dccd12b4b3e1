"""The comparison of several groups: a table of scores, one of settings, and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamreplay.reading.estimates import SeedMean, difference_of_seeds, mean_of_seeds
from streamreplay.reading.number_text import number, percent, points
from streamreplay.reading.report.charts.chart import Table
from streamreplay.reading.report.curves import CurveGroup
from streamreplay.reading.report.learner_sentences import Sentence
from streamreplay.reading.report.summary import LearnerSummary, summarize
from streamreplay.reading.scores import Score
from streamreplay.reading.seed_groups import setting_differences, setting_text

_Read = Callable[[LearnerSummary], float | None]


def scores_table(groups: Sequence[CurveGroup]) -> Table:
    """Return the scores of each group at the end, with the differences from the first group."""
    summaries = [[summarize(learner) for learner in group] for group in groups]
    columns = [
        (title, _cells(read, kind, summaries))
        for title, read, kind in _columns(groups[0].first.score)
    ]
    shown = [(title, cells) for title, cells in columns if any(cell != "-" for cell in cells)]
    rows = [(group.title, *(cells[i] for _, cells in shown)) for i, group in enumerate(groups)]
    return Table(("run", *(title for title, _ in shown)), rows)


def _columns(score: Score) -> list[tuple[str, _Read, str]]:
    """Return the title of each column, how to read it, and how to write it."""
    kind = "share" if score.share else "number"
    by_class = [("retained: mean over classes", _read_retained("known"), kind)]
    return [
        (f"{score.title}, all rows", lambda summary: summary.overall, kind),
        ("in the last window", lambda summary: summary.window, kind),
        (f"retained: {score.retained_title}", _read_retained("score"), kind),
        *(by_class if score.name == "accuracy" else []),
        ("forgetting", _read_retained("forgetting"), kind),
        ("memory rows per row", lambda summary: summary.replayed, "number"),
        ("rows per second", lambda summary: summary.rows_per_s, "rows"),
    ]


def _read_retained(name: str) -> _Read:
    def read(summary: LearnerSummary) -> float | None:
        return getattr(summary.retained[0], name) if summary.retained else None

    return read


def _cells(read: _Read, kind: str, summaries: Sequence[Sequence[LearnerSummary]]) -> list[str]:
    values = [[v for each in group if (v := read(each)) is not None] for group in summaries]
    cells = []
    for place, own in enumerate(values):
        cell = _value_text(mean_of_seeds(own), kind) if own else "-"
        if own and place and values[0]:
            cell += f"\n{_difference_text(difference_of_seeds(own, values[0]), kind)}"
        cells.append(cell)
    return cells


def _value_text(found: SeedMean, kind: str) -> str:
    writers: dict[str, Callable[[float], str]] = {
        "share": percent,
        "rows": "{:,.0f}".format,
        "number": number,
    }
    return f"{writers[kind](found.value)}{_half_text(found, kind)}"


def _difference_text(found: SeedMean, kind: str) -> str:
    if kind == "share":
        return f"{points(found.value)}{_half_text(found, kind)}"
    mean = round(found.value) if kind == "rows" else found.value
    return f"{number(_without_rounding(mean, mean), sign=True)}{_half_text(found, kind)}"


def _half_text(found: SeedMean, kind: str) -> str:
    """Write half the width of an interval."""
    if found.half is None:
        return ""
    if kind == "share":
        return f" ± {100 * found.half:.1f}"
    if kind == "rows":
        return f" ± {found.half:,.0f}"
    return f" ± {number(_without_rounding(found.half, found.value), digits=2)}"


def _without_rounding(value: float, scale: float) -> float:
    """Return 0 for a value that is only a rounding error at this scale."""
    return 0.0 if abs(value) < 1e-12 * max(1.0, abs(scale)) else value


def settings_table(groups: Sequence[CurveGroup]) -> Table | None:
    """Return the settings that differ between groups; None if there are none."""
    rows = [
        (key, *map(setting_text, values)) for key, values in setting_differences(groups).items()
    ]
    return Table(("key", *(group.title for group in groups)), rows) if rows else None


@dataclass(frozen=True)
class _Ranking:
    """The groups from the best to the worst in a score.

    Two values are equal if they look the same as text.
    """

    title: str
    ranked: list[tuple[str, float]]
    score: Score

    @property
    def differs(self) -> bool:
        """Whether the best is better than the worst."""
        values = [value for _, value in self.ranked]
        return len(values) > 1 and self.score.write(values[0]) != self.score.write(values[-1])

    @property
    def leaders(self) -> set[str]:
        """The groups that are as good as the best."""
        best = self.score.write(self.ranked[0][1])
        return {name for name, value in self.ranked if self.score.write(value) == best}

    def sentence(self) -> Sentence:
        """Return a sentence on the best and the worst."""
        (first, best), (last, worst) = self.ranked[0], self.ranked[-1]
        if not self.differs:
            return Sentence(f"{self.title}: all have {self.score.write(best)}.")
        return Sentence(
            f"{self.title}: {first} is best with {self.score.write(best)}, {last} is worst with "
            f"{self.score.write(worst)}."
        )


def comparison_sentences(groups: Sequence[CurveGroup]) -> list[Sentence]:
    """Return sentences on which group is best in predictions as rows came, and in retention."""
    score = groups[0].first.score
    came = _rank(
        groups, lambda summary: summary.overall, f"{score.title.capitalize()} as rows came"
    )
    kept = _rank(groups, _read_retained("score"), f"Retained {score.retained_title} at the end")
    sentences = [ranking.sentence() for ranking in (came, kept) if len(ranking.ranked) > 1]
    if came.differs or kept.differs:
        text = "`streamreplay compare` tests whether such a difference may be chance."
        sentences.append(Sentence(text))
    if came.differs and kept.differs and not came.leaders & kept.leaders:
        text = (
            "The best run as rows came is not the best in retention: prequential "
            f"{score.title} alone is misleading here."
        )
        sentences.append(Sentence(text, "warning"))
    if _differ_in_length(groups):
        text = "The runs have different lengths: their last scores are not of the same rows."
        sentences.append(Sentence(text, "warning"))
    return sentences


def _differ_in_length(groups: Sequence[CurveGroup]) -> bool:
    return len({learner.prequential["position"] for group in groups for learner in group}) > 1


def _rank(groups: Sequence[CurveGroup], read: _Read, title: str) -> _Ranking:
    score, found = groups[0].first.score, []
    for group in groups:
        values = [value for each in group if (value := read(summarize(each))) is not None]
        if values:
            found.append((group.title, mean_of_seeds(values).value))
    return _Ranking(title, sorted(found, key=lambda each: each[1], reverse=score.share), score)
