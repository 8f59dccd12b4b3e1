"""Scored rows that are held back until their labels would have come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.records import Scored
from streamreplay.state import State

_OF_BATCH = ("y", "target")
_OF_SCORED = ("prediction", "probability", "loss")


@final
class HeldBack:
    """The last rows of a stream, as what signals of labels are read from.

    Parameters
    ----------
    delay : int
        Rows that are held back.
    """

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self._rows: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows.get("y", ()))

    def release(self, scored: Scored) -> tuple[Scored, int]:
        """Hold the rows of a batch, and return those of ``delay`` rows before.

        Returns
        -------
        scored : Scored
            Without their features.
        first : int
            The row of the batch with which the first of them is due.
        """
        batch = scored.incoming
        mine = {name: getattr(batch, name) for name in _OF_BATCH}
        mine |= {name: getattr(scored, name) for name in _OF_SCORED}
        before, n = len(self), len(batch)
        rows = {
            name: np.concatenate([self._rows[name], column]) if before else column
            for name, column in mine.items()
            if column is not None
        }
        due = max(0, before + n - self._delay)
        self._rows = {name: column[due:].copy() for name, column in rows.items()}
        found = {name: column[:due] for name, column in rows.items()}
        shown = replace(
            batch.take(np.zeros(due, np.int64)), y=found["y"], target=found.get("target")
        )
        released = replace(
            scored,
            incoming=shown,
            prediction=found["prediction"],
            probability=found["probability"],
            loss=found["loss"],
            square_sum=None,
        )
        return released, n - due

    def state_dict(self) -> State:
        """Return the rows that are held back."""
        return dict(self._rows)

    def load_state_dict(self, state: State) -> None:
        """Load rows that were held back."""
        self._rows = dict(state)
