"""The stage that watches for drift and carries out the actions that a drift sets off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, final

from streamreplay.errors import ConfigError
from streamreplay.evaluation.drift.detector import Detector, Level, Record, RunningDetector
from streamreplay.evaluation.drift.signals import MOST, Signals, SignalValues
from streamreplay.labels import Labels
from streamreplay.records import Report, Scored
from streamreplay.state import (
    CREATED,
    SETTING,
    Fields,
    State,
    expect,
    load_state,
    save_state,
    within,
)


class _Alarm(NamedTuple):
    """A drift or a warning of one detector; sorted by row, then by the detector's place."""

    row: int  # within the batch
    place: int  # of the detector
    level: Level
    on: str
    value: float


class _Watch:
    """A detector of the monitor, running on each of its signals."""

    STATE = Fields(detector=SETTING, on=SETTING, quiet=dict, watches=CREATED)

    def __init__(self, pattern: Detector) -> None:
        self.pattern = pattern
        self.detector, self.on = type(pattern.detector).__name__, pattern.on
        self.quiet: dict[str, int] = {}  # by level: last position without reports
        self.watches = defaultdict[str, RunningDetector](lambda: RunningDetector(pattern))

    def alarms(self, signals: Iterable[SignalValues], place: int) -> Iterator[_Alarm]:
        """Feed the signals of a batch; yield the drifts and warnings in it."""
        for signal in signals:
            if self.pattern.binary and signal.values.dtype.kind != "i":
                raise ConfigError(
                    f"drift {self.pattern.name}: {self.detector} takes 0 and 1, and the error of "
                    "predicted numbers is neither"
                )
            for at, level in self.watches[signal.on].feed(signal.values):
                row, value = int(signal.rows[at]), float(signal.values[at])
                yield _Alarm(row, place, level, signal.on, value)

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

    def __init__(self, detectors: Sequence[Detector]) -> None:
        names = [each.name for each in detectors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"each detector must have its own name, got {name!r} twice")
        self.detectors = tuple(detectors)
        self.drifts = 0
        """Drifts reported so far."""
        self.warnings = 0
        """Warnings reported so far."""
        self._signals = Signals()
        self._position = 0  # rows of the stream so far
        self._known: set[int] = set()  # watched classes that had a row
        self._watches = [_Watch(each) for each in detectors]

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
        return [each for each in self.detectors if self._signals.is_unseen_class(each.on, labels)]

    def state_dict(self) -> State:
        """Return counts, and the state of every detector by its name."""
        monitors = {each.pattern.name: save_state(each) for each in self._watches}
        return {**self._COUNTS.save(self), "monitors": monitors}

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
        self._COUNTS.load(self, state)

    def _watch(self, scored: Scored) -> list[Record]:
        """Return the records of a batch, after carrying out their actions."""
        batch = scored.incoming
        if not len(batch):
            return []
        alarms = sorted(
            alarm
            for place, watch in enumerate(self._watches)
            for alarm in watch.alarms(self._signals.read(watch.on, scored, self._known), place)
        )
        found = [
            self._report(alarm, int(batch.experience[alarm.row]))
            for alarm in alarms
            if self._watches[alarm.place].reports(alarm.level, self._position + alarm.row + 1)
        ]
        self._position += len(batch)
        if batch.target is None:
            self._known |= {y for y in batch.y.tolist() if 0 <= y < MOST}
        return found

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
            "actions": list(actions),
        }
        for act in actions.values():
            act(record)
        return record
