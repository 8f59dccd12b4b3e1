"""All running scores of a stream of rows with any number of labels each, added up by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.scores.by_group import ScoresByGroup, with_variants
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.label_counts import LabelCounts
from streamreplay.evaluation.sums.means import RunningMean, mean_of_finite
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import ARRAY, PART, PARTS, Fields

_TRACKS = ("model", "no_change", "majority")


class LabelScores:
    """Scores of a multi-label classifier and of the two baselines so far.

    Parameters
    ----------
    window, fading, block
        As in `ClassScores`.
    labels : int
        Labels that a row may have.
    """

    STATE = Fields(
        unlabelled=int,
        _last=ARRAY,
        _loss=PART,
        _counts=PARTS,
        _faded=PART,
        _window=PART,
        groups=PART,
    )

    def __init__(self, window: int, fading: float, block: int, labels: int) -> None:
        self.unlabelled = 0
        self._counts = {name: LabelCounts(labels) for name in _TRACKS}
        self._faded = LabelCounts(labels)
        self._fading = Fading(fading, block)
        one = np.empty((0, labels), np.bool_)
        self._window = RecentRows(
            window, target=one, loss=np.empty(0), **dict.fromkeys(_TRACKS, one)
        )
        self._last = np.zeros(labels, np.bool_)  # [d]
        self._loss = RunningMean()
        self.groups = ScoresByGroup()

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add a block of rows of one experience."""
        labelled = rows.labelled()
        self.unlabelled += len(rows) - len(labelled)
        target, n = labelled.target, len(labelled)
        if target is None or not n:
            return
        predictions = {"model": labelled.prediction, **self._baselines(target)}
        for name, counts in self._counts.items():
            counts.add(target, predictions[name])
        self._faded.decay(self._fading.decay(n))
        self._faded.add(target, labelled.prediction, self._fading.weights(n))
        losses = labelled.loss.astype(np.float64)
        self._window.extend(target=target, loss=losses, **predictions)
        self._loss.add(losses)
        exact = (target == labelled.prediction).all(axis=1)
        self.groups.add(labelled.task, experience, exact)

    def _baselines(self, target: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
        """Predict the last row's labels, and those that more than half of all rows had."""
        n = len(target)
        last = np.concatenate([self._last[None], target[:-1]])
        before = self._counts["model"]
        present = np.cumsum(np.concatenate([before.present[None], target]), axis=0)
        rows = np.arange(self.rows, self.rows + n)[:, None]
        majority = 2 * present[:-1] > rows
        self._last = target[-1].copy()
        return {"no_change": last, "majority": majority}

    @property
    def rows(self) -> int:
        """Labelled rows so far."""
        return round(self._counts["model"].rows)

    def record(self, by: Sequence[GroupBy]) -> dict[str, Any]:
        """Return the scores so far, as ``streamreplay schema --log`` describes them."""
        recent, faded = self._recent("model"), self._faded.scores()
        labels = self._counts["model"].by_label()
        return {
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            **with_variants(self._counts["model"].scores(), window=recent, fading=faded),
            "loss": self._loss.mean,
            "loss_window": mean_of_finite(self._window["loss"]),
            **{name: self._baseline(name) for name in _TRACKS[1:]},
            **({"by_label": dict(enumerate(labels))} if "class" in by else {}),
            **self.groups.fields(by, "exact_match"),
        }

    def _baseline(self, name: str) -> dict[str, float | None]:
        return with_variants(self._counts[name].scores(), window=self._recent(name))

    def _recent(self, name: str) -> dict[str, float | None]:
        target = self._window["target"]
        counts = LabelCounts(target.shape[1])
        counts.add(target, self._window[name])
        return counts.scores()
