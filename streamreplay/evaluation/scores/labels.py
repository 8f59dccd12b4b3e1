"""All running scores of a stream of rows with any number of labels each, folded in by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.scores.record_fields import group_fields, one_group, with_variants
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.label_counts import LabelCounts
from streamreplay.evaluation.sums.ratios import finite, ratio
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.evaluation.sums.tally import Tally
from streamreplay.state import ARRAY, PART, PARTS, Fields

__all__ = ["LabelScores"]

_TRACKS = ("model", "no_change", "majority")


class LabelScores:
    """Which labels a model got right so far, and the two baselines beside it.

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
        _loss_sum=float,
        _loss_rows=int,
        _counts=PARTS,
        _faded=PART,
        _window=PART,
        groups=PARTS,
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
        self._loss_sum, self._loss_rows = 0.0, 0
        self.groups: dict[GroupBy, Tally] = {
            "task": Tally(endless=True),
            "experience": Tally(endless=True),
        }

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Take in the next rows of one experience."""
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
        known = finite(losses)
        self._loss_sum += float(known.sum())
        self._loss_rows += len(known)
        exact = (target == labelled.prediction).all(axis=1)
        self.groups["task"].add(labelled.task, exact)
        self.groups["experience"].add_groups(one_group(experience, n), exact)

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
        """Return the scores as of now, as ``docs/log.md`` describes them."""
        recent, faded = self._recent("model"), self._faded.scores()
        losses = self._window["loss"]
        losses = finite(losses)
        labels = self._counts["model"].by_label()
        return {
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            **with_variants(self._counts["model"].scores(), window=recent, fading=faded),
            "loss": ratio(self._loss_sum, self._loss_rows),
            "loss_window": ratio(float(losses.sum()), len(losses)),
            **{name: self._baseline(name) for name in _TRACKS[1:]},
            **({"by_label": dict(enumerate(labels))} if "class" in by else {}),
            **group_fields(self.groups, by, "exact_match"),
        }

    def _baseline(self, name: str) -> dict[str, float | None]:
        return with_variants(self._counts[name].scores(), window=self._recent(name))

    def _recent(self, name: str) -> dict[str, float | None]:
        target = self._window["target"]
        counts = LabelCounts(target.shape[1])
        counts.add(target, self._window[name])
        return counts.scores()

    def mark(self) -> None:
        """Start the recent scores of all groups again."""
        for tally in self.groups.values():
            tally.mark()
