"""One group of rows, kept by a strategy as a buffer would keep it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import Batch
from streamreplay.buffers.selection import Candidates, ExemplarsSelectionStrategy

__all__ = ["Group", "candidates"]


def candidates(x: ArrayLike, weight: ArrayLike | None = None, width: int = 0) -> Candidates:
    """Make new rows of features x, [n] or [n, *feature]."""
    x = np.asarray(x, np.float32)
    rows = Batch.from_arrays(x[:, None] if x.ndim == 1 else x)
    n = len(rows)
    given = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    return Candidates(rows, 0, given, np.zeros((n, width), np.float32))


class Group:
    """Offers rows to a strategy, and stores what it returns with its notes."""

    def __init__(self, strategy: ExemplarsSelectionStrategy, k: int) -> None:
        self.strategy = strategy
        self.k = k
        self.rows: Batch | None = None
        self.notes = np.zeros((0, strategy.width), np.float32)
        self.seen = 0

    def offer(self, batch: Batch) -> NDArray[np.int64]:
        rows = batch if self.rows is None else Batch.concat([self.rows, batch])
        stored, n = len(rows) - len(batch), len(batch)
        weight = np.concatenate([np.full(stored, self.seen / max(stored, 1)), np.ones(n)])
        notes = np.zeros((len(rows), self.strategy.width), np.float32)
        notes[:stored] = self.notes
        kept = self.strategy.make_sorted_indices(Candidates(rows, stored, weight, notes), self.k)
        self.rows, self.notes, self.seen = rows.take(kept), notes[kept], self.seen + n
        return kept

    @property
    def t(self) -> list[int]:
        return [] if self.rows is None else self.rows.t.tolist()

    def state(self) -> dict[str, Any]:
        return {"t": self.t, "notes": self.notes, "strategy": self.strategy.state_dict()}
