"""What both stages of late labels use: rows put together, the label known last, latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.columns import Ints
from streamreplay.features.packed import joined_rows
from streamreplay.state import SETTING, Fields, State

NO_LABEL = -2
"""Equals no label, and not the -1 of a row without one."""

_ABSENT: dict[str, Any] = {"time": np.nan, "weight": 1.0, "id": ""}
"""The columns that rows may lack, and what stands for them then."""

_ALWAYS = ("y", "t", "task", "experience")


def columns_to_hold(batch: Batch) -> dict[str, NDArray[Any]]:
    """Return the columns that an event needs until it is learned: not its id, nor its label."""
    kept = ("x", "t", "task", "experience", "time", "weight")
    return {name: column for name, column in batch.columns().items() if name in kept}


def followed_by(events: Batch, rows: Mapping[str, NDArray[Any]]) -> Batch:
    """Return events followed by rows that were held, which are given as columns."""
    sizes = len(events), len(rows["t"])
    columns: dict[str, Any] = {}
    for name in (*_ALWAYS, *_ABSENT, "target"):
        parts = getattr(events, name), rows.get(name)
        if any(part is not None for part in parts):
            columns[name] = joined_columns(name, list(zip(parts, sizes, strict=True)))
    return replace(events, x=joined_rows([events.x, rows["x"]]), **columns)


def joined_columns(name: str, parts: Sequence[tuple[NDArray[Any] | None, int]]) -> NDArray[Any]:
    """Join a column of several parts, each given with its rows; those of None lack it."""
    like = next(part for part, _ in parts if part is not None)
    return np.concatenate(
        [
            np.full((n, *like.shape[1:]), _ABSENT.get(name, np.nan), like.dtype)
            if part is None
            else part
            for part, n in parts
        ]
    )


def goals(batch: Batch) -> NDArray[Any]:
    """Return what rows are to be predicted: labels int64[n], or targets float64[n, d]."""
    return batch.y if batch.target is None else batch.target.astype(np.float64)


@final
class Known:
    """The label, or target, that was known last.

    Examples
    --------
    >>> known = Known()
    >>> known.before([-1, -1, 1], np.array([-1, 4, -1])).tolist()
    [-2, -2, 4]
    """

    def __init__(self) -> None:
        self._value: NDArray[Any] | None = None  # int64[1] or float64[1, d]

    def nothing(self, goal: NDArray[Any], n: int) -> NDArray[Any]:
        """Return n times that nothing is known."""
        return np.full((n, *goal.shape[1:]), NO_LABEL if goal.ndim == 1 else np.nan, goal.dtype)

    def before(self, last: Sequence[int] | Ints, goal: NDArray[Any]) -> NDArray[Any]:
        """Return what is known at each row: ``goal[last]``, or what was before; change nothing.

        Parameters
        ----------
        last : int64[n]
            The row of `goal` that is known last; -1: one of earlier rows.
        goal : int64[m] or float64[m, d]
        """
        earlier = self.nothing(goal, 1) if self._value is None else self._value
        return np.concatenate([goal, earlier])[np.asarray(last, np.int64)]

    def learn(self, goal: NDArray[Any]) -> None:
        """Take up the last of some labels or targets."""
        if len(goal):
            self._value = goal[-1:].copy()

    def state_dict(self) -> State:
        """Return what is known."""
        return {"value": self._value}

    def load_state_dict(self, state: State) -> None:
        """Load what was known."""
        self._value = None if state["value"] is None else state["value"].copy()


@final
class Lateness:
    """How late labels came, in rows of the stream and in seconds of event time.

    Parameters
    ----------
    window : int
        Labels whose latency is kept, for the median and the quantile.

    Examples
    --------
    >>> latency = Lateness()
    >>> latency.add(np.array([3, 5, 13]), None)
    >>> latency.record()["latency_rows"]
    {'mean': 7.0, 'median_window': 5.0, 'q90_window': 11.4, 'max': 13.0}
    """

    STATE = Fields(window=SETTING, _sums=dict, _recent=dict)

    def __init__(self, window: int = 1000) -> None:
        self.window = window
        self._sums: dict[str, list[float]] = {}  # number, sum, largest
        self._recent: dict[str, list[float]] = {}

    def add(self, rows: Ints, seconds: NDArray[np.float64] | None) -> None:
        """Count labels by the rows and seconds that they were late; NaN: not known."""
        self._add("rows", rows.astype(np.float64))
        if seconds is not None:
            self._add("seconds", seconds[np.isfinite(seconds)])

    def record(self) -> dict[str, dict[str, float]]:
        """Return fields of the log; one of no labels is left out."""
        return {f"latency_{unit}": self._described(unit) for unit in self._sums}

    def _add(self, unit: str, values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        n, total, most = self._sums.get(unit, (0.0, 0.0, -np.inf))
        self._sums[unit] = [
            n + len(values),
            total + float(values.sum()),
            max(most, float(values.max())),
        ]
        recent = [*self._recent.get(unit, ()), *values.tolist()]
        self._recent[unit] = recent[-self.window :]

    def _described(self, unit: str) -> dict[str, float]:
        n, total, most = self._sums[unit]
        median, high = np.quantile(self._recent[unit], (0.5, 0.9)).tolist()
        return {"mean": total / n, "median_window": median, "q90_window": high, "max": most}
