"""Brier score and calibration error of a classifier's probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.evaluation.sums.means import RunningMean, mean_of_finite, ratio
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.state import ARRAY, PART, Fields

_BINS = 15


class Calibration:
    """Brier score and expected calibration error, of all rows and of the last ones.

    The error is the sum over 15 bins of equal width of the rows' share times the distance between
    accuracy and mean probability of the predicted class there. A bin includes its upper edge.

    Parameters
    ----------
    window : int
        Rows in the sliding window.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950, eq. 2.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI 2015; C. Guo et al., "On calibration of modern neural networks", ICML
    2017, eq. 5.

    Examples
    --------
    >>> calibration = Calibration(window=2)
    >>> says = np.array([0.75, 0.75, 1.0], np.float32)
    >>> calibration.fold(np.array([True, True, False]), says, np.array([0.125, 0.125, 2.0]))
    >>> calibration.scores()
    {'brier': 0.75, 'brier_window': 1.0625, 'ece': 0.5, 'ece_window': 0.625}
    """

    STATE = Fields(_bins=ARRAY, _brier=PART, _window=PART)

    def __init__(self, window: int) -> None:
        self._bins = np.zeros((3, _BINS))  # [(rows, hits, summed probabilities), bin]
        self._brier = RunningMean()
        self._window = RecentRows(
            window, hit=np.empty(0, np.bool_), probability=np.empty(0, "f4"), brier=np.empty(0)
        )

    def fold(
        self,
        hits: NDArray[np.bool_],
        probability: NDArray[np.float32],
        brier: NDArray[np.float64],
    ) -> None:
        """Add rows, [n]: whether right, probability of the prediction, and `brier_scores`."""
        self._window.extend(hit=hits, probability=probability, brier=brier)
        self._bins += _binned(hits, probability)
        self._brier.add(brier)

    def scores(self) -> dict[str, float | None]:
        """Return both scores of all rows and of the window; None where no row has one."""
        return {
            "brier": self._brier.mean,
            "brier_window": mean_of_finite(self._window["brier"]),
            "ece": _error(self._bins),
            "ece_window": _error(_binned(self._window["hit"], self._window["probability"])),
        }


def brier_scores(loss: NDArray[np.float64], square_sum: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each row's squared distance between all probabilities and the true class.

    That is the sum of p² over all classes, minus 2 p, plus 1, p being the probability of the true
    class: from 0 to 2; NaN where either part is unknown.

    Examples
    --------
    >>> brier_scores(-np.log([0.75, 0.25]), np.array([0.625, 0.625], np.float32)).tolist()
    [0.125, 1.125]
    """
    scores: NDArray[np.float64] = square_sum - 2 * np.exp(-loss) + 1
    return np.maximum(scores, 0)  # float32 may round a perfect one to below; NaN stays


def _binned(hits: NDArray[np.bool_], probability: NDArray[np.float32]) -> NDArray[np.float64]:
    known = np.isfinite(probability)
    if not known.all():
        hits, probability = hits[known], probability[known]
    p = probability.astype(np.float64)
    # the upper edge belongs to a bin, so does 0 to the first
    place = np.minimum(np.maximum(np.ceil(p * _BINS).astype(np.intp) - 1, 0), _BINS - 1)
    bins = np.empty((3, _BINS))
    bins[0] = np.bincount(place, None, _BINS)
    bins[1] = np.bincount(place[hits], None, _BINS)
    bins[2] = np.bincount(place, p, _BINS)
    return bins


def _error(bins: NDArray[np.float64]) -> float | None:
    rows, hits, probabilities = bins
    return ratio(float(np.abs(hits - probabilities).sum()), float(rows.sum()))
