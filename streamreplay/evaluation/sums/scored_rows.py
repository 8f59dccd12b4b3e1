"""Scored rows as columns, and the block in which they wait to be added to the scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.records import Scored
from streamreplay.state import ARRAY, State


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Scored rows as columns: everything that scores are computed from.

    Attributes
    ----------
    y : int64[n]
    prediction : int64[n] or float64[n, d] or bool[n, d]
    loss : float32[n]
    task : int64[n]
    target : float64[n, d] or bool[n, d] or None
    probability, square_sum : float32[n] or None
        Of classes.
    repeat : int64[n] or float64[n, d] or None
        What was known last when a row was predicted, where labels come late.
    """

    y: NDArray[np.int64]
    prediction: NDArray[Any]
    loss: NDArray[np.float32]
    task: NDArray[np.int64]
    target: NDArray[Any] | None = None
    probability: NDArray[np.float32] | None = None
    square_sum: NDArray[np.float32] | None = None
    repeat: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def present(self) -> dict[str, NDArray[Any]]:
        """Return the columns that are there, by name."""
        columns = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: column for name, column in columns if column is not None}

    def labelled(self) -> ScoredRows:
        """Return the rows with a label."""
        known = self.y >= 0
        return self if known.all() else self.take(known)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> ScoredRows:
        """Return the rows of a mask, bool[n], of row numbers, or of a slice."""
        return ScoredRows(**{name: column[rows] for name, column in self.present().items()})


class ScoredBlock:
    """Preallocated columns that batches are appended to: all the work that each batch costs.

    Parameters
    ----------
    size : int
        Rows there is room for.
    prediction : array
        Rows of predictions, which give the type and shape of one.
    late : bool
        Whether labels come late.
    """

    def __init__(self, size: int, prediction: NDArray[Any], *, late: bool = False) -> None:
        one, dtype = prediction.shape[1:], prediction.dtype
        known = np.zeros((size, *one), np.float64 if one else np.int64)
        self._room = ScoredRows(
            y=np.zeros(size, np.int64),
            prediction=np.zeros((size, *one), dtype),
            loss=np.zeros(size, np.float32),
            task=np.zeros(size, np.int64),
            target=np.zeros((size, *one), dtype) if one else None,
            probability=None if one else np.zeros(size, np.float32),
            square_sum=None if one else np.zeros(size, np.float32),
            repeat=known if late else None,
        )
        self.rows = 0

    def append(self, scored: Scored, end: int) -> None:
        """Append all of a batch, up to row ``end`` of the block."""
        room, rows, batch = self._room, slice(self.rows, end), scored.incoming
        room.y[rows] = batch.y
        room.prediction[rows] = scored.prediction
        room.loss[rows] = scored.loss
        room.task[rows] = batch.task
        if room.probability is not None and room.square_sum is not None:
            room.probability[rows] = scored.probability
            room.square_sum[rows] = np.nan if scored.square_sum is None else scored.square_sum
        if room.target is not None:
            room.target[rows] = 0 if batch.target is None else batch.target
        if room.repeat is not None and scored.repeat is not None:
            room.repeat[rows] = scored.repeat
        self.rows = end

    def append_part(self, scored: Scored, start: int, stop: int) -> None:
        """Append rows ``start`` to ``stop`` of a batch."""
        part, squares = slice(start, stop), scored.square_sum
        rows = replace(
            scored,
            incoming=scored.incoming.take(part),
            prediction=scored.prediction[part],
            probability=scored.probability[part],
            loss=scored.loss[part],
            square_sum=None if squares is None else squares[part],
            repeat=None if scored.repeat is None else scored.repeat[part],
        )
        self.append(rows, self.rows + stop - start)

    def columns(self) -> ScoredRows:
        """Return the rows of the block, as views."""
        return self._room.take(slice(self.rows))

    def state_dict(self) -> State:
        """Return the rows of the block."""
        return {name: column.copy() for name, column in self.columns().present().items()}

    def load_state_dict(self, state: State) -> None:
        """Load rows of the same kind of predictions."""
        self.rows = len(state["y"])
        for name, column in self.columns().present().items():
            ARRAY.load(name, column, state[name])
