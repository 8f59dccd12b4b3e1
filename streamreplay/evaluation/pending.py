"""Rows that were scored but not folded into the scores yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Scored
from streamreplay.stage import State

__all__ = ["Pending", "Rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Scored rows as columns, all that scores are made of.

    Attributes
    ----------
    y : int64[n]
    prediction : int64[n] or float64[n, d] or bool[n, d]
    loss : float32[n]
    task : int64[n]
    target : float64[n, d] or bool[n, d] or None
    """

    y: NDArray[np.int64]
    prediction: NDArray[Any]
    loss: NDArray[np.float32]
    task: NDArray[np.int64]
    target: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def labelled(self) -> Rows:
        """Return the rows with a label."""
        known = self.y >= 0
        if known.all():
            return self
        return Rows(
            self.y[known],
            self.prediction[known],
            self.loss[known],
            self.task[known],
            None if self.target is None else self.target[known],
        )


class Pending:
    """Preallocated columns that a batch is appended to: all that is done on every batch.

    Parameters
    ----------
    size : int
        Rows there is room for.
    prediction : array
        Rows of predictions, for the type and shape of one.
    """

    __slots__ = ("loss", "prediction", "rows", "target", "task", "y")

    def __init__(self, size: int, prediction: NDArray[Any]) -> None:
        one, dtype = prediction.shape[1:], prediction.dtype
        self.y = np.zeros(size, np.int64)
        self.prediction = np.zeros((size, *one), dtype)
        self.loss = np.zeros(size, np.float32)
        self.task = np.zeros(size, np.int64)
        self.target = np.zeros((size, *one), dtype) if one else None
        self.rows = 0

    def append(self, scored: Scored, end: int) -> None:
        """Append all of a batch, up to row ``end`` of these columns."""
        rows = slice(self.rows, end)
        batch = scored.incoming
        self.y[rows] = batch.y
        self.prediction[rows] = scored.prediction
        self.loss[rows] = scored.loss
        self.task[rows] = batch.task
        if self.target is not None:
            self.target[rows] = 0 if batch.target is None else batch.target
        self.rows = end

    def append_part(self, scored: Scored, start: int, stop: int) -> None:
        """Append rows ``start`` to ``stop`` of a batch."""
        rows = slice(self.rows, self.rows + stop - start)
        part = slice(start, stop)
        batch = scored.incoming
        self.y[rows] = batch.y[part]
        self.prediction[rows] = scored.prediction[part]
        self.loss[rows] = scored.loss[part]
        self.task[rows] = batch.task[part]
        if self.target is not None:
            self.target[rows] = 0 if batch.target is None else batch.target[part]
        self.rows = rows.stop

    def columns(self) -> Rows:
        """Return the pending rows, as views."""
        n = self.rows
        target = None if self.target is None else self.target[:n]
        return Rows(self.y[:n], self.prediction[:n], self.loss[:n], self.task[:n], target)

    def state_dict(self) -> State:
        """Return the pending rows as they are."""
        rows = self.columns()
        state: State = {
            "y": rows.y.copy(),
            "prediction": rows.prediction.copy(),
            "loss": rows.loss.copy(),
            "task": rows.task.copy(),
        }
        return state if rows.target is None else {**state, "target": rows.target.copy()}

    def load_state_dict(self, state: State) -> None:
        """Take over pending rows."""
        self.rows = len(state["y"])
        rows = self.columns()
        rows.y[:], rows.prediction[:] = state["y"], state["prediction"]
        rows.loss[:], rows.task[:] = state["loss"], state["task"]
        if rows.target is not None:
            rows.target[:] = state["target"]
