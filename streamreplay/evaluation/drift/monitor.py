"""The stage that watches for drift with River's detectors, and carries out actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias, final

from streamreplay.errors import ConfigError
from streamreplay.evaluation.drift.change import Change
from streamreplay.evaluation.drift.held_back import HeldBack
from streamreplay.evaluation.drift.running_detector import Level, RunningDetector
from streamreplay.evaluation.drift.signals import (
    MOST,
    SignalValues,
    check_signal,
    is_binary,
    is_of_labels,
    is_unseen_class,
    read_signal,
)
from streamreplay.labels import Labels
from streamreplay.records import Report, Scored
from streamreplay.state import (
    CREATED,
    PART,
    SETTING,
    Fields,
    State,
    expect,
    load_state,
    save_state,
    within,
)

Record: TypeAlias = dict[str, Any]
"""A log record of kind ``drift``; see ``streamreplay schema --log``."""

Action: TypeAlias = Callable[[Record], object]
"""What a drift sets off: called with its record, after the batch in which it was found."""


@dataclass(frozen=True, eq=False)
class Detector:
    """One of River's detectors, the signal that it watches, and the actions that a drift sets off.

    Attributes
    ----------
    detector : river.base.DriftDetector or river.base.BinaryDriftDetector
        A pattern: it is copied and never changed.
    on : str
        ``error`` (0 or 1; of numbers the absolute error, of labels whether one is wrong), ``loss``,
        ``feature:NAME`` (or its index), ``label:NAME`` (1 for a row of that class, else 0), or
        ``features`` and ``labels``: a detector for each column or class, `MOST` at most.
    name : str, optional
        Its name in the log; by default the detector's class in lower case, and ``on``.
    actions : mapping of str to callable
        Called on a drift in this order; the keys are their names in the log.
    warning_actions : mapping of str to callable
        Called on a warning.
    cooldown : int
        Rows after a drift in which nothing is reported, and after a warning in which no warning is.

    Raises
    ------
    ValueError
        ``on`` or ``cooldown`` is out of range; the detector takes 0 and 1, and the signal has other
        values; the detector draws random numbers, and has no seed.
    TypeError
        ``detector`` is not one of River's.

    Examples
    --------
    >>> from river.drift import ADWIN
    >>> Detector(ADWIN(delta=0.01), actions={"tell": print}).name
    'adwin-error'
    """

    detector: Any
    on: str = "error"
    name: str = ""
    actions: Mapping[str, Action] = field(default_factory=dict)
    warning_actions: Mapping[str, Action] = field(default_factory=dict)
    cooldown: int = 0

    def __post_init__(self) -> None:
        from river.base import BinaryDriftDetector, DriftDetector  # noqa: PLC0415 - slow

        check_signal(self.on)
        if self.cooldown < 0:
            raise ValueError(f"cooldown must be at least 0, got {self.cooldown}")
        kind = type(self.detector).__name__
        if not isinstance(self.detector, DriftDetector | BinaryDriftDetector):
            raise TypeError(f"detector must be one of river.drift, got {kind}")
        if self.binary and is_binary(self.on) is False:
            raise ValueError(
                f"{kind} takes 0 and 1: on must be error, labels or label:NAME, got {self.on!r}"
            )
        if getattr(self.detector, "seed", 0) is None:
            raise ValueError(f"{kind} draws random numbers: give it a seed, as {kind}(seed=1)")
        if not self.warns and self.warning_actions:
            raise ValueError(f"{kind} gives no warnings, got warning_actions")
        object.__setattr__(self, "name", self.name or f"{kind.lower()}-{self.on}")

    @property
    def binary(self) -> bool:
        """Whether it takes only 0 and 1."""
        from river.base import BinaryDriftDetector  # noqa: PLC0415 - slow

        return isinstance(self.detector, BinaryDriftDetector)

    @property
    def warns(self) -> bool:
        """Whether it also gives warnings."""
        return hasattr(self.detector, "warning_detected")


class _Alarm(NamedTuple):
    """A drift or a warning of one detector; sorted by row, then by the detector's place."""

    row: int  # within the batch
    place: int  # of the detector
    level: Level
    on: str
    value: float
    change: Change


class _Watch:
    """A detector of the monitor, running on each of its signals."""

    STATE = Fields(detector=SETTING, on=SETTING, quiet=dict, watches=CREATED)

    def __init__(self, pattern: Detector) -> None:
        self.pattern = pattern
        self.detector, self.on = type(pattern.detector).__name__, pattern.on
        self.quiet: dict[str, int] = {}  # by level: last position without reports
        self.watches = defaultdict[str, RunningDetector](
            lambda: RunningDetector(pattern.detector, warns=pattern.warns)
        )

    def alarms(self, signals: Iterable[SignalValues], place: int) -> Iterator[_Alarm]:
        """Feed the signals of a batch; yield the drifts and warnings in it."""
        for signal in signals:
            if self.pattern.binary and signal.values.dtype.kind != "i":
                raise ConfigError(
                    f"drift {self.pattern.name}: {self.detector} takes 0 and 1, and the error of "
                    "predicted numbers is neither"
                )
            for at, level, change in self.watches[signal.on].feed(signal.values):
                row, value = int(signal.rows[at]), float(signal.values[at])
                yield _Alarm(row, place, level, signal.on, value, change)

    def reports(self, level: Level, position: int) -> bool:
        """Return whether an alarm at this position is reported; if so, start the cooldown."""
        if position <= max(self.quiet.get("drift", 0), self.quiet.get(level, 0)):
            return False
        if self.pattern.cooldown:
            self.quiet[level] = position + self.pattern.cooldown
        return True


@final
class DriftMonitor:
    """Feed River's detectors with the stream row by row, and carry out the actions of a drift.

    A stage `Report` -> `Report`, the next one after the evaluator. Each drift, and each start of a
    warning phase, becomes a record of kind ``drift`` among the report's metrics. The row that it
    names does not depend on how the stream was cut into batches: a detector gives what it would
    give alone for the same numbers. Actions are carried out after the row's batch has been learned,
    so they take effect with the next batch. Held-out rows are not watched, as they have no report.

    Parameters
    ----------
    detectors : sequence of Detector
        Each with its own name.
    delay : int
        Rows by which errors, losses and labels are seen later than their row, as their labels come
        so late (`DelayedLabels`).

    Raises
    ------
    ValueError
        Two detectors have one name.
    ConfigError
        Later: rows have no such column, or the error is of numbers and a detector takes 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from river.drift import ADWIN
    >>> from streamreplay.batch import Batch
    >>> batch = Batch.from_arrays(np.zeros((2000, 1)), [0] * 1000 + [1] * 1000)
    >>> said = np.zeros(2000, np.int64), np.ones(2000, "f4"), np.zeros(2000, "f4")
    >>> monitor = DriftMonitor([Detector(ADWIN(), actions={"tell": lambda record: None})])
    >>> for report in monitor([Report(Scored(batch, *said))]):
    ...     for record in report.metrics:
    ...         print(record["level"], record["position"], record["actions"])
    drift 1024 ['tell']
    """

    _COUNTS = Fields(_position=int, _known=set, drifts=int, warnings=int)

    def __init__(self, detectors: Sequence[Detector], *, delay: int = 0) -> None:
        names = [each.name for each in detectors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"each detector must have its own name, got {name!r} twice")
        self.detectors = tuple(detectors)
        self.drifts = 0
        """Drifts reported so far."""
        self.warnings = 0
        """Warnings reported so far."""
        self._position = 0  # rows of the stream so far
        self._known: set[int] = set()  # watched classes that had a row
        self._watches = [_Watch(each) for each in detectors]
        self._late = HeldBack(delay) if delay else None

    def __call__(self, stream: Iterable[Report]) -> Iterator[Report]:
        """Yield every report, with a record for each drift and warning in its batch."""
        for report in stream:
            found = [] if report.scored is None else self._watch(report.scored)
            if not found:
                yield report
                continue
            metrics = sorted([*report.metrics, *found], key=lambda record: record["position"])
            yield replace(report, metrics=tuple(metrics))

    def unseen_classes(self, labels: Labels) -> list[Detector]:
        """Return the detectors on a class that is not among the labels: they see only zeros."""
        return [each for each in self.detectors if is_unseen_class(each.on, labels)]

    def state_dict(self) -> State:
        """Return counts, and the state of every detector by its name."""
        monitors = {each.pattern.name: save_state(each) for each in self._watches}
        return {**self._COUNTS.save(self), "late": PART.save(self._late), "monitors": monitors}

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same detectors.

        Raises
        ------
        CheckpointError
            They were others, or made with other settings.
        """
        expect("monitors", list(state["monitors"]), [each.name for each in self.detectors])
        for watch in self._watches:
            with within(watch.pattern.name):
                load_state(watch, state["monitors"][watch.pattern.name])
        PART.load("late", self._late, state["late"])
        self._COUNTS.load(self, state)

    def _watch(self, scored: Scored) -> list[Record]:
        """Return the records of a batch, after carrying out their actions."""
        batch, labelled, first = scored.incoming, scored, 0
        if not len(batch):
            return []
        if self._late is not None:
            labelled, first = self._late.release(scored)
        alarms = sorted(
            alarm
            for place, watch in enumerate(self._watches)
            for alarm in self._alarms(watch, place, scored, labelled, first)
        )
        reported = [
            self._report(alarm, int(batch.experience[alarm.row]))
            for alarm in alarms
            if self._watches[alarm.place].reports(alarm.level, self._position + alarm.row + 1)
        ]
        self._position += len(batch)
        if batch.target is None:
            self._known |= {y for y in labelled.incoming.y.tolist() if 0 <= y < MOST}
        return reported

    def _alarms(
        self, watch: _Watch, place: int, scored: Scored, labelled: Scored, first: int
    ) -> Iterator[_Alarm]:
        """Feed a detector the rows of a batch, or those whose labels come from row ``first`` on."""
        if not is_of_labels(watch.on):
            yield from watch.alarms(read_signal(watch.on, scored, self._known), place)
            return
        for alarm in watch.alarms(read_signal(watch.on, labelled, self._known), place):
            yield alarm._replace(row=alarm.row + first)

    def _report(self, alarm: _Alarm, experience: int) -> Record:
        """Return the record of an alarm, after carrying out its actions."""
        watch, drift = self._watches[alarm.place], alarm.level == "drift"
        self.drifts += drift
        self.warnings += not drift
        actions = watch.pattern.actions if drift else watch.pattern.warning_actions
        record: dict[str, Any] = {
            "kind": "drift",
            "position": self._position + alarm.row + 1,
            "experience": experience,
            "level": alarm.level,
            "name": watch.pattern.name,
            "detector": watch.detector,
            "on": alarm.on,
            "value": alarm.value,
            "before": alarm.change.before,
            "after": alarm.change.after,
            "after_rows": alarm.change.rows,
            "actions": list(actions),
        }
        for act in actions.values():
            act(record)
        return record
