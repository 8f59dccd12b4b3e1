"""Play a stream whose labels come in time as one whose labels come late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.features.packed import TableSchema, is_table, joined_rows
from streamreplay.ingest.late_rows import Known, followed_by, goals, joined_columns
from streamreplay.labels import Labels
from streamreplay.late import Late
from streamreplay.state import GIVEN, LABELS, PART, SETTING, Fields, State

_Rows: TypeAlias = dict[str, NDArray[Any]]


def _none() -> None:
    return None


@final
class DelayedLabels:
    """Learn each row of a stream only ``delay`` rows after it came.

    A stage `Batch` -> `Batch`, in front of `Probe` and the buffer. Each batch is followed by the
    labelled rows of ``delay`` rows ago, to be learned; the rows of the batch itself are predicted
    and scored, and learned later. So a row is predicted by a model that has learned no row of the
    last ``delay``, and its score is near-future accuracy [1]_. When the stream has ended, the rows
    that are left are learned.

    Needs the stage `Verification` behind the learner.

    Parameters
    ----------
    delay : int
        Rows, at least 1.
    schema : callable, optional
        Returns the schema of a table's rows, for those that are left at the end of a stream that
        was resumed there.

    Raises
    ------
    ValueError
        ``delay`` is below 1.

    References
    ----------
    .. [1] H. A. A. K. Hammoud et al., "Rapid adaptation in online continual learning: are we
       evaluating it right?", ICCV 2023.

    Examples
    --------
    >>> stream = [Batch.from_arrays([[float(i)]], [i], start=i) for i in range(3)]
    >>> for batch in DelayedLabels(2)(stream):
    ...     print("predict", batch.take(batch.late.waiting).t, "learn", batch.learnable().t)
    predict [0] learn []
    predict [1] learn []
    predict [2] learn [0]
    predict [] learn [1]
    predict [] learn [2]
    """

    STATE = Fields(delay=SETTING, _known=PART, _experience=GIVEN, _labels=LABELS)

    def __init__(self, delay: int, schema: Callable[[], TableSchema | None] = _none) -> None:
        if delay < 1:
            raise ValueError(f"delay must be at least 1, got {delay}")
        self.delay = delay
        self._schema = schema
        self._waiting: deque[_Rows] = deque()  # labelled rows as they came, oldest first
        self._known = Known()  # the label of the last row
        self._recent: NDArray[Any] | None = None  # what was known at each of the last rows
        self._experience = 0  # of the last row
        self._labels: Labels | None = None  # of the last batch
        self._like: Batch | None = None  # no rows, as the last batch

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield each batch with the rows that are due, and at the end the rows that are left."""
        for batch in stream:
            yield batch if batch.held_out or not len(batch) else self._delay(batch)
        while self._waiting:
            yield self._left()

    @property
    def rows_held(self) -> int:
        """Rows that are still to be learned."""
        return sum(len(rows["t"]) for rows in self._waiting)

    def state_dict(self) -> State:
        """Return the rows that are still to be learned, and the last labels."""
        return {
            **self.STATE.save(self),
            "recent": self._recent,
            "waiting": [dict(rows) for rows in self._waiting],
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same delay."""
        self.STATE.load(self, state)
        self._recent = state["recent"]
        self._waiting = deque(dict(rows) for rows in state["waiting"])
        self._like = None

    def _delay(self, batch: Batch) -> Batch:
        self._experience = batch.experience.item(-1)
        repeat = self._repeat(batch)
        labelled = batch.labelled()
        if len(labelled):
            self._waiting.append(_columns(labelled))
        due = self._due(batch.t.item(-1) - self.delay)
        self._like, self._labels = batch.take(slice(0, 0)), batch.labels
        return self._put_together(batch, repeat, due)

    def _left(self) -> Batch:
        """Return the oldest rows that are left, with no row of the stream."""
        rows = self._waiting.popleft()
        like = self._like
        if like is None:  # no batch has come since a state was loaded
            nothing: dict[str, Any] = {name: column[:0] for name, column in rows.items()}
            schema = self._schema() if is_table(rows["x"]) else None
            names = None if schema is None else schema.names
            like = Batch(**nothing, labels=self._labels, feature_names=names, schema=schema)
        return self._put_together(like, goals(like), rows)

    def _put_together(self, batch: Batch, repeat: NDArray[Any], due: _Rows) -> Batch:
        n = len(batch)
        rows = followed_by(batch, due) if due else batch
        waiting = np.arange(len(rows)) < n
        nothing = np.zeros(len(rows), np.bool_)
        late = Late(
            records=batch,
            kind=np.full(n, Late.EVENT, np.int8),
            event=np.full(n, -1),
            repeat=repeat,
            place=np.where(waiting, np.arange(len(rows)), -1),
            before=nothing,
            held=nothing,
            waiting=waiting,
            gone=np.empty(0, np.int64),
            repeated=0,
            without_event=0,
            experience=self._experience,
        )
        return replace(rows, late=late, withheld=waiting if n else None)

    def _repeat(self, batch: Batch) -> NDArray[Any]:
        """Return for each row the label of ``delay`` + 1 rows before, or the one before that."""
        n, goal = len(batch), goals(batch)
        labelled = batch.y >= 0
        last = np.maximum.accumulate(np.where(labelled, np.arange(n), -1))
        known = self._known.before(last, goal)
        self._known.learn(goal[labelled])
        earlier = self._recent
        if earlier is None:
            earlier = self._known.nothing(goal, self.delay + 1)
        known = np.concatenate([earlier, known])
        self._recent = known[n:].copy()
        return known[:n]

    def _due(self, newest: int) -> _Rows:
        """Return the rows up to a position, and hold them no longer."""
        parts: list[_Rows] = []
        while self._waiting and self._waiting[0]["t"][0] <= newest:
            rows = self._waiting.popleft()
            k = int(np.searchsorted(rows["t"], newest, "right"))
            parts.append({name: column[:k] for name, column in rows.items()})
            if k < len(rows["t"]):
                self._waiting.appendleft({name: column[k:] for name, column in rows.items()})
        return _joined(parts)


def _columns(batch: Batch) -> _Rows:
    """Return the columns of labelled rows that are to be learned later."""
    return {name: column.copy() for name, column in batch.columns().items() if name != "withheld"}


def _joined(parts: Sequence[_Rows]) -> _Rows:
    """Join rows in order; {} for none."""
    if len(parts) < 2:
        return parts[0] if parts else {}
    sizes = [len(part["t"]) for part in parts]
    joined = {"x": joined_rows([part["x"] for part in parts])}
    for name in dict.fromkeys(name for part in parts for name in part if name != "x"):
        columns = [part.get(name) for part in parts]
        joined[name] = joined_columns(name, list(zip(columns, sizes, strict=True)))
    return joined
