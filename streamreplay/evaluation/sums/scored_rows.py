"""Rows that were scored but not folded into the scores yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.records import Scored
from streamreplay.state import ARRAY, State

__all__ = ["ScoredBlock", "ScoredRows"]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Scored rows as columns, all that scores are made of.

    Attributes
    ----------
    y : int64[n]
    prediction : int64[n] or float64[n, d] or bool[n, d]
    loss : float32[n]
    task : int64[n]
    target : float64[n, d] or bool[n, d] or None
    probability, square_sum : float32[n] or None
        Of classes.
    """

    y: NDArray[np.int64]
    prediction: NDArray[Any]
    loss: NDArray[np.float32]
    task: NDArray[np.int64]
    target: NDArray[Any] | None = None
    probability: NDArray[np.float32] | None = None
    square_sum: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def labelled(self) -> ScoredRows:
        """Return the rows with a label."""
        known = self.y >= 0
        if known.all():
            return self
        return self.take(known)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> ScoredRows:
        """Return the rows of a mask, bool[n], or of row numbers."""
        columns: list[Any] = [getattr(self, name) for name in self.__slots__]
        taken: list[Any] = [None if column is None else column[rows] for column in columns]
        return ScoredRows(*taken)


class ScoredBlock:
    """Preallocated columns that a batch is appended to: all that is done on every batch.

    Parameters
    ----------
    size : int
        Rows there is room for.
    prediction : array
        Rows of predictions, for the type and shape of one.
    """

    __slots__ = (
        "loss",
        "prediction",
        "probability",
        "rows",
        "square_sum",
        "target",
        "task",
        "y",
    )

    def __init__(self, size: int, prediction: NDArray[Any]) -> None:
        one, dtype = prediction.shape[1:], prediction.dtype
        self.y = np.zeros(size, np.int64)
        self.prediction = np.zeros((size, *one), dtype)
        self.loss = np.zeros(size, np.float32)
        self.task = np.zeros(size, np.int64)
        self.target = np.zeros((size, *one), dtype) if one else None
        self.probability = None if one else np.zeros(size, np.float32)
        self.square_sum = None if one else np.zeros(size, np.float32)
        self.rows = 0

    def append(self, scored: Scored, end: int) -> None:
        """Append all of a batch, up to row ``end`` of these columns."""
        rows = slice(self.rows, end)
        batch = scored.incoming
        self.y[rows] = batch.y
        self.prediction[rows] = scored.prediction
        self.loss[rows] = scored.loss
        self.task[rows] = batch.task
        if self.probability is not None and self.square_sum is not None:
            self.probability[rows] = scored.probability
            self.square_sum[rows] = np.nan if scored.square_sum is None else scored.square_sum
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
        if self.probability is not None and self.square_sum is not None:
            squares = scored.square_sum
            self.probability[rows] = scored.probability[part]
            self.square_sum[rows] = np.nan if squares is None else squares[part]
        if self.target is not None:
            self.target[rows] = 0 if batch.target is None else batch.target[part]
        self.rows = rows.stop

    def columns(self) -> ScoredRows:
        """Return the pending rows, as views."""
        columns: list[Any] = [getattr(self, name) for name in ScoredRows.__slots__]
        views: list[Any] = [None if column is None else column[: self.rows] for column in columns]
        return ScoredRows(*views)

    def state_dict(self) -> State:
        """Return the pending rows as they are."""
        rows = self.columns()
        columns = {name: getattr(rows, name) for name in rows.__slots__}
        return {name: column.copy() for name, column in columns.items() if column is not None}

    def load_state_dict(self, state: State) -> None:
        """Load rows that fit into these columns."""
        self.rows = len(state["y"])
        rows = self.columns()
        for name in rows.__slots__:
            column = getattr(rows, name)
            if column is not None:
                ARRAY.load(name, column, state[name])
