"""Where the stream drifted, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, final

from streamreplay.errors import ConfigError
from streamreplay.evaluation.drift.detector import Detector, Level, Record, RunningDetector
from streamreplay.evaluation.drift.signals import MOST, Signals
from streamreplay.labels import Labels
from streamreplay.records import Report, Scored
from streamreplay.state import Fields, State, expect, within

__all__ = ["DriftMonitor"]


class _Alarm(NamedTuple):
    """A drift or a warning of one detector; in order of the row, then of the monitor."""

    row: int  # within the batch
    place: int  # of the monitor
    level: Level
    on: str
    value: float


@final
class DriftMonitor:
    """Feed River's detectors with the stream, row by row, and carry out what a drift sets off.

    A stage `Report` -> `Report`, the one behind the evaluator. Each drift, and each beginning of a
    phase of warning, becomes a record of kind ``drift`` among the report's metrics. Which row it
    names does not depend on how the stream was cut into batches: a detector says what it would say
    alone, given the same numbers. Actions are carried out once the batch that the row is in has
    been learned from, so they take effect with the next batch. Held-out rows are not looked at, as
    there is no report of them.

    Parameters
    ----------
    detectors : sequence of Detector
        With different names.

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

    def __init__(
        self,
        detectors: Sequence[Detector],
    ) -> None:
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
        self._known: set[int] = set()  # classes that had a row, of those that are looked at
        self._watches: list[dict[str, RunningDetector]] = [
            {} for _ in detectors
        ]  # by what they look at
        self._quiet = [dict[str, int]() for _ in detectors]  # by level: position it ends at

    def __call__(self, stream: Iterable[Report]) -> Iterator[Report]:
        """Yield every report, with what drifted in its batch."""
        for report in stream:
            found = [] if report.scored is None else self._look(report.scored)
            if not found:
                yield report
                continue
            metrics = sorted([*report.metrics, *found], key=lambda record: record["position"])
            yield replace(report, metrics=tuple(metrics))

    def unseen_classes(self, labels: Labels) -> list[Detector]:
        """Return detectors on a class that is not among the labels so far.

        They are fed with nothing but zeros.
        """
        return [each for each in self.detectors if self._signals.is_unseen_class(each.on, labels)]

    def state_dict(self) -> State:
        """Return counts, and the state of every detector by the name of its monitor."""
        monitors = {
            each.name: {
                "detector": type(each.detector).__name__,
                "on": each.on,
                "quiet": dict(self._quiet[place]),
                "watches": [
                    {"on": on, **watch.state_dict()} for on, watch in self._watches[place].items()
                ],
            }
            for place, each in enumerate(self.detectors)
        }
        return {**self._COUNTS.save(self), "monitors": monitors}

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same detectors.

        Raises
        ------
        CheckpointError
            They were others, or made with other settings.
        """
        expect("monitors", list(state["monitors"]), [each.name for each in self.detectors])
        for place, each in enumerate(self.detectors):
            with within(each.name):
                self._load(place, state["monitors"][each.name])
        self._COUNTS.load(self, state)

    def _load(self, place: int, state: State) -> None:
        pattern = self.detectors[place]
        expect("detector", state["detector"], type(pattern.detector).__name__)
        expect("on", state["on"], pattern.on)
        watches = {}
        for saved in state["watches"]:
            watch = watches[saved["on"]] = RunningDetector(pattern)
            watch.load_state_dict(saved)
        self._watches[place], self._quiet[place] = watches, dict(state["quiet"])

    def _look(self, scored: Scored) -> list[Record]:
        """Return the records of a batch, having done what they set off."""
        batch = scored.incoming
        if not len(batch):
            return []
        alarms = [
            alarm for place in range(len(self.detectors)) for alarm in self._ask(place, scored)
        ]
        found = []
        for alarm in sorted(alarms):
            record = self._report(alarm, int(batch.experience[alarm.row]))
            if record is not None:
                found.append(record)
        self._position += len(batch)
        if batch.target is None:
            self._known |= {y for y in batch.y.tolist() if 0 <= y < MOST}
        return found

    def _ask(self, place: int, scored: Scored) -> Iterator[_Alarm]:
        pattern, watches = self.detectors[place], self._watches[place]
        for part in self._signals.read(pattern.on, scored, self._known):
            if pattern.binary and part.values.dtype.kind != "i":
                raise ConfigError(
                    f"drift {pattern.name}: {type(pattern.detector).__name__} takes 0 and 1, and "
                    "the error of predicted numbers is neither"
                )
            watch = watches.get(part.on)
            if watch is None:
                watch = watches[part.on] = RunningDetector(pattern)
            for at, level in watch.feed(part.values):
                yield _Alarm(int(part.rows[at]), place, level, part.on, float(part.values[at]))

    def _report(self, alarm: _Alarm, experience: int) -> Record | None:
        """Make the record of an alarm and do what it sets off; None in a time of quiet."""
        pattern, quiet = self.detectors[alarm.place], self._quiet[alarm.place]
        position = self._position + alarm.row + 1
        if position <= max(quiet.get("drift", 0), quiet.get(alarm.level, 0)):
            return None
        if pattern.cooldown:
            quiet[alarm.level] = position + pattern.cooldown
        drift = alarm.level == "drift"
        self.drifts += drift
        self.warnings += not drift
        actions = pattern.actions if drift else pattern.warning_actions
        record: dict[str, Any] = {
            "kind": "drift",
            "position": position,
            "experience": experience,
            "level": alarm.level,
            "name": pattern.name,
            "detector": type(pattern.detector).__name__,
            "on": alarm.on,
            "value": alarm.value,
            "actions": list(actions),
        }
        for act in actions.values():
            act(record)
        return record
