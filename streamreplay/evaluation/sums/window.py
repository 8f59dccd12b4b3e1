"""The last rows of a stream, for scores over a sliding window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.evaluation.sums.tally import ratio
from streamreplay.state import State

__all__ = ["Window"]


class Window:
    """A ring of the hits and losses of the last rows.

    Parameters
    ----------
    size : int
        Rows it holds.
    tracks : int
        How many predictors are followed side by side.
    """

    def __init__(self, size: int, tracks: int) -> None:
        self._hits = np.zeros((tracks, size), np.bool_)
        self._loss = np.full(size, np.nan)  # float64[size], NaN where a row has none
        self._rows = 0  # ever written; the next one goes to this modulo size

    def extend(self, hits: NDArray[np.bool_], loss: NDArray[np.float64]) -> None:
        """Append rows: hits, bool[tracks, n], and losses in nats, float64[n]."""
        size, n = len(self._loss), len(loss)
        kept = min(n, size)
        first = (self._rows + n - kept) % size
        split = min(kept, size - first)  # rows that fit before the ring's end
        hits, loss = hits[:, n - kept :], loss[n - kept :]
        self._hits[:, first : first + split] = hits[:, :split]
        self._loss[first : first + split] = loss[:split]
        self._hits[:, : kept - split] = hits[:, split:]
        self._loss[: kept - split] = loss[split:]
        self._rows += n

    @property
    def rows(self) -> int:
        """Rows in it."""
        return min(self._rows, len(self._loss))

    def hits(self) -> list[int]:
        """Return each track's number of hits."""
        found: list[int] = np.count_nonzero(self._hits, axis=1).tolist()
        return found

    def loss(self) -> float | None:
        """Return the mean of the finite losses, in nats."""
        # Summed in the ring's own order: which row lies where depends on row counts alone.
        finite = self._loss[np.isfinite(self._loss)]
        return ratio(float(finite.sum()), len(finite))

    def state_dict(self) -> State:
        """Return the ring as it lies."""
        return {"hits": self._hits.copy(), "loss": self._loss.copy(), "rows": self._rows}

    def load_state_dict(self, state: State) -> None:
        """Take over a state of the same size."""
        self._hits[:] = state["hits"]
        self._loss[:] = state["loss"]
        self._rows = int(state["rows"])
