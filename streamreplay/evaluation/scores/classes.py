"""All running scores of a stream of classes, added up by blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.scores.by_group import ScoresByGroup
from streamreplay.evaluation.sums.baselines import Majority, NoChange
from streamreplay.evaluation.sums.calibration import Calibration, brier_scores
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.means import RunningMean, mean_of_finite, ratio
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.evaluation.sums.tally import Tally
from streamreplay.groups import GroupIndex
from streamreplay.state import ARRAY, PART, Fields


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
