"""The log of a learner as curves: what the report draws and sums up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreplay.errors import RunFolderError
from streamreplay.log.score_table import keep_last
from streamreplay.reading.columns import (
    Columns,
    GroupColumns,
    RetentionMatrix,
    group_columns,
    number_columns,
    retention_matrix,
)
from streamreplay.reading.log_sample import MOST, StreamKey, sample_log
from streamreplay.reading.run import Run, RunLearner
from streamreplay.reading.scores import Score

_Streams = Mapping[StreamKey, tuple[int, list[dict[str, Any]]]]


@dataclass(frozen=True)
class RetentionCurves:
    """The scores on rows that were kept out of learning, over all test rounds.

    Attributes
    ----------
    sample : str
        ``test`` or ``probe``.
    columns : Columns
    by_class, by_experience, by_age : GroupColumns, optional
    matrix : RetentionMatrix, optional
        None if no experience has ended.
    last : dict
        The last record.
    """

    sample: str
    columns: Columns
    by_class: GroupColumns | None
    by_experience: GroupColumns | None
    by_age: GroupColumns | None
    matrix: RetentionMatrix | None
    last: dict[str, Any]


@dataclass(frozen=True)
class BufferCurves:
    """The contents of a buffer over the stream.

    Attributes
    ----------
    columns : Columns
    by_class : GroupColumns, optional
    last : dict
        The last record.
    """

    columns: Columns
    by_class: GroupColumns | None
    last: dict[str, Any]


@dataclass(frozen=True)
class LearnerCurves(RunLearner):
    """A learner of a run, with its scores along the stream.

    Attributes
    ----------
    scores : Columns
        From records of kind ``prequential``.
    by_class : GroupColumns, optional
        The same scores by class.
    ends : list of int
        Positions at which an experience ended.
    retention_curves : list of RetentionCurves
        Those of the probe before those of the test set.
    drifts : list of dict
        Records of kind ``drift``.
    n_drifts : int
        Number of such records in the log, of which `drifts` may be a sample.
    buffer : BufferCurves, optional
    """

    scores: Columns
    by_class: GroupColumns | None
    ends: list[int]
    retention_curves: list[RetentionCurves]
    drifts: list[dict[str, Any]]
    n_drifts: int
    buffer: BufferCurves | None

    @property
    def watches_drift(self) -> bool:
        """Whether the job has drift detectors."""
        return any(key.startswith("drift[") for key in self.settings)

    @property
    def main_retention(self) -> RetentionCurves | None:
        """The retention curves with the most rounds; None if there are none."""
        return max(
            self.retention_curves, key=lambda each: len(each.columns["position"]), default=None
        )


def read_curves(folder: Path, most: int = MOST) -> list[LearnerCurves]:
    """Read the log of a run, reduced to as many records as can be drawn.

    Parameters
    ----------
    folder : Path
        A run folder.
    most : int
        Records kept of each kind.

    Returns
    -------
    list of LearnerCurves
        One for each learner, in the order of the log.

    Raises
    ------
    RunFolderError
        There is no such folder or log, the log has no scores yet, or a line is damaged or of a
        later version of the log.
    """
    run, streams = Run(folder), sample_log(folder, "metrics", most)
    learners = dict.fromkeys(key[0] for key in streams if key[1] == "prequential")
    if not learners:
        raise RunFolderError(
            f"{folder}: the run has not reported yet: its log has no scores; the first come after "
            "evaluator.report_every rows"
        )
    return [_read_learner(run, learner, streams) for learner in learners]


def _read_learner(run: Run, learner: str, streams: _Streams) -> LearnerCurves:
    scored = _records(streams, learner, "prequential")
    rounds = {
        sample: _records(streams, learner, "retention", sample)
        for sample in sorted({key[2] for key in streams if key[:2] == (learner, "retention")})
    }
    last: dict[str, dict[str, dict[str, Any]]] = {}
    for records in (scored, *rounds.values()):
        keep_last(last, records[-1])
    score = RunLearner(run, learner, last[learner]).score
    return LearnerCurves(
        run=run,
        learner=learner,
        last=last[learner],
        scores=number_columns(scored),
        by_class=group_columns(scored, "by_class"),
        ends=_ends(scored),
        retention_curves=[
            _retention_curves(sample, records, score) for sample, records in rounds.items()
        ],
        drifts=_own_or_shared(streams, learner, "drift"),
        n_drifts=sum(streams.get((of, "drift", "", False), (0,))[0] for of in {learner, ""}),
        buffer=_buffer_curves(_own_or_shared(streams, learner, "buffer")),
    )


def _ends(scored: list[dict[str, Any]]) -> list[int]:
    return [
        each["position"]
        for each in scored
        if each.get("experience_end") and each.get("experience") is not None
    ]


def _retention_curves(sample: str, found: list[dict[str, Any]], score: Score) -> RetentionCurves:
    records = [_with_balanced_accuracy(record) for record in found]
    ends = [record for record in records if record.get("experience_end")]
    by = "accuracy_by_experience" if score.retained == "accuracy" else "by_experience"
    return RetentionCurves(
        sample=sample,
        columns=number_columns(records),
        by_class=group_columns(records, "by_class"),
        by_experience=group_columns(records, by),
        by_age=group_columns(records, "by_age"),
        matrix=retention_matrix(ends, score.retained),
        last=records[-1],
    )


def _with_balanced_accuracy(record: dict[str, Any]) -> dict[str, Any]:
    """Add the mean accuracy over classes to a record of an earlier version that lacks it."""
    by_class = record.get("by_class")
    if not by_class or "balanced_accuracy" in record:
        return record
    known = [each["accuracy"] for each in by_class.values() if each.get("accuracy") is not None]
    return {**record, "balanced_accuracy": sum(known) / len(known) if known else None}


def _buffer_curves(records: list[dict[str, Any]]) -> BufferCurves | None:
    if not records:
        return None
    columns, by_class = number_columns(records), group_columns(records, "by_class")
    return BufferCurves(columns, by_class, last=records[-1])


def _own_or_shared(streams: _Streams, learner: str, kind: str) -> list[dict[str, Any]]:
    """Return the records of a learner; without any, those of all learners together."""
    return _records(streams, learner, kind) or _records(streams, "", kind)


def _records(streams: _Streams, learner: str, kind: str, sample: str = "") -> list[dict[str, Any]]:
    """Return the sampled records of one kind, in the order of the log."""
    found = [
        record
        for end in (False, True)
        for record in streams.get((learner, kind, sample, end), (0, ()))[1]
    ]
    return sorted(found, key=lambda record: int(record["#"]))
