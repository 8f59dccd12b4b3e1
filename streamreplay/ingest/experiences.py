"""Number experiences by rows, by time or on request, for streams without experiences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import floor, inf, isfinite
from typing import final

import numpy as np

from streamreplay.batch import Batch
from streamreplay.errors import ConfigError
from streamreplay.state import SETTING, Fields, State


@final
class Experiences:
    """Number the experiences of a stream 0, 1, 2, ... in place of what the stream says.

    A stage `Batch` -> `Batch`, the first behind the source. An experience ends after so many rows,
    after so many seconds of event time, or when `begin` is called, as a drift does.

    A batch is never split, since each gives one report: an experience begins with the first batch
    that begins at or after its boundary. Boundaries themselves lie at multiples of ``rows``, or of
    ``seconds`` from the stream's first time, and do not move. If a batch is past several of them,
    one experience begins. Held-out batches keep what they say.

    Parameters
    ----------
    rows : int, optional
        Rows of the stream between two boundaries.
    seconds : float, optional
        Seconds of event time, in place of rows. A batch begins at the time of its first row that
        has one; rows that come late never bring an old experience back.

    Raises
    ------
    ValueError
        Both are given, or one is out of its range.
    ConfigError
        Later: ``seconds`` are given, and rows have no column of times.

    Examples
    --------
    >>> rows = [Batch.from_arrays([[float(i)], [i + 0.5]]) for i in range(5)]
    >>> stage, seen = Experiences(rows=4), []
    >>> for batch in stage(rows):
    ...     seen.append(batch.experience.tolist())
    ...     if len(seen) == 3:
    ...         stage.begin()
    >>> seen
    [[0, 0], [0, 0], [1, 1], [2, 2], [3, 3]]
    """

    STATE = Fields(
        rows=SETTING,
        seconds=SETTING,
        experience=int,
        _position=int,
        _told=bool,
        _passed=int,
        _first=float | None,
    )

    def __init__(self, *, rows: int | None = None, seconds: float | None = None) -> None:
        if rows is not None and seconds is not None:
            raise ValueError(f"rows and seconds exclude each other, got {rows} and {seconds}")
        if rows is not None and rows < 1:
            raise ValueError(f"rows must be at least 1, got {rows}")
        if seconds is not None and not 0 < seconds < inf:
            raise ValueError(f"seconds must be above 0 and finite, got {seconds}")
        self.rows, self.seconds = rows, seconds
        self.experience = 0
        """Number of the present experience."""
        self._position = 0  # rows so far
        self._told = False  # `begin` was called: the next batch begins an experience
        self._passed = 0  # boundaries behind the rows so far
        self._first: float | None = None  # the stream's first time

    def __call__(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Yield every batch with the number of its experience."""
        for batch in stream:
            if batch.held_out or not len(batch):
                yield batch
                continue
            self._advance(batch)
            self._position += len(batch)
            yield replace(batch, experience=np.full(len(batch), self.experience, np.int64))

    def begin(self) -> None:
        """Begin an experience with the next batch. Does nothing before the first row."""
        self._told = self._position > 0

    def state_dict(self) -> State:
        """Return the number of the experience, and where the next boundary is."""
        return self.STATE.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same boundaries.

        Raises
        ------
        CheckpointError
            They were others.
        """
        self.STATE.load(self, state)

    def _advance(self, batch: Batch) -> None:
        passed = max(self._passed, self._boundaries(batch))
        if passed > self._passed or self._told:
            self.experience += 1
        self._passed, self._told = passed, False

    def _boundaries(self, batch: Batch) -> int:
        """Return how many boundaries lie at or before the beginning of a batch."""
        if self.rows is not None:
            return self._position // self.rows
        if self.seconds is None:
            return 0
        if batch.time is None:
            raise ConfigError("experiences.seconds: rows have no time: name it in source.time")
        times: list[float] = batch.time.tolist()
        now = next(filter(isfinite, times), None)
        if now is None:
            return 0
        if self._first is None:
            self._first = now
        return floor((now - self._first) / self.seconds)
