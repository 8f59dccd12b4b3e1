"""All running scores of a stream of classes, added up by blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.sums.by_group import ScoresByGroup, Tally
from streamreplay.evaluation.sums.means import (
    Fading,
    RecentRows,
    RunningMean,
    mean_of_finite,
    ratio,
)
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.groups import GroupIndex
from streamreplay.state import ARRAY, PART, Fields

_NO_LABEL = -2  # equals no label, and not the -1 of a row without one

_BINS = 15


class NoChange:
    """Predict the last label again; wrong before there is one.

    Examples
    --------
    >>> NoChange().hits(np.array([5, 5, 2, 2])).tolist()
    [False, True, False, True]
    """

    STATE = Fields(_last=int)

    def __init__(self) -> None:
        self._last = _NO_LABEL

    def hits(self, y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the next labels, int64[n], n >= 1, are predicted right, bool[n]."""
        hits: NDArray[np.bool_] = y == _shifted(y, self._last)
        self._last = int(y[-1])
        return hits


class Majority:
    """Predict the most frequent class so far; of equals, the class that reached the count first.

    Examples
    --------
    >>> y = np.array([5, 2, 2, 2, 5])
    >>> Majority().hits(y, GroupIndex.of(y), np.array([0, 0])).tolist()
    [False, False, False, True, False]
    """

    STATE = Fields(_leader=int, _count=int)

    def __init__(self) -> None:
        self._leader = _NO_LABEL
        self._count = 0  # rows of the leader

    def hits(
        self, y: NDArray[np.int64], index: GroupIndex, before: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which of the next labels are predicted right, bool[n].

        Parameters
        ----------
        y : int64[n], n >= 1
        index : GroupIndex
            Of `y`.
        before : int64[g]
            Rows of each class of the index before these.
        """
        n = len(y)
        rank = np.empty(n, np.int64)  # rows of the row's own class up to this one
        rank[index.order] = np.arange(1, n + 1) + np.repeat(before - index.starts, index.counts)
        most = np.maximum.accumulate(rank)
        np.maximum(most, self._count, out=most)
        # A row changes the leader only when its class gets ahead of every count before it.
        leads = most > _shifted(most, self._count)
        since = np.maximum.accumulate(np.where(leads, np.arange(n), -1))
        after = np.where(since < 0, self._leader, y[since])
        hits: NDArray[np.bool_] = y == _shifted(after, self._leader)
        self._leader, self._count = int(after[-1]), int(most[-1])
        return hits


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


def _shifted(column: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Return for each row the value of the row before it."""
    return np.concatenate([[first], column[:-1]])


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
    rows, right = (np.bincount(some, minlength=_BINS) for some in (place, place[hits]))
    return np.stack([rows, right, np.bincount(place, p, _BINS)])


def _error(bins: NDArray[np.float64]) -> float | None:
    rows, hits, probabilities = bins
    return ratio(float(np.abs(hits - probabilities).sum()), float(rows.sum()))


class ClassScores:
    """Scores of a classifier and of the two baselines so far.

    Sums of floats depend on where one block ends and the next begins: the caller must choose
    blocks that depend on the stream alone.

    Parameters
    ----------
    window : int
        Labelled rows in the sliding window.
    fading : float
        Fading factor of the faded accuracy.
    block : int
        Most rows in one block.
    """

    STATE = Fields(
        unlabelled=int,
        _hits=ARRAY,
        _faded_hits=float,
        _faded_rows=float,
        _loss=PART,
        groups=PART,
        _predicted=PART,
        _window=PART,
        _calibration=PART,
        _no_change=PART,
        _majority=PART,
    )

    def __init__(self, window: int, fading: float, block: int) -> None:
        self.unlabelled = 0
        self._hits = np.zeros(3, np.int64)  # of the model, of no-change, of majority
        self._faded_hits, self._faded_rows = 0.0, 0.0
        self._loss = RunningMean()
        self._fading = Fading(fading, block)
        self._window = RecentRows(window, hits=np.empty((0, 3), np.bool_), loss=np.empty(0))
        self._calibration = Calibration(window)
        self._no_change, self._majority = NoChange(), Majority()
        self._classes = Tally()
        self.groups = ScoresByGroup(classes=self._classes)
        self._predicted = Tally()

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add a block of rows of one experience."""
        labelled = rows.labelled()
        self.unlabelled += len(rows) - len(labelled)
        if not len(labelled):
            return
        y, prediction = labelled.y, labelled.prediction
        classes = GroupIndex.of(y)
        hits = np.empty((3, len(y)), np.bool_)
        np.equal(y, prediction, out=hits[0])
        hits[1] = self._no_change.hits(y)
        hits[2] = self._majority.hits(y, classes, self._classes.rows(classes.ids))
        self._hits += np.count_nonzero(hits, axis=1)
        self._fade(hits[0])
        losses = labelled.loss.astype(np.float64)
        self._window.extend(hits=hits.T, loss=losses)
        self._loss.add(losses)
        if labelled.probability is not None and labelled.square_sum is not None:
            brier = brier_scores(losses, labelled.square_sum)
            self._calibration.fold(hits[0], labelled.probability, brier)
        self._classes.add_groups(classes, hits[0])
        self.groups.add(labelled.task, experience, hits[0])
        self._predicted.add(prediction, hits[0])

    @property
    def classes_seen(self) -> list[int]:
        """The classes that a labelled row had."""
        return self._classes.ids

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores so far, as ``streamreplay schema --log`` describes them."""
        rows = self._classes.total[0]
        model, no_change, majority = self._hits.tolist()
        hits: list[int] = np.count_nonzero(self._window["hits"], axis=0).tolist()
        recent = len(self._window["hits"])
        return {
            "rows": rows,
            "unlabelled": self.unlabelled,
            "accuracy": ratio(model, rows),
            "accuracy_window": ratio(hits[0], recent),
            "accuracy_fading": ratio(self._faded_hits, self._faded_rows),
            "loss": self._loss.mean,
            "loss_window": mean_of_finite(self._window["loss"]),
            "kappa": self._kappa(rows, model),
            # (p0 - p') / (1 - p'), p' being no-change's accuracy, both times rows
            "kappa_temporal": ratio(model - no_change, rows - no_change),
            "kappa_temporal_window": ratio(hits[0] - hits[1], recent - hits[1]),
            **self._calibration.scores(),
            "no_change": _accuracies(no_change, rows, hits[1], recent),
            "majority": _accuracies(majority, rows, hits[2], recent),
            **self._by_groups(by),
        }

    def _fade(self, hits: NDArray[np.bool_]) -> None:
        # S_t = c_t + a S_{t-1} and N_t = 1 + a N_{t-1}, unrolled over the block
        weights, decay = self._fading.weights(len(hits)), self._fading.decay(len(hits))
        self._faded_hits = self._faded_hits * decay + float(weights[hits].sum())
        self._faded_rows = self._faded_rows * decay + float(weights.sum())

    def _by_groups(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        found = self.groups.fields(by, "accuracy")
        by_class = found.get("by_class", {})
        predicted = self._predicted.rows(np.array(list(by_class), np.int64)).tolist()
        for (label, scores), times in zip(by_class.items(), predicted, strict=True):
            hits = self._classes.hits(label)
            scores["precision"] = ratio(hits, times)
            scores["f1"] = ratio(2 * hits, scores["rows"] + times)
        return found

    def _kappa(self, rows: int, hits: int) -> float | None:
        # (p0 - pe) / (1 - pe), both times rows squared: whole numbers, of any size, until the end
        labels = np.array(self._classes.ids, np.int64)
        true, predicted = self._classes.rows(labels), self._predicted.rows(labels)
        chance = sum(map(mul, true.tolist(), predicted.tolist()))
        return ratio(rows * hits - chance, rows * rows - chance)


def _accuracies(hits: int, rows: int, recent_hits: int, recent: int) -> dict[str, float | None]:
    return {"accuracy": ratio(hits, rows), "accuracy_window": ratio(recent_hits, recent)}
