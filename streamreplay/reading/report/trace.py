"""What one learner of one run has logged, in the form in which it is drawn and summed up."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreplay.batch import Objective
from streamreplay.errors import RunFolderError
from streamreplay.log.reader import is_cut, segments
from streamreplay.reading.report.columns import (
    Columns,
    GroupColumns,
    MatrixColumns,
    columns,
    groups,
    matrix,
)
from streamreplay.reading.report.thinning import MOST, StreamKey, thin_log
from streamreplay.reading.report.timing import timing_columns
from streamreplay.reading.scores import OBJECTIVES, SCORES

__all__ = ["BufferTrace", "Rounds", "Trace", "read_traces"]

_SHARED = ("run",)  # sections of a job that do not change what is learned

_Streams = Mapping[StreamKey, tuple[int, list[dict[str, Any]]]]


@dataclass(frozen=True)
class Rounds:
    """Rounds over the rows that were kept out of learning.

    Attributes
    ----------
    sample : str
        ``test`` or ``probe``.
    columns : Columns
        Their scores, ``position`` among them.
    by_class, by_experience, by_age : Groups, optional
    matrix : Matrix, optional
        R, where an experience has ended.
    last : dict
        The last record.
    """

    sample: str
    columns: Columns
    by_class: GroupColumns | None
    by_experience: GroupColumns | None
    by_age: GroupColumns | None
    matrix: MatrixColumns | None
    last: dict[str, Any]


@dataclass(frozen=True)
class BufferTrace:
    """What was stored, over time.

    Attributes
    ----------
    columns : Columns
    by_class, by_task, by_experience : Groups, optional
    last : dict
        The last record.
    """

    columns: Columns
    by_class: GroupColumns | None
    by_task: GroupColumns | None
    by_experience: GroupColumns | None
    last: dict[str, Any]


@dataclass(frozen=True)
class Trace:
    """One learner of one run.

    Attributes
    ----------
    run : Path
        Its run folder.
    learner : str or None
        Its name, where the job has several.
    job : dict
        The job as it is in the folder, without what does not change what is learned; empty where
        it cannot be read.
    objective : {"classes", "numbers", "labels"}
    scores : Columns
        Of kind ``prequential``.
    by_class, by_experience : Groups, optional
        The same by group.
    ends : list of (int, int)
        Position and id of experiences that ended.
    last : dict
        The last record of kind ``prequential``.
    rounds : list of Rounds
        The probe's before those of a test set.
    drifts : list of dict
        Records of kind ``drift``.
    n_drifts : int
        How many there are in the log, if these are too many to keep.
    buffer : Buffer, optional
    timings : Columns
        Of the whole run: see `timing_columns`.
    """

    run: Path
    learner: str | None
    job: dict[str, Any]
    objective: Objective
    scores: Columns
    by_class: GroupColumns | None
    by_experience: GroupColumns | None
    ends: list[tuple[int, int]]
    last: dict[str, Any]
    rounds: list[Rounds]
    drifts: list[dict[str, Any]]
    n_drifts: int
    buffer: BufferTrace | None
    timings: Columns

    @property
    def seed(self) -> int | None:
        """The job's seed."""
        seed = self.job.get("seed")
        return seed if isinstance(seed, int) else None


def read_traces(run: Path, most: int = MOST) -> list[Trace]:
    """Read what a run has logged so far, thinned to what can be drawn.

    Parameters
    ----------
    run : Path
        A run folder.
    most : int
        Records kept of each kind.

    Returns
    -------
    list of Trace
        One for each learner, in the order of the log.

    Raises
    ------
    RunFolderError
        There is no such folder or log, the run has not reported yet, or a line is damaged or of a
        later version of the log.
    """
    streams = thin_log(run, "metrics", most)
    learners = list(dict.fromkeys(key[0] for key in streams if key[1] == "prequential"))
    if not learners:
        raise RunFolderError(
            f"{run}: the run has not reported yet: its log has no scores; the first come after "
            "evaluator.report_every rows"
        )
    timings: list[dict[str, Any]] = []
    if segments(run, "timings"):
        cut = is_cut(run, "timings")
        timings = _records(thin_log(run, "timings", most), None, "timings")
        if cut:  # there is no telling since when the first line that is left counts
            timings = timings[1:]
    job, clock = _read_job(run), timing_columns(timings)
    return [_trace(run, learner, streams, job, clock) for learner in learners]


def _trace(
    run: Path, learner: str | None, streams: _Streams, job: dict[str, Any], timings: Columns
) -> Trace:
    scored = _records(streams, learner, "prequential")
    last = scored[-1]
    objective = _objective(last, run)
    drifts = _records(streams, learner, "drift") or _records(streams, None, "drift")
    counts = [streams[key][0] for key in streams if key[0] in (learner, None) and key[1] == "drift"]
    return Trace(
        run=run,
        learner=learner,
        job=job,
        objective=objective,
        scores=columns(scored),
        by_class=groups(scored, "by_class"),
        by_experience=groups(scored, "by_experience"),
        ends=[
            (each["position"], each["experience"])
            for each in scored
            if each.get("experience_end") and each.get("experience") is not None
        ],
        last=last,
        rounds=[
            _rounds(streams, learner, sample, objective)
            for sample in sorted({key[2] for key in streams if key[:2] == (learner, "retention")})
        ],
        drifts=drifts,
        n_drifts=sum(counts),
        buffer=_buffer(streams, learner),
        timings=timings,
    )


def _rounds(streams: _Streams, learner: str | None, sample: str, objective: Objective) -> Rounds:
    records = [_balanced(each) for each in _records(streams, learner, "retention", sample)]
    ends = [each for each in records if each.get("experience_end")]
    by = "accuracy_by_experience" if objective == "classes" else "by_experience"
    return Rounds(
        sample=sample,
        columns=columns(records),
        by_class=groups(records, "by_class"),
        by_experience=groups(records, by),
        by_age=groups(records, "by_age"),
        matrix=matrix(ends, SCORES[objective].retained),
        last=records[-1],
    )


def _balanced(record: dict[str, Any]) -> dict[str, Any]:
    """Add the mean over classes where a log of an earlier version does not have it."""
    found = record.get("by_class")
    if not found or "balanced_accuracy" in record:
        return record
    told = [each["accuracy"] for each in found.values() if each.get("accuracy") is not None]
    return {**record, "balanced_accuracy": sum(told) / len(told) if told else None}


def _buffer(streams: _Streams, learner: str | None) -> BufferTrace | None:
    # a buffer that learners share is nobody's own
    records = _records(streams, learner, "buffer") or _records(streams, None, "buffer")
    if not records:
        return None
    by = {f"by_{name}": groups(records, f"by_{name}") for name in ("class", "task", "experience")}
    return BufferTrace(columns(records), **by, last=records[-1])


def _records(
    streams: _Streams, learner: str | None, kind: str, sample: str = ""
) -> list[dict[str, Any]]:
    found = [
        record
        for end in (False, True)
        for record in streams.get((learner, kind, sample, end), (0, ()))[1]
    ]
    return sorted(found, key=lambda record: int(record["#"]))


def _objective(record: Mapping[str, Any], run: Path) -> Objective:
    for field, objective in OBJECTIVES.items():
        if field in record:
            return objective
    raise RunFolderError(f"{run}: its log has no accuracy, mae or exact_match")


def _read_job(run: Path) -> dict[str, Any]:
    """Return the job as it is written: one of another version may be compared all the same."""
    try:
        job = tomllib.loads((run / "job.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in job.items() if key not in _SHARED}
