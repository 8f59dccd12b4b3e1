"""The logs of learners as curves: what the report draws and sums up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from streamreplay.errors import RunFolderError
from streamreplay.log.score_table import keep_last
from streamreplay.reading.columns import (
    Columns,
    Floats,
    GroupColumns,
    RetentionMatrix,
    group_columns,
    number_columns,
    retention_matrix,
)
from streamreplay.reading.estimates import LEVEL, t_quantile
from streamreplay.reading.log_sample import MOST, StreamKey, sample_log
from streamreplay.reading.run import Run, RunLearner
from streamreplay.reading.scores import Score
from streamreplay.reading.seed_groups import SeedGroup

_ROWS: StreamKey = ("", "rows", "", False)
_Streams = Mapping[StreamKey, tuple[int, list[dict[str, Any]]]]
MOST_DRAWN = 4
"""Number of groups that get charts of their own."""


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
    rows : dict
        The last record of kind ``rows``; empty if there is none.
    late : dict
        The last record of kind ``labels``; empty if there is none.
    """

    scores: Columns
    by_class: GroupColumns | None
    ends: list[int]
    retention_curves: list[RetentionCurves]
    drifts: list[dict[str, Any]]
    n_drifts: int
    buffer: BufferCurves | None
    rows: dict[str, Any]
    late: dict[str, Any]

    @property
    def watches_drift(self) -> bool:
        """Whether the job has drift detectors."""
        return any(key.startswith("drift[") for key in self.settings)

    @property
    def boundaries(self) -> list[int]:
        """The positions at which an experience ended and the stream went on."""
        last = self.prequential["position"]
        return [position for position in self.ends if position < last]

    @property
    def main_retention(self) -> RetentionCurves | None:
        """The retention curves with the most rounds; None if there are none."""
        return max(
            self.retention_curves, key=lambda each: len(each.columns["position"]), default=None
        )


CurveGroup: TypeAlias = SeedGroup[LearnerCurves]
"""Learners that differ only in their seed, with their curves."""

ReadCurve: TypeAlias = Callable[[LearnerCurves], tuple[Floats, Floats] | None]
"""Returns positions and values of a learner's curve, or None."""


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
        rows=streams[_ROWS][1][-1] if _ROWS in streams else {},
        late=next(iter(_records(streams, learner, "labels")[-1:]), {}),
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


@dataclass(frozen=True)
class MeanCurve:
    """A mean over seeds along the stream.

    Attributes
    ----------
    x, y : float64[n]
    low, high : float64[n], optional
        The 95 % interval of the mean, if there are several seeds.
    """

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def mean_curve(group: CurveGroup, read: ReadCurve) -> MeanCurve | None:
    """Return the mean over a group's seeds of a curve; None if no learner has it.

    If the seeds have records at different rows, values are interpolated linearly.
    """
    found = [curve for each in group if (curve := _known_points(read(each))) is not None]
    if not found:
        return None
    x, y = found[0]
    if len(found) == 1:
        return MeanCurve(x, y)
    start, stop = max(each[0][0] for each in found), min(each[0][-1] for each in found)
    x = x[(x >= start) & (x <= stop)]
    if not len(x):
        return MeanCurve(*found[0])
    values = np.stack([np.interp(x, *each) for each in found])
    n = len(values)
    half = t_quantile((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    mean: Floats = values.mean(axis=0)
    return MeanCurve(x, mean, mean - half, mean + half)


def _known_points(curve: tuple[Floats, Floats] | None) -> tuple[Floats, Floats] | None:
    if curve is None:
        return None
    x, y = curve
    known = np.isfinite(y)
    known[:-1] &= (np.diff(x) > 0) | ~known[1:]  # of two points at one row, keep the later one
    return (x[known], y[known]) if known.any() else None


def read_score(name: str) -> ReadCurve:
    """Return a function that reads a prequential score along the stream, for `mean_curve`."""

    def read(learner: LearnerCurves) -> tuple[Floats, Floats] | None:
        values = learner.scores.get(name)
        return None if values is None else (learner.scores["position"], values)

    return read


@dataclass(frozen=True)
class DrawnGroup:
    """A group that gets charts of its own; they show its first learner.

    Attributes
    ----------
    group : SeedGroup
    place : int
    alone : bool
        Whether there is no other group.
    """

    group: CurveGroup
    place: int
    alone: bool

    @property
    def learner(self) -> LearnerCurves:
        """The learner that is shown."""
        return self.group.first

    def name(self, chart: str) -> str:
        """Return the name of this group's chart of some kind."""
        return f"{chart}-{self.place}" if self.place else chart

    def title(self, chart: str) -> str:
        """Return the title of a chart, with the group if there are several, and the seed."""
        if self.alone:
            return chart
        seed = f", seed {self.learner.seed}" if len(self.group) > 1 else ""
        return f"{chart}: {self.group.title}{seed}"


def drawn_groups(groups: Sequence[CurveGroup]) -> list[DrawnGroup]:
    """Return the first groups, which get charts of their own."""
    alone = len(groups) == 1
    return [DrawnGroup(group, place, alone) for place, group in enumerate(groups[:MOST_DRAWN])]
