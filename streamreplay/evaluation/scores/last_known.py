"""The baseline of streams whose labels come late: repeat the label known last."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Objective
from streamreplay.evaluation.sums.means import RecentRows, RunningMean, mean_of_finite
from streamreplay.evaluation.sums.output_sums import errors_of
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import PART, Fields

_SCORES: dict[Objective, str] = {
    "classes": "accuracy",
    "numbers": "mae",
    "labels": "exact_match",
}


@final
class LastKnown:
    """Predict for each row the label that was known last when it came; wrong before there is one.

    Of a label that comes S rows late, that is the label of S + 1 rows before.

    Parameters
    ----------
    window : int
        Labelled rows in the sliding window.
    objective : {"classes", "numbers", "labels"}
        Decides the score: accuracy, mean absolute error, or exact match.

    Examples
    --------
    >>> said, known = np.zeros(3, np.int64), np.array([-2, 5, 4])
    >>> rows = ScoredRows(np.array([5, 5, 5]), said, np.zeros(3, "f4"), said, repeat=known)
    >>> baseline = LastKnown(2, "classes")
    >>> baseline.fold(rows)
    >>> baseline.record()
    {'accuracy': 0.3333333333333333, 'accuracy_window': 0.5}
    """

    STATE = Fields(_mean=PART, _recent=PART)

    def __init__(self, window: int, objective: Objective) -> None:
        self._score = _SCORES[objective]
        self._mean = RunningMean()
        self._recent = RecentRows(window, value=np.empty(0))

    def fold(self, rows: ScoredRows) -> None:
        """Add labelled rows."""
        values = _values(rows)
        if len(values):
            self._mean.add(values)
            self._recent.extend(value=values)

    def record(self) -> dict[str, float | None]:
        """Return the score so far, and that of the window."""
        recent = mean_of_finite(self._recent["value"])
        return {self._score: self._mean.mean, f"{self._score}_window": recent}


def _values(rows: ScoredRows) -> NDArray[np.float64]:
    """Return the score of each row: float64[n]; NaN for numbers of which none is known."""
    values: NDArray[np.float64] = np.empty(0)
    if rows.repeat is None:
        return values
    if rows.target is None:
        values = (rows.repeat == rows.y).astype(np.float64)
    elif rows.target.dtype == np.bool_:
        values = (rows.repeat == rows.target).all(axis=1).astype(np.float64)
    else:
        values = np.abs(errors_of(rows.repeat, rows.target)).mean(axis=1)
    return values
