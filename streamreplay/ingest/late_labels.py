"""Join labels to rows when they arrive later than the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite, nan
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import Ints
from streamreplay.errors import ConfigError
from streamreplay.ingest.late_rows import Known, Lateness, columns_to_hold, followed_by, goals
from streamreplay.late import Late
from streamreplay.put_aside import PutAside
from streamreplay.slots import Slots
from streamreplay.state import GIVEN, PART, SETTING, Fields, State

_PAST = 10_000  # ids of past events that are remembered at least
_UNKNOWN = "label without event"
_TOO_LATE = "label whose event was given up"


@dataclass(slots=True)
class _Found:
    """What the records of one batch are, as they are looked at one after the other."""

    kind: list[int] = field(default_factory=list)
    event: list[int] = field(default_factory=list)  # position of the event of each label
    last: list[int] = field(default_factory=list)  # record of the label known last, or -1
    held: list[int] = field(default_factory=list)  # records that are events to hold
    labels: list[int] = field(default_factory=list)  # records whose label has found its event
    gone: list[int] = field(default_factory=list)  # positions of events given up
    lost: list[tuple[int, str]] = field(default_factory=list)  # records put aside, and why
    repeated: int = 0


@final
class LateLabels:
    """Join labels to the rows they belong to, by id (verification latency).

    A stage `Batch` -> `Batch`, in front of `Probe` and the buffer. A record without a label is an
    event. It is predicted, and held until a record with its id and a label comes, whose features do
    not count. The event is learned then. The prediction that was made when it came is scored, which
    needs the stage `Verification` behind the learner.

    A label whose event is not held is never learned. If its event had a label already, it is
    repeated; otherwise it is put aside. An event that is held is given up, and stays predicted
    only, when more than ``max_pending`` are held (the oldest is given up), when it is older than
    ``max_age``, and when another event with its id comes. Events without an id are predicted only.

    Parameters
    ----------
    max_pending : int
        Most events to hold. As many ids of past events are remembered, and 10,000 at least.
    max_age : float, optional
        Seconds of event time, between an event and the latest time in the stream, after which it is
        given up.
    on_dead : callable, optional
        Called with a dict for each label put aside, see `DeadLetters`.

    Raises
    ------
    ValueError
        ``max_pending`` is below 1, or ``max_age`` is not above 0; later, features of a row have
        another shape or type than those held.
    ConfigError
        Later: the first record has no id; the first event has no time, and there is a ``max_age``.

    Examples
    --------
    >>> first = Batch.from_arrays([[1.0], [2.0]], [-1, -1], id=["a", "b"])
    >>> later = Batch.from_arrays([[0.0]], [1], id=["a"], start=2)
    >>> _, joined = LateLabels(100)([first, later])
    >>> joined.x.tolist(), joined.y.tolist(), joined.t.tolist()
    ([[1.0]], [1], [0])
    """

    STATE = Fields(
        max_pending=SETTING,
        max_age=SETTING,
        joined=int,
        given_up=int,
        put_aside=PART,
        latency=PART,
        _rows=PART,
        _known=PART,
        _now=float,
        _experience=GIVEN,
    )

    def __init__(
        self,
        max_pending: int = 100_000,
        max_age: float | None = None,
        *,
        on_dead: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        if max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, got {max_pending}")
        if max_age is not None and not 0 < max_age < inf:
            raise ValueError(f"max_age must be above 0 and finite, got {max_age}")
        self.max_pending, self.max_age = max_pending, max_age
        self.joined = 0
        """Labels that found their event."""
        self.given_up = 0
        """Events that are no longer held, though their label has not come."""
        self.put_aside = PutAside()
        """Labels whose event is not held, and had none."""
        self.latency = Lateness()
        """How late labels came."""
        self._on_dead = on_dead
        self._events: dict[str, tuple[int, float]] = {}  # by id, oldest first: position and time
        self._past: dict[str, bool] = {}  # ids of events no longer held: whether a label came
        self._rows = Slots({"time": nan, "weight": 1})  # events by position
        self._known = Known()
        self._now = -inf  # latest time
        self._experience = 0  # of the last event

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield for each batch its events, and the events that its labels belong to."""
        for batch in stream:
            yield batch if batch.held_out or not len(batch) else self._join(batch)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def rows_held(self) -> int:
        """Events that are held until their label comes."""
        return len(self._events)

    def state_dict(self) -> State:
        """Return counts, and the events held, oldest first."""
        places = np.array(list(self._events.values()), np.float64).reshape(-1, 2)
        return {
            **self.STATE.save(self),
            "id": list(self._events),
            "event": np.array([t for t, _ in self._events.values()], np.int64),
            "event_time": places[:, 1],
            "past": list(self._past),
            "past_labelled": np.array(list(self._past.values()), np.bool_),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state saved with the same settings."""
        self.STATE.load(self, state)
        places = zip(state["event"].tolist(), state["event_time"].tolist(), strict=True)
        for each in (*state["id"], *state["past"]):
            if not isinstance(each, str):
                raise TypeError(f"ids must be text, got {type(each).__name__}")
        self._events = dict(zip(state["id"], places, strict=True))
        self._past = dict(zip(state["past"], state["past_labelled"].tolist(), strict=True))

    def _join(self, batch: Batch) -> Batch:
        if batch.t.item(0) == 0 and (batch.id is None or not batch.id[0]):
            raise ConfigError(
                "labels.late: the first record has no id by which its label could be found: name "
                "its column in source.id"
            )
        found, goal = self._look(batch), goals(batch)
        labels = np.array(found.labels, np.int64)
        repeat = self._known.before(found.last, goal)
        self._hold(batch, np.array(found.held, np.int64), repeat)
        self._known.learn(goal[labels])
        rows = self._rows.take([found.event[at] for at in found.labels])
        self._rows.drop(found.gone)
        self._count(found, batch)
        if len(labels):
            self._measure(batch, labels, rows)
            given = {"y": batch.y, "target": batch.target, "id": batch.id}
            rows |= {name: c[labels] for name, c in given.items() if c is not None}
        return self._put_together(batch, found, rows)

    def _hold(self, batch: Batch, held: Ints, repeat: NDArray[Any]) -> None:
        if len(held):
            rows = columns_to_hold(batch.take(held))
            self._rows.put(batch.t[held].tolist(), {**rows, "repeat": repeat[held]})

    def _put_together(self, batch: Batch, found: _Found, rows: Mapping[str, NDArray[Any]]) -> Batch:
        """Return the events of a batch, followed by the events whose labels have come."""
        kind, labels = np.array(found.kind, np.int8), np.array(found.labels, np.int64)
        events = np.flatnonzero(kind == Late.EVENT)
        if len(events):
            self._experience = int(batch.experience[events[-1]])
        repeat = self._known.nothing(goals(batch), len(batch))
        now = batch if len(events) == len(batch) else batch.take(events)
        task = batch.task
        if len(labels):
            now = followed_by(now, rows)
            repeat[labels] = rows["repeat"]
            task = task.copy()
            task[labels] = rows["task"]
        waiting = np.arange(len(now)) < len(events)
        place = np.concatenate([events, labels])
        late = Late(
            records=replace(
                batch,
                y=np.where(kind == Late.LABEL, batch.y, -1),
                task=task,
                experience=np.full(len(batch), self._experience, np.int64),
            ),
            kind=kind,
            event=np.array(found.event, np.int64),
            repeat=repeat,
            place=place,
            before=~waiting,
            held=waiting & np.isin(place, found.held),
            waiting=waiting,
            gone=np.array(found.gone, np.int64),
            repeated=found.repeated,
            without_event=len(found.lost),
            experience=self._experience,
        )
        return replace(now, late=late, withheld=waiting if len(events) else None)

    def _look(self, batch: Batch) -> _Found:
        """Find out what each record is, one after the other, whatever batch it is in."""
        found, last, n = _Found(), -1, len(batch)
        ids = [""] * n if batch.id is None else batch.id.tolist()
        times = [nan] * n if batch.time is None else batch.time.tolist()
        rows = zip(batch.y.tolist(), ids, batch.t.tolist(), times, strict=True)
        for at, (label, name, t, time) in enumerate(rows):
            if self.max_age is not None:
                self._age(time, self.max_age, found)
            found.last.append(last)
            event, kind = -1, Late.EVENT
            if label < 0:
                if name:
                    self._begin(name, t, time, found)
                    found.held.append(at)
            elif name in self._events:
                event, kind, last = self._events.pop(name)[0], Late.LABEL, at
                self._remember(name, labelled=True)
                found.labels.append(at)
            else:
                kind = Late.NOTHING
                self._refuse(name, at, found)
            found.kind.append(kind)
            found.event.append(event)
        return found

    def _begin(self, name: str, t: int, time: float, found: _Found) -> None:
        """Hold an event; one that was held under its id is given up, or the oldest of too many."""
        if name in self._events:
            found.gone.append(self._events.pop(name)[0])
        self._past.pop(name, None)
        if self.max_age is not None and not isfinite(time):
            time = self._now
            if not isfinite(time):
                raise ConfigError(
                    "labels.max_age: the first event has no time: name its column in source.time"
                )
        self._events[name] = (t, time)
        if len(self._events) > self.max_pending:
            self._give_up(found)

    def _age(self, time: float, limit: float, found: _Found) -> None:
        """Give up the events that are too old at a time, which may be NaN."""
        self._now = max(self._now, time)
        while self._events and next(iter(self._events.values()))[1] < self._now - limit:
            self._give_up(found)

    def _give_up(self, found: _Found) -> None:
        """Give up the oldest event."""
        name = next(iter(self._events))
        found.gone.append(self._events.pop(name)[0])
        self._remember(name, labelled=False)

    def _remember(self, name: str, *, labelled: bool) -> None:
        self._past[name] = labelled
        if len(self._past) > max(self.max_pending, _PAST):
            del self._past[next(iter(self._past))]

    def _refuse(self, name: str, at: int, found: _Found) -> None:
        past = self._past.get(name)
        if past:
            found.repeated += 1
        else:
            found.lost.append((at, _UNKNOWN if past is None else _TOO_LATE))

    def _count(self, found: _Found, batch: Batch) -> None:
        self.joined += len(found.labels)
        self.given_up += len(found.gone)
        for at, reason in found.lost:
            t = int(batch.t[at])
            self.put_aside.add(reason, record=t, line=0)
            if self._on_dead is not None:
                name = "" if batch.id is None else str(batch.id[at])
                self._on_dead({"position": t, "reason": reason, "raw": _as_text(batch, at, name)})

    def _measure(self, batch: Batch, labels: Ints, rows: Mapping[str, NDArray[Any]]) -> None:
        seconds = None
        if batch.time is not None and "time" in rows:
            seconds = batch.time[labels] - rows["time"]
        self.latency.add(batch.t[labels] - rows["t"], seconds)


def _as_text(batch: Batch, at: int, name: str) -> str:
    """Write the id and the label of a record as JSON."""
    label: Any = int(batch.y[at])
    if batch.target is not None:
        label = batch.target[at].tolist()
    elif batch.labels is not None:
        label = batch.labels.name(label)
    return orjson.dumps({"id": name, "label": label}).decode()
