"""Counts over predicted labels, any number of them a row, and the scores made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.evaluation.sums.means import mean_of, ratio, total_of
from streamreplay.state import ARRAY, Fields


class LabelCounts:
    """Count rows, rows right in every label, and hits and errors of each of d labels.

    Sums are float64, which counts exactly up to 2**53 rows; weights make them inexact.

    Parameters
    ----------
    labels : int
        The d.

    Examples
    --------
    >>> counts = LabelCounts(2)
    >>> target = np.array([[True, True], [False, True]])
    >>> counts.add(target, np.array([[True, False], [False, True]]))
    >>> counts.scores()["exact_match"], counts.scores()["hamming_loss"]
    (0.5, 0.25)
    """

    STATE = Fields(rows=float, _exact=float, _cells=ARRAY)

    def __init__(self, labels: int) -> None:
        self.rows = 0.0
        self._exact = 0.0
        self._cells = np.zeros((3, labels))  # float64[(hit, false alarm, missed), d]

    def decay(self, factor: float) -> None:
        """Multiply the weights of all rows so far."""
        self.rows *= factor
        self._exact *= factor
        self._cells *= factor

    def add(
        self,
        target: NDArray[np.bool_],
        prediction: NDArray[np.bool_],
        weight: NDArray[np.float64] | None = None,
    ) -> None:
        """Add rows: targets and predictions bool[n, d], weights float64[n] or all 1."""
        w = np.ones(len(target)) if weight is None else weight
        self.rows += float(w.sum())
        self._exact += float(w[(target == prediction).all(axis=1)].sum())
        self._cells[0] += total_of(w, target & prediction)
        self._cells[1] += total_of(w, ~target & prediction)
        self._cells[2] += total_of(w, target & ~prediction)

    @property
    def present(self) -> NDArray[np.float64]:
        """Rows that have each label, [d]."""
        found: NDArray[np.float64] = self._cells[0] + self._cells[2]
        return found

    def scores(self) -> dict[str, float | None]:
        """Return the share of rows right in all labels, of wrong labels, and F1.

        F1 of a label is 2 hits / (2 hits + false alarms + missed), undefined where it was neither
        there nor predicted; micro is that of all cells together, macro the mean over labels.
        """
        hit, false, missed = self._cells.sum(axis=1).tolist()
        return {
            "exact_match": ratio(self._exact, self.rows),
            "hamming_loss": ratio(false + missed, self.rows * self._cells.shape[1]),
            "f1_micro": ratio(2 * hit, 2 * hit + false + missed),
            "f1_macro": mean_of([scores["f1"] for scores in self.by_label()]),
        }

    def by_label(self) -> list[dict[str, Any]]:
        """Return the rows that have each label, precision, recall and F1."""
        return [
            {
                "rows": round(hit + missed),
                "precision": ratio(hit, hit + false),
                "recall": ratio(hit, hit + missed),
                "f1": ratio(2 * hit, 2 * hit + false + missed),
            }
            for hit, false, missed in self._cells.T.tolist()
        ]
