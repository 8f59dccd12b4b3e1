"""Sums over predicted numbers and labels, several of them a row, and the scores made of them."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.evaluation.sums.means import mean_of, ratio, total_of
from streamreplay.state import ARRAY, Fields

_LARGEST = float(np.finfo(np.float32).max)
_KEYS = ("mae", "mse", "rmse", "r2")
_ROUNDING = 1e-12  # of a sum over a block of rows, relative


class ErrorSums:
    """Sum up, with weights, the errors and squared errors of d outputs and the targets' spread.

    Parameters
    ----------
    outputs : int
        The d.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", 1983:
    the update for a block of rows.

    Examples
    --------
    >>> sums = ErrorSums(1)
    >>> sums.add(np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [1.0], [0.0]]))
    >>> sums.scores()
    {'mae': 0.3333333333333333, 'mse': 0.3333333333333333, 'rmse': 0.5773502691896257, 'r2': 0.5}
    """

    STATE = Fields(rows=float, _absolute=ARRAY, _squared=ARRAY, _mean=ARRAY, _spread=ARRAY)

    def __init__(self, outputs: int) -> None:
        self.rows = 0.0  # sum of the weights
        self._absolute = np.zeros(outputs)  # float64[d]
        self._squared = np.zeros(outputs)
        self._mean = np.zeros(outputs)  # of the targets
        self._spread = np.zeros(outputs)  # sum of squared distances from it

    def decay(self, factor: float) -> None:
        """Multiply the weights of all rows so far."""
        self.rows *= factor
        self._absolute *= factor
        self._squared *= factor
        self._spread *= factor

    def add(
        self,
        target: NDArray[np.float64],
        error: NDArray[np.float64],
        weight: NDArray[np.float64] | None = None,
    ) -> None:
        """Add rows: targets and errors float64[n, d], weights float64[n] or all 1.

        Rows with an error of NaN are left out.
        """
        known = ~np.isnan(error).any(axis=1)
        if not known.any():
            return
        target, error = target[known], error[known]
        w = np.ones(len(target)) if weight is None else weight[known]
        rows = float(w.sum())
        self._absolute += total_of(w, np.abs(error))
        self._squared += total_of(w, error * error)
        if rows <= 0:
            return
        mean = total_of(w, target) / rows
        away = target - mean
        delta, total = mean - self._mean, self.rows + rows
        self._spread += total_of(w, away * away) + delta * delta * (self.rows * rows / total)
        self._mean += delta * (rows / total)
        self.rows = total

    def scores(self) -> dict[str, float | None]:
        """Return the means over all outputs, with equal weights; None where undefined."""
        each = self.by_output()
        return {key: mean_of([scores[key] for scores in each]) for key in _KEYS}

    def by_output(self) -> list[dict[str, Any]]:
        """Return the scores of each output.

        R² is 1 minus squared error / spread of the targets, undefined where they do not differ.
        """
        if not self.rows:
            return [dict.fromkeys(_KEYS) for _ in self._mean]
        # a spread no larger than the rounding of the mean is none
        varies = self._spread > self.rows * (_ROUNDING * self._mean) ** 2
        columns = (self._absolute, self._squared, self._spread, varies)
        found = []
        for absolute, squared, spread, defined in zip(*(c.tolist() for c in columns), strict=True):
            mse = squared / self.rows
            r2 = 1 - squared / spread if defined else None
            found.append({"mae": absolute / self.rows, "mse": mse, "rmse": sqrt(mse), "r2": r2})
        return found


def errors_of(prediction: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the errors of predictions, [n, d]; NaN for all of a row that cannot be scored."""
    errors: NDArray[np.float64] = np.where(is_number(prediction), prediction, np.nan) - target
    return errors


def is_number(prediction: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each row whether all of its numbers can be scored: bool[n, 1].

    NaN stands for no prediction. The square of a number beyond float32 may be beyond float64.

    Examples
    --------
    >>> is_number(np.array([[1.0, 2.0], [np.nan, 1.0], [1e300, 1.0]])).tolist()
    [[True], [False], [False]]
    """
    found: NDArray[np.bool_] = np.all(np.abs(prediction) <= _LARGEST, axis=1, keepdims=True)
    return found


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
