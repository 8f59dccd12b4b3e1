"""Rows that were scored but not folded into the scores yet."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Scored
from streamreplay.stage import State

__all__ = ["Pending"]

Columns: TypeAlias = tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]
]


class Pending:
    """Preallocated columns that a batch is appended to: all that is done on every batch.

    Parameters
    ----------
    size : int
        Rows there is room for.
    """

    __slots__ = ("loss", "prediction", "rows", "task", "y")

    def __init__(self, size: int) -> None:
        self.y = np.zeros(size, np.int64)
        self.prediction = np.zeros(size, np.int64)
        self.loss = np.zeros(size, np.float32)
        self.task = np.zeros(size, np.int64)
        self.rows = 0

    def append(self, scored: Scored, end: int) -> None:
        """Append all of a batch, up to row ``end`` of these columns."""
        rows = slice(self.rows, end)
        batch = scored.incoming
        self.y[rows] = batch.y
        self.prediction[rows] = scored.prediction
        self.loss[rows] = scored.loss
        self.task[rows] = batch.task
        self.rows = end

    def append_part(self, scored: Scored, start: int, stop: int) -> None:
        """Append rows ``start`` to ``stop`` of a batch."""
        rows = slice(self.rows, self.rows + stop - start)
        part = slice(start, stop)
        self.y[rows] = scored.incoming.y[part]
        self.prediction[rows] = scored.prediction[part]
        self.loss[rows] = scored.loss[part]
        self.task[rows] = scored.incoming.task[part]
        self.rows = rows.stop

    def columns(self) -> Columns:
        """Return labels, predictions, losses and tasks of the pending rows, as views."""
        n = self.rows
        return self.y[:n], self.prediction[:n], self.loss[:n], self.task[:n]

    def state_dict(self) -> State:
        """Return the pending rows as they are."""
        y, prediction, loss, task = (column.copy() for column in self.columns())
        return {"y": y, "prediction": prediction, "loss": loss, "task": task}

    def load_state_dict(self, state: State) -> None:
        """Take over pending rows."""
        self.rows = len(state["y"])
        y, prediction, loss, task = self.columns()
        y[:], prediction[:] = state["y"], state["prediction"]
        loss[:], task[:] = state["loss"], state["task"]
