"""The contents of a report on runs: key figures, sentences, tables and sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamreplay import __version__
from streamreplay.reading.number_text import and_list, number
from streamreplay.reading.report.charts.chart import Chart, Section, Table
from streamreplay.reading.report.curves import CurveGroup, LearnerCurves, read_curves
from streamreplay.reading.report.group_comparison import (
    comparison_sentences,
    scores_table,
    settings_table,
)
from streamreplay.reading.report.learner_sentences import Sentence, learner_sentences
from streamreplay.reading.report.sections.change import change_section
from streamreplay.reading.report.sections.drift import drift_section
from streamreplay.reading.report.sections.origin import origin_section, rows_section
from streamreplay.reading.report.sections.predictions import (
    predictions_section,
    probability_section,
)
from streamreplay.reading.report.sections.replay_and_cost import cost_section, replay_section
from streamreplay.reading.report.sections.retention import retention_section
from streamreplay.reading.report.summary import summarize
from streamreplay.reading.run import check_same_objective
from streamreplay.reading.seed_groups import group_by_seed

_MOST_SUMMARIES = 6  # groups that get sentences of their own
_SECTIONS = (
    change_section,
    predictions_section,
    retention_section,
    drift_section,
    replay_section,
    probability_section,
    cost_section,
    rows_section,
    origin_section,
)


@dataclass(frozen=True)
class RunReport:
    """Everything that a page shows.

    Attributes
    ----------
    title : str
    runs : list of str
        The run folders.
    tiles : list of (str, str, str)
        Key figures of a single run: title, figure, remark.
    summary : list of (str, list of Sentence)
        By group; the first title is "".
    tables : list of (str, Table)
        Captions and tables that compare several learners.
    sections : list of Section
    version : str
        Of this library.
    """

    title: str
    runs: list[str]
    tiles: list[tuple[str, str, str]]
    summary: list[tuple[str, list[Sentence]]]
    tables: list[tuple[str, Table]]
    sections: list[Section]
    version: str = __version__

    @property
    def charts(self) -> list[Chart]:
        """All charts."""
        return [chart for section in self.sections for chart in section.charts]


def make_report(
    runs: Sequence[Path],
    title: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> RunReport:
    """Read runs and make a report on them.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    title : str, optional
        By default the names of the runs.
    progress : callable
        Called with a text at each step.

    Raises
    ------
    RunFolderError
        A folder is not a run folder, cannot be read, has no scores yet, or its scores are of
        another kind than those of the first.
    """
    folders = list(dict.fromkeys(runs))
    learners: list[LearnerCurves] = []
    for folder in folders:
        progress(f"reading {folder}")
        learners += read_curves(folder)
    check_same_objective(learners)
    groups = group_by_seed(learners)
    sections = [make(groups) for make in _SECTIONS]
    return RunReport(
        title=title or _title(groups),
        runs=[str(folder) for folder in folders],
        tiles=_tiles(groups[0].first) if len(groups) == 1 else [],
        summary=_summary(groups),
        tables=_tables(groups),
        sections=[section for section in sections if section is not None],
    )


def _title(groups: Sequence[CurveGroup]) -> str:
    titles, first = [group.title for group in groups], groups[0].first
    if len({group.first.run for group in groups}) == 1 and first.learner:
        return f"{first.run.folder.resolve().name}: {len(groups)} learners"
    if len(titles) > 3:
        return f"{titles[0]} and {len(titles) - 1} more"
    return and_list(titles)


def _summary(groups: Sequence[CurveGroup]) -> list[tuple[str, list[Sentence]]]:
    own = [
        (group.title, [*_seeds(group), *learner_sentences(group.first)])
        for group in groups[:_MOST_SUMMARIES]
    ]
    return [("", own[0][1])] if len(groups) == 1 else [("", comparison_sentences(groups)), *own]


def _seeds(group: CurveGroup) -> Iterator[Sentence]:
    if len(group) > 1:
        names = ", ".join(str(learner.seed) for learner in group)
        yield Sentence(
            f"{len(group)} runs that differ only in their seed ({names}): curves show means, "
            f"bands 95 % intervals. The sentences below describe seed {group.first.seed}."
        )


def _tables(groups: Sequence[CurveGroup]) -> list[tuple[str, Table]]:
    if len(groups) == 1 and len(groups[0]) == 1:
        return []
    caption = "Scores at the end"
    if len(groups) > 1:
        caption += "; below each the difference from the first, for shares in percentage points"
    if any(len(group) > 1 for group in groups):
        caption += "; ± half the width of the 95 % interval of the mean over seeds (Student's t)"
    settings = settings_table(groups)
    tables = [(f"{caption}.", scores_table(groups))]
    return tables if settings is None else [*tables, ("Settings that differ.", settings)]


def _tiles(learner: LearnerCurves) -> list[tuple[str, str, str]]:
    summary = summarize(learner)
    score, rows = summary.score, f"{summary.rows:,} labelled rows"
    tiles = [(f"{score.title.capitalize()} as rows came", score.write(summary.overall), rows)]
    if summary.baselines:
        best = summary.best_baseline
        tiles.append(
            ("Without a model", score.write(summary.baselines[best]), f"{best}, same rows")
        )
    for retained in summary.retained[:1]:
        sample = "a test set" if retained.sample == "test" else "the probe"
        known = score.write(retained.known)
        tiles.append(("Still known at the end", known, f"{retained.rows:,} rows of {sample}"))
        if retained.forgetting is not None:
            forgetting = score.write(retained.forgetting)
            tiles.append(("Forgetting", forgetting, "below its best, on average"))
    replayed = number(summary.replayed, digits=3)
    tiles.append(("Replayed", replayed, "memory rows for each row"))
    if summary.rows_per_s is not None:
        tiles.append(("Rows per second", f"{summary.rows_per_s:,.0f}", "on average"))
    return tiles
