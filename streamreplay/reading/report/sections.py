"""From run folders to what a report says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamreplay import __version__
from streamreplay.errors import RunFolderError
from streamreplay.reading.report.cases import Case, make_cases
from streamreplay.reading.report.chart import Chart, Section, Table
from streamreplay.reading.report.comparison import compare_cases, jobs_table, scores_table
from streamreplay.reading.report.cost import cost_section
from streamreplay.reading.report.drifts import drift_section
from streamreplay.reading.report.predictions import predictions_section
from streamreplay.reading.report.probabilities import probability_section
from streamreplay.reading.report.replay import replay_section
from streamreplay.reading.report.retention import retention_section
from streamreplay.reading.report.sentences import Sentence, sum_up
from streamreplay.reading.report.summary import facts_of
from streamreplay.reading.report.trace import Trace, read_traces
from streamreplay.reading.scores import and_list, number

__all__ = ["RunReport", "make_report"]

_MOST_SUMMED = 6  # cases that are summed up one by one


@dataclass(frozen=True)
class RunReport:
    """All that a page shows.

    Attributes
    ----------
    title : str
    runs : list of str
        The folders it is about.
    tiles : list of (str, str, str)
        Key figures of a single run: what it is, the figure, a remark.
    summary : list of (str, list of Sentence)
        By case; "" where there is one.
    tables : list of (str, Table)
        Of several cases: a caption and what it says.
    sections : list of Section
    version : str
        Of this library.
    """

    title: str
    runs: list[str]
    tiles: list[tuple[str, str, str]]
    summary: list[tuple[str, list[Sentence]]]
    tables: list[tuple[str, Table]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
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
    """Read runs and work out what to show of them.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    title : str, optional
        By default the runs' names.
    progress : callable
        Is told what is being done.

    Raises
    ------
    RunFolderError
        A folder is not a run's, has not reported yet, cannot be read, or its scores are of another
        kind than those of the first.
    """
    traces: list[Trace] = []
    for run in dict.fromkeys(runs):
        progress(f"reading {run}")
        traces += read_traces(run)
    for trace in traces:
        if trace.objective != traces[0].objective:
            raise RunFolderError(
                f"{trace.run}: predicts {trace.objective}, but {traces[0].run} predicts "
                f"{traces[0].objective}: they cannot be in one report"
            )
    cases = make_cases(traces)
    found = [
        predictions_section(cases),
        retention_section(cases),
        drift_section(cases),
        replay_section(cases),
        probability_section(cases),
        cost_section(cases),
    ]
    return RunReport(
        title=title or _title(cases),
        runs=[str(run) for run in dict.fromkeys(runs)],
        tiles=_tiles(cases[0]) if len(cases) == 1 else [],
        summary=_summary(cases),
        tables=_tables(cases),
        sections=[section for section in found if section is not None],
    )


def _title(cases: Sequence[Case]) -> str:
    labels = [case.label for case in cases]
    if len({case.first.run for case in cases}) == 1 and cases[0].first.learner is not None:
        return f"{cases[0].first.run.resolve().name}: {len(cases)} learners"
    if len(labels) > 3:
        return f"{labels[0]} and {len(labels) - 1} more"
    return and_list(labels)


def _summary(cases: Sequence[Case]) -> list[tuple[str, list[Sentence]]]:
    if len(cases) == 1:
        return [("", [*_seeds(cases[0]), *sum_up(cases[0].first)])]
    several = [("", compare_cases(cases))]
    return several + [
        (case.label, [*_seeds(case), *sum_up(case.first)]) for case in cases[:_MOST_SUMMED]
    ]


def _seeds(case: Case) -> Iterable[Sentence]:
    if len(case.traces) > 1:
        names = ", ".join(str(trace.seed) for trace in case.traces)
        yield Sentence(
            f"{len(case.traces)} runs that differ only in their seed ({names}): curves are means, "
            f"bands their 95 % intervals. What follows is of seed {case.first.seed}."
        )


def _tables(cases: Sequence[Case]) -> list[tuple[str, Table]]:
    if len(cases) == 1 and len(cases[0].traces) == 1:
        return []
    caption = "Scores at the end"
    if len(cases) > 1:
        caption += "; below each the difference to the first, of shares in percentage points"
    if any(len(case.traces) > 1 for case in cases):
        caption += "; ± half the 95 % interval of the mean over seeds, by Student's t"
    found = [(f"{caption}.", scores_table(cases))]
    jobs = jobs_table(cases)
    return found if jobs is None else [*found, ("What differs between the jobs.", jobs)]


def _tiles(case: Case) -> list[tuple[str, str, str]]:
    facts = facts_of(case.first)
    score = facts.score
    tiles = [
        (
            f"{score.title.capitalize()} as rows came",
            score.write(facts.overall),
            f"{facts.rows:,} labelled rows",
        )
    ]
    if facts.baselines:
        best = facts.best_baseline
        tiles.append(("Without a model", score.write(facts.baselines[best]), best))
    for retained in facts.retained[:1]:
        sample = "a test set" if retained.sample == "test" else "the probe"
        tiles.append(
            (
                "Still known at the end",
                score.write(retained.known),
                f"{retained.rows:,} rows of {sample}",
            )
        )
        if retained.forgetting is not None:
            forgetting = score.write(retained.forgetting)
            tiles.append(("Forgetting", forgetting, "below its best, on average"))
    tiles.append(("Replayed", number(facts.replayed, digits=3), "memory rows for each row"))
    if facts.rows_per_s is not None:
        tiles.append(("Rows per second", f"{facts.rows_per_s:,.0f}", "on average"))
    return tiles
