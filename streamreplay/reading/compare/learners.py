"""The learners that are compared, with their outcomes along the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamreplay.errors import RunFolderError
from streamreplay.log.checked import read_records
from streamreplay.log.lines import is_cut
from streamreplay.log.score_table import SCORES, keep_last
from streamreplay.reading.compare.outcomes import Outcomes, RunningTotals, read_predictions
from streamreplay.reading.run import Run, RunLearner, check_same_objective
from streamreplay.reading.seed_groups import SeedGroup, name_learners


@dataclass(frozen=True)
class ComparedLearner(RunLearner):
    """A learner of a run, with its outcomes in the metric that is compared.

    Attributes
    ----------
    name : str
        Different from the names of all other learners.
    rows_per_s : float or None
        None also if the run has several learners, which share the time.
    totals : RunningTotals
    predictions : Outcomes or None
        None if predictions were not kept, or do not have the metric.
    """

    name: str
    rows_per_s: float | None
    totals: RunningTotals
    predictions: Outcomes | None


ComparedGroup = SeedGroup[ComparedLearner]
"""Learners that differ only in their seed, with their outcomes."""


def read_learners(runs: Sequence[Path], metric: str | None) -> tuple[list[ComparedLearner], str]:
    """Read all learners of some runs; return them and the metric, by default their main score.

    Raises
    ------
    RunFolderError
        A run has no log, the log has no scores, a learner does not have the metric, or the learners
        predict different kinds of targets.
    """
    learners = [learner for run in runs for learner in _read_run(Run(run), metric)]
    check_same_objective(learners)
    named = zip(learners, name_learners(learners), strict=True)
    return [replace(each, name=name) for each, name in named], metric or learners[0].score.name


def _read_run(run: Run, metric: str | None) -> list[ComparedLearner]:
    last: dict[str, dict[str, dict[str, Any]]] = {}  # by learner and kind
    totals: dict[str, RunningTotals] = {}
    cut = is_cut(run.folder)
    for record in read_records(run.folder, kinds=SCORES):
        keep_last(last, record)
        if record["kind"] == "prequential":
            name = record.get("learner", "")
            if name not in totals:
                field = metric or RunLearner(run, name, last[name]).score.name
                totals[name] = RunningTotals(field, cut=cut)
            totals[name].add(record)
    if not totals:
        raise RunFolderError(f"{run.folder}: has no scores yet: no record of kind prequential")
    chosen = metric or RunLearner(run, "", last[next(iter(totals))]).score.name
    for learner in totals:
        if last[learner]["prequential"].get(chosen) is None:
            of = f" of {learner}" if learner else ""
            raise RunFolderError(f"{run.folder}: has no {chosen} in the last scores{of}")
    rate = run.rows_per_s if len(totals) == 1 else None
    predictions = read_predictions(run.folder, chosen)
    return [
        ComparedLearner(
            run=run,
            learner=learner,
            last=last[learner],
            name="",
            rows_per_s=rate,
            totals=own,
            predictions=predictions.get(learner),
        )
        for learner, own in totals.items()
    ]
