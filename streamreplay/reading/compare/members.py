"""What is compared: learners of runs, and groups of them that differ in their seed alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from streamreplay.config import Job
from streamreplay.config.dotted_keys import flatten
from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.log.reader import is_cut, read_records, segments
from streamreplay.log.score_table import SCORES, keep_last
from streamreplay.reading.compare.outcomes import METRICS, Outcomes, RunningTotals, read_predictions
from streamreplay.reading.job import read_job
from streamreplay.reading.scores import OBJECTIVES

__all__ = ["Member", "SeedGroup", "group_members", "read_members"]

_FREE = ("run", "seed")  # sections in which runs of one group may differ


@dataclass
class Member:
    """A learner of a run, as its logs have it.

    Attributes
    ----------
    run : Path
    learner : str
        "" where the run has one.
    name : str
        What to call it; no other member has that name.
    job : Job or None
        None where it cannot be read.
    last : dict
        By kind: the last record, as of `keep_last`.
    rows_per_s : float or None
        Over the whole run; None where several learners took turns in it.
    totals : RunningTotals
        Of the metric that is compared.
    predictions : Outcomes or None
        None where they were not kept, or do not have that metric.
    """

    run: Path
    learner: str
    name: str
    job: Job | None
    last: dict[str, dict[str, Any]]
    rows_per_s: float | None
    totals: RunningTotals
    predictions: Outcomes | None = None

    @property
    def score(self) -> dict[str, Any]:
        """The last prequential record."""
        return self.last["prequential"]

    @property
    def objective(self) -> str:
        """What is predicted: classes, numbers or labels."""
        return next(name for key, name in OBJECTIVES.items() if key in self.score)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings it would have alone, by name, without those that change no result."""
        if self.job is None:
            return {}
        job = self.job.alone(self.learner) if self.learner else self.job
        return flatten(job.model_dump(mode="json", exclude={"run"}))

    @property
    def retention(self) -> dict[str, Any]:
        """The last retention record: of a prepared test set, or else of the probe."""
        return self.last.get("retention", {})


@dataclass
class SeedGroup:
    """Members that differ in their seed alone; often it is one.

    Attributes
    ----------
    name : str
    members : list of Member
    """

    name: str
    members: list[Member] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The name, with how many seeds there are."""
        n = len(self.members)
        return self.name if n == 1 else f"{self.name} ({n} seeds)"

    def values(self, kind: str, key: str) -> list[Any]:
        """Return a field of each member's last record; None where it has none."""
        return [member.last.get(kind, {}).get(key) for member in self]

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)


def read_members(runs: Sequence[Path], metric: str | None) -> tuple[list[Member], str]:
    """Read all learners of some runs, and choose the metric if none is given.

    Raises
    ------
    RunFolderError
        A run has no log, or its log no scores; they predict different things; the metric is not
        one that they have.
    """
    members: list[Member] = []
    names = _names(runs) if len(runs) > 1 else [""]
    for run, name in zip(runs, names, strict=True):
        for member in _read_run(run, name, metric):
            if members and member.objective != members[0].objective:
                raise RunFolderError(
                    f"{run}: predicts {member.objective}, {members[0].run} "
                    f"{members[0].objective}: their scores cannot be compared"
                )
            members.append(member)
    return members, metric or _main_metric(members[0].score)


def _read_run(run: Path, name: str, metric: str | None) -> list[Member]:
    last, totals = _read_scores(run, metric)
    if not totals:
        raise RunFolderError(f"{run}: has no scores yet: no record of kind prequential")
    chosen = metric or _main_metric(last[next(iter(totals))]["prequential"])
    for learner in totals:
        if last[learner]["prequential"].get(chosen) is None:
            of = f" of {learner}" if learner else ""
            raise RunFolderError(f"{run}: has no {chosen} in the last scores{of}")
    job, rate = _job(run), _rate(run) if len(totals) == 1 else None
    predictions = read_predictions(run, chosen)
    return [
        Member(
            run=run,
            learner=learner,
            name=": ".join(part for part in (name, learner) if part) or run.name,
            job=job,
            last=last[learner],
            rows_per_s=rate,
            totals=totals[learner],
            predictions=predictions.get(learner),
        )
        for learner in totals
    ]


def _read_scores(
    run: Path, metric: str | None
) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, RunningTotals]]:
    """Return the last records by learner and kind, and the totals by learner."""
    last: dict[str, dict[str, dict[str, Any]]] = {}
    totals: dict[str, RunningTotals] = {}
    cut = is_cut(run)
    for record in read_records(run, kinds=SCORES):
        if record["kind"] == "prequential":
            learner = record.get("learner", "")
            if learner not in totals:
                totals[learner] = RunningTotals(metric or _main_metric(record), cut=cut)
            totals[learner].add(record)
        keep_last(last, record)
    return last, totals


def _main_metric(record: dict[str, Any]) -> str:
    return next(name for name in METRICS if name in record)


def _job(run: Path) -> Job | None:
    try:
        return read_job(run)
    except (ConfigError, RunFolderError):  # of another version, or only the log was kept
        return None


def _rate(run: Path) -> float | None:
    """Return rows a second over the whole run, waiting for a resume left out."""
    if not segments(run, "timings"):
        return None
    rows = seconds = 0.0
    before = None if is_cut(run, "timings") else 0  # the first line that is left is about what?
    for line in read_records(run, name="timings"):
        if before is not None and line["position"] > before and line["rows_per_s"]:
            rows += line["position"] - before
            seconds += (line["position"] - before) / line["rows_per_s"]
        before = line["position"]
    return rows / seconds if seconds else None


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell them apart."""
    parts = [Path(os.path.normpath(run.absolute())).parts for run in runs]
    most = max(map(len, parts))
    for length in range(1, most + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len({*names}) == len(names):
            return names
    return [f"{'/'.join(each[-1:])} ({place})" for place, each in enumerate(parts, 1)]


def group_members(members: Sequence[Member]) -> list[SeedGroup]:
    """Put members together that differ in nothing but their seed, in the order given.

    The same seed twice is no second sample: such a member has a group of its own.
    """
    found: list[tuple[dict[str, Any] | None, SeedGroup]] = []
    for member in members:
        settings = {k: v for k, v in member.settings.items() if k not in _FREE} or None
        for others, group in found:
            seeds = [each.settings.get("seed") for each in group]
            if settings is not None and others == settings and member.settings["seed"] not in seeds:
                group.members.append(member)
                break
        else:
            found.append((settings, SeedGroup("", [member])))
    groups = [group for _, group in found]
    for group in groups:
        name = _common_name(group.members)
        taken = [each.name for each in groups]
        group.name = name if name not in taken else group.members[0].name
    return groups


def _common_name(members: Sequence[Member]) -> str:
    if len(members) == 1:
        return members[0].name
    learners = {member.learner for member in members}
    if len(learners) == 1 and learners != {""}:
        return learners.pop()
    names = [member.name for member in members]
    return _shared_start(names) or names[0]


def _shared_start(names: Sequence[str]) -> str:
    """Return what names have in common, without what introduces the seed.

    Examples
    --------
    >>> _shared_start(["er-seed0", "er-seed1"]), _shared_start(["class 1", "class 2"])
    ('er', 'class')
    """
    same = takewhile(lambda letters: len({*letters}) == 1, zip(*names, strict=False))
    return re.sub(r"[-_. /=:]+(seed|s)?[-_. /=:]*$", "", "".join(letters[0] for letters in same))
