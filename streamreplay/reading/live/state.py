"""The current state of a stream: from its records as they are made, or from the logs of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreplay.log.follower import Follower
from streamreplay.reading.log_sample import EvenSample
from streamreplay.reading.run import Run
from streamreplay.reading.scores import SCORES, Score, find_objective

_RETAINED = tuple(score.retained for score in SCORES.values())
KINDS = ("prequential", "retention", "drift", "buffer", "rows", "labels")
"""The kinds of records that the view shows."""

_MOST_BYTES = 1 << 24  # read at first from the end of a log; older records are not shown
_DRIFTS = 3  # drifts and warnings that are shown


def _curve() -> EvenSample[float]:
    """Return an empty sample of a score along the stream."""
    return EvenSample(2049)


@dataclass
class RetentionState:
    """The scores on the rows of a test set or a probe, which are never learned."""

    last: dict[str, Any] = field(default_factory=dict)
    curve: EvenSample[float] = field(default_factory=_curve)
    best: dict[str, float] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add a retention record."""
        self.last = record
        if self.score is not None:
            self.curve.add(self.score)
        for name, accuracy in self.by_class():
            self.best[name] = max(accuracy, self.best.get(name, 0.0))

    @property
    def score(self) -> float | None:
        """The main score in the last record."""
        found = (self.last.get(name) for name in _RETAINED)
        return next((score for score in found if score is not None), None)

    def by_class(self) -> Iterator[tuple[str, float]]:
        """Yield the current accuracy on each class."""
        for name, scores in self.last.get("by_class", {}).items():
            if scores["rows"] and scores["accuracy"] is not None:
                yield name, scores["accuracy"]

    def forgotten(self) -> list[tuple[str, float]]:
        """Return how far the accuracy on classes is below its best, largest first."""
        falls = [(name, self.best[name] - now) for name, now in self.by_class()]
        return sorted((each for each in falls if each[1] > 0), key=lambda each: -each[1])


@dataclass
class LearnerState:
    """The last records of a learner.

    Attributes
    ----------
    score : dict
        The last prequential record.
    curve : EvenSample of float
        Its main score over the window.
    retained : dict of str to RetentionState
        By sample: ``test`` or ``probe``.
    buffer : dict
        The last record of its buffer.
    """

    score: dict[str, Any] = field(default_factory=dict)
    curve: EvenSample[float] = field(default_factory=_curve)
    retained: dict[str, RetentionState] = field(default_factory=dict)
    buffer: dict[str, Any] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Add a record."""
        kind = record["kind"]
        if kind == "prequential":
            self.score = record
            recent = record.get(f"{self.main_score.name}_window")
            if recent is not None:
                self.curve.add(recent)
        elif kind == "retention":
            self.retained.setdefault(record.get("sample", "test"), RetentionState()).add(record)
        elif kind == "buffer":
            self.buffer = record

    @property
    def main_score(self) -> Score:
        """The score that the learner is judged by."""
        return SCORES[find_objective(self.score) or "classes"]

    @property
    def by_class(self) -> RetentionState | None:
        """The scores by class on the test set, or else on the probe; None without any."""
        samples = sorted(self.retained, key=lambda sample: sample != "test")
        return next((self.retained[s] for s in samples if any(self.retained[s].by_class())), None)

    def weakest(self) -> list[tuple[str, float]]:
        """Return classes with their accuracy, lowest first.

        It is that on rows never learned, or without such rows, that on the last rows of the stream.
        """
        if self.by_class is not None:
            return sorted(self.by_class.by_class(), key=lambda pair: pair[1])
        groups: Mapping[str, Any] = self.score.get("by_class", {})
        recent = [
            (name, group["accuracy_recent"])
            for name, group in groups.items()
            if group.get("rows_recent") and group.get("accuracy_recent") is not None
        ]
        return sorted(recent, key=lambda pair: pair[1])


class StreamState:
    """The current state of a stream and its learners, from the records of a log."""

    def __init__(self) -> None:
        self.position = 0
        """Rows of the stream so far."""
        self.total: int | None = None
        """Rows of the whole stream, if that is known."""
        self.rows_per_s: float | None = None
        """Present throughput."""
        self.timing: dict[str, Any] = {}
        """The last line of the timings."""
        self.learners: dict[str, LearnerState] = {}
        """By name; "" if there is one learner."""
        self.drifts: deque[dict[str, Any]] = deque(maxlen=_DRIFTS)
        """The last drifts and warnings."""
        self.shared_buffer: dict[str, Any] = {}
        """The last record of a buffer that all learners share."""
        self.rows: dict[str, Any] = {}
        """The last record of what became of the rows."""
        self.late: dict[str, Any] = {}
        """The last record of how late labels came."""

    def add(self, record: dict[str, Any]) -> None:
        """Add a record; one of another kind than the view shows changes the position alone."""
        name, kind = record.get("learner", ""), record["kind"]
        self.position = max(self.position, record["position"])
        if kind == "drift":
            self.drifts.append(record)
        elif kind == "buffer" and not name:
            self.shared_buffer = record
        elif kind == "rows":
            self.rows = record
        elif kind == "labels":
            self.late = record
        elif kind in KINDS:
            self.learners.setdefault(name, LearnerState()).add(record)

    def time(self, timing: dict[str, Any]) -> None:
        """Add a line of the timings."""
        self.timing = timing
        self.rows_per_s = timing["rows_per_s"]

    @property
    def several(self) -> bool:
        """Whether there are several learners."""
        return any(self.learners)


class RunState:
    """The current state of a run, read from its folder.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    RunFolderError
        The folder does not exist, or is not a run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder)
        self._metrics = Follower(folder, kinds=KINDS, most_bytes=_MOST_BYTES)
        self._timings = Follower(folder, "timings", most_bytes=_MOST_BYTES)
        self.status = self.run.status
        self.stream = StreamState()
        """What the records that were read say."""

    def update(self) -> None:
        """Read the records that were written since the last call.

        Raises
        ------
        RunFolderError
            A log is damaged.
        """
        # before the records: the last records of a finished run are then never missed
        self.status = self.run.status
        records = self._metrics.read()
        if self._metrics.restarted:  # the run was resumed at its last checkpoint
            before, self.stream = self.stream, StreamState()
            if before.timing:
                self.stream.time(before.timing)
        for record in records:
            self.stream.add(record)
        for timing in self._timings.read()[-1:]:
            self.stream.time(timing)
