"""A run and its learners, as `report`, `compare`, `tail` and `inspect` read them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from streamreplay.batch import Objective
from streamreplay.config.dotted_keys import flatten
from streamreplay.config.job import Job
from streamreplay.errors import ConfigError, RunFolderError
from streamreplay.log.checked import read_record
from streamreplay.log.lines import (
    JOB_FILE,
    MOST_JOB,
    NumberedLine,
    check_run,
    is_cut,
    number_lines,
    segments,
)
from streamreplay.log.score_table import keep_last
from streamreplay.reading.columns import Columns
from streamreplay.reading.events import RunEvents, read_events
from streamreplay.reading.job import read_job
from streamreplay.reading.log_sample import sample_log
from streamreplay.reading.scores import SCORES, Score, find_objective
from streamreplay.reading.status import Status, run_status
from streamreplay.reading.timing import timing_columns
from streamreplay.regular_files import read_file


class Run:
    """A run folder. The job, timings and last scores are read on first use.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunFolderError
        The folder does not exist, or is not a run folder.
    """

    def __init__(self, folder: Path) -> None:
        check_run(folder)
        self.folder = folder

    @property
    def status(self) -> Status:
        """What the run is doing now."""
        return run_status(self.folder)

    @cached_property
    def events(self) -> RunEvents:
        """When the run was begun, by which versions, and what it used its columns for."""
        return read_events(self.folder / "events.log")

    @cached_property
    def job(self) -> Job | None:
        """The job; None if there is no job file, or this version cannot read it."""
        try:
            return read_job(self.folder)
        except (ConfigError, RunFolderError):
            return None

    def settings(self, learner: str = "") -> dict[str, Any]:
        """Return the settings that a learner would have in a job of its own, by dotted name.

        The section ``run`` is left out, since it does not change what is learned. If this version
        cannot read the job, the settings are those written in the file. They are empty if the file
        is missing or damaged.

        Raises
        ------
        RunFolderError
            The job has no such learner: the log and the job are not of the same run.
        """
        job = self.job
        if job is None:
            written = self._written_job()
            return flatten(written) if written else {}
        if learner not in (job.several or ("",)):
            named = f"the learner {learner!r}" if learner else "no learner's name"
            has = f"the learners {', '.join(job.several)}" if job.several else "one unnamed learner"
            raise RunFolderError(f"{self.folder}: its log has {named}, but its job has {has}")
        alone = job.alone(learner) if learner else job
        return flatten(alone.model_dump(mode="json", exclude={"run"}))

    def _written_job(self) -> dict[str, Any]:
        try:
            job = tomllib.loads(read_file(self.folder / JOB_FILE, MOST_JOB).decode())
        except (OSError, ValueError, RecursionError):
            return {}
        return {key: value for key, value in job.items() if key != "run"}

    @cached_property
    def timings(self) -> Columns:
        """Means of the timings over parts of the stream, as `timing_columns` returns them."""
        if not segments(self.folder, "timings"):
            return {}
        streams = sample_log(self.folder, "timings")
        records = [record for _, sampled in streams.values() for record in sampled]
        # of a log whose oldest files are deleted, the first line covers an unknown time
        return timing_columns(records[1:] if is_cut(self.folder, "timings") else records)

    @property
    def rows_per_s(self) -> float | None:
        """Mean throughput over the whole run; None if it is not known."""
        seconds = float(self.timings["#seconds"].sum()) if self.timings else 0.0
        return float(self.timings["#rows"].sum()) / seconds if seconds else None

    def learners(self) -> list[RunLearner]:
        """Return the learners with their last scores. Only the last record of each kind is parsed.

        Raises
        ------
        RunFolderError
            One of these records is damaged.
        """
        newest: dict[tuple[bytes, bool], NumberedLine] = {}
        for numbered in number_lines(self.folder, "metrics", missing_ok=True):
            line = numbered[2]
            learner_and_kind, _, _ = line.partition(b',"position":')
            newest[learner_and_kind, b'"sample":"probe"' in line] = numbered
        last: dict[str, dict[str, dict[str, Any]]] = {}
        for file, number, line in newest.values():
            keep_last(last, read_record(line, file, number))
        return [RunLearner(self, name, records) for name, records in last.items()]


@dataclass(frozen=True)
class RunLearner:
    """A learner of a run, with its last scores. `report` and `compare` add what they read.

    Attributes
    ----------
    run : Run
    learner : str
        Its name in the log; "" if the run has one learner.
    last : dict of str to dict
        The last record of each kind of score, as `keep_last` keeps them.
    """

    run: Run
    learner: str
    last: dict[str, dict[str, Any]]

    @property
    def prequential(self) -> dict[str, Any]:
        """The last prequential record."""
        return self.last["prequential"]

    @property
    def retention(self) -> dict[str, Any]:
        """The last retention record, of the test set if there is one, else of the probe."""
        return self.last.get("retention", {})

    @property
    def objective(self) -> Objective:
        """What is predicted: classes, numbers or labels.

        Raises
        ------
        RunFolderError
            The record has none of the scores that tell.
        """
        found = find_objective(self.prequential)
        if found is None:
            raise RunFolderError(f"{self.run.folder}: its log has no accuracy, mae or exact_match")
        return found

    @property
    def score(self) -> Score:
        """The score that the learner is judged by."""
        return SCORES[self.objective]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that it would have in a job of its own, by dotted name."""
        return self.run.settings(self.learner)

    @property
    def seed(self) -> int | None:
        """The job's seed; None if the job cannot be read."""
        seed = self.settings.get("seed")
        return seed if isinstance(seed, int) else None


def check_same_objective(learners: Sequence[RunLearner]) -> None:
    """Raise `RunFolderError` unless all learners predict the same kind of target."""
    for learner in learners:
        if learner.objective != learners[0].objective:
            raise RunFolderError(
                f"{learner.run.folder}: predicts {learner.objective}, but "
                f"{learners[0].run.folder} predicts {learners[0].objective}: their scores cannot "
                "be compared"
            )
