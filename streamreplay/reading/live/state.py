"""The present state of a run, kept up to date from its logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreplay.log.follower import Follower
from streamreplay.reading.live.sparkline import ThinnedCurve
from streamreplay.reading.scores import OBJECTIVES, SCORES
from streamreplay.reading.status import Status, run_status

__all__ = ["LearnerState", "RetentionState", "RunState"]

_HEADLINES = tuple(OBJECTIVES)
_RETAINED = tuple(score.retained for score in SCORES.values())
_KINDS = ("prequential", "retention", "drift", "buffer")
_MOST_BYTES = 1 << 24  # of a log that is there already: what is older is not shown
_DRIFTS = 3


@dataclass
class RetentionState:
    """What is known of rows that are never learned: of a test set, or of the probe."""

    last: dict[str, Any] = field(default_factory=dict)
    curve: ThinnedCurve = field(default_factory=ThinnedCurve)
    best: dict[str, float] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Take in a retention record."""
        self.last = record
        if self.score is not None:
            self.curve.add(self.score)
        for name, accuracy in self.by_class():
            self.best[name] = max(accuracy, self.best.get(name, 0.0))

    @property
    def score(self) -> float | None:
        """The field that sums the last record up."""
        found = (self.last.get(name) for name in _RETAINED)
        return next((score for score in found if score is not None), None)

    def by_class(self) -> Iterator[tuple[str, float]]:
        """Yield the present accuracy on each class."""
        for name, scores in self.last.get("by_class", {}).items():
            if scores["rows"] and scores["accuracy"] is not None:
                yield name, scores["accuracy"]

    def forgotten(self) -> list[tuple[str, float]]:
        """Return by how much the accuracy on classes is below its best, the most first."""
        falls = [(name, self.best[name] - now) for name, now in self.by_class()]
        return sorted((each for each in falls if each[1] > 0), key=lambda each: -each[1])


@dataclass
class LearnerState:
    """What a learner's last records say.

    Attributes
    ----------
    score : dict
        The last prequential record.
    curve : Curve
        The windowed score that sums it up.
    retained : dict of str to Retained
        By sample: ``test`` or ``probe``.
    buffer : dict
        The last record of its buffer.
    """

    score: dict[str, Any] = field(default_factory=dict)
    curve: ThinnedCurve = field(default_factory=ThinnedCurve)
    retained: dict[str, RetentionState] = field(default_factory=dict)
    buffer: dict[str, Any] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record."""
        kind = record["kind"]
        if kind == "prequential":
            self.score = record
            recent = record.get(f"{self.headline}_window")
            if recent is not None:
                self.curve.add(recent)
        elif kind == "retention":
            self.retained.setdefault(record.get("sample", "test"), RetentionState()).add(record)
        elif kind == "buffer":
            self.buffer = record

    @property
    def headline(self) -> str:
        """The field that sums its scores up."""
        return next((name for name in _HEADLINES if name in self.score), _HEADLINES[0])

    @property
    def by_class(self) -> RetentionState | None:
        """The rows that are never learned to tell classes by: the test set's before the probe's."""
        samples = sorted(self.retained, key=lambda sample: sample != "test")
        return next((self.retained[s] for s in samples if any(self.retained[s].by_class())), None)

    def weakest(self) -> list[tuple[str, float]]:
        """Return classes and their accuracy, the lowest first.

        On rows that are never learned, else on the rows that came last.
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


class RunState:
    """What is to be seen of a run now.

    Parameters
    ----------
    run : Path
        A run folder.

    Raises
    ------
    RunFolderError
        There is no such folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._metrics = Follower(run, kinds=_KINDS, most_bytes=_MOST_BYTES)
        self._timings = Follower(run, "timings", most_bytes=_MOST_BYTES)
        self.timing: dict[str, Any] = {}
        """The last line of the timings."""
        self.status: Status = run_status(run)
        self._forget()

    def _forget(self) -> None:
        self.position = 0
        """Rows of the stream so far, by the last record."""
        self.learners: dict[str, LearnerState] = {}
        """By name; "" where there is one."""
        self.drifts: deque[dict[str, Any]] = deque(maxlen=_DRIFTS)
        """The last drifts and warnings."""
        self.shared_buffer: dict[str, Any] = {}
        """The last record of a buffer that all learners share."""

    def update(self) -> None:
        """Read what came since the last time.

        Raises
        ------
        RunFolderError
            A log is damaged.
        """
        # first: a run that ends after this look is seen as going on, with all but its last records
        self.status = run_status(self.run)
        records = self._metrics.read()
        if self._metrics.restarted:  # the run was resumed and is back at its last checkpoint
            self._forget()
        for record in records:
            self._add(record)
        lines = self._timings.read()
        self.timing = lines[-1] if lines else self.timing

    def _add(self, record: dict[str, Any]) -> None:
        name = record.get("learner", "")
        self.position = max(self.position, record["position"])
        if record["kind"] == "drift":
            self.drifts.append(record)
        elif record["kind"] == "buffer" and not name:
            self.shared_buffer = record
        else:
            self.learners.setdefault(name, LearnerState()).add(record)

    @property
    def several(self) -> bool:
        """Whether the run has several learners."""
        return any(self.learners)
