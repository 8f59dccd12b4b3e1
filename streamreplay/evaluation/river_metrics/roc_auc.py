"""The area under the ROC curve as River approximates it: counts by threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_inputs import (
    fed_rows,
    positive_probability,
    split_by_group,
)
from streamreplay.evaluation.river_metrics.metric_spec import Figure, MetricSpec, figure_of
from streamreplay.evaluation.river_metrics.metric_sums import MetricSums
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import PART, Fields

__all__ = ["RocAuc"]


class RocAuc:
    """Counts of rows by class and by how many thresholds their probability is above.

    Parameters
    ----------
    spec : MetricSpec
    window, fading, index_of
        As in `ConfusionMetrics`.
    """

    STATE = Fields(_sums=PART)

    def __init__(
        self,
        spec: MetricSpec,
        window: int,
        fading: Fading,
        index_of: Callable[[Any], int | None],
    ) -> None:
        self._spec, self._fading, self._index_of = spec, fading, index_of
        self._metric = spec.fresh()
        self._thresholds = np.array(self._metric.thresholds)
        last = RecentRows(window, place=np.empty(0, np.int64))  # -1 where nothing was predicted
        # [(rest, positive), thresholds below]
        self._sums = MetricSums(np.zeros((2, len(self._thresholds) + 1)), last)

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Take in labelled rows of one experience."""
        known = fed_rows(self._spec, rows)
        positive = self._index_of(self._spec.positive)
        # one number for class and threshold: a row of the table after the other
        above = np.searchsorted(self._thresholds, positive_probability(rows, positive))
        place = np.where(known, above + (rows.y == positive) * self._sums.total.shape[1], -1)
        self._sums.window.extend(place=place)
        place, n = place[known], int(np.count_nonzero(known))
        self._sums.total += self._counted(place)
        self._sums.faded *= self._fading.decay(n)
        self._sums.faded += self._counted(place, self._fading.weights(n))
        if not n:
            return
        for by, group, part in split_by_group(rows.task[known], experience):
            table = self._sums.groups.touch(by, group)
            table += self._counted(place if part is None else place[part])

    def figures(self) -> dict[str, tuple[Figure, Figure, Figure]]:
        """Return the metric of all rows, of the window, and with fading weights."""
        place = self._sums.window["place"]
        tables = self._sums.total, self._counted(place[place >= 0]), self._sums.faded
        total, window, faded = map(self._figure, tables)
        return {self._spec.name: (total, window, faded)}

    def of_group(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return the metric of all rows of a group; nothing where none is kept."""
        table = self._sums.groups.get(by, group)
        return {} if table is None else {self._spec.name: self._figure(table)}

    def _counted(
        self, place: NDArray[np.int64], weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        table = self._sums.empty()
        counts = np.bincount(place, weight, table.size)
        return counts.astype(np.float64).reshape(table.shape)

    def _figure(self, table: NDArray[np.float64]) -> Figure:
        if not table.any():
            return None
        under = np.cumsum(table, axis=1)
        over = under[:, -1:] - under
        for i, matrix in enumerate(self._metric.cms):
            matrix.__init__()
            for truth in (False, True):
                for said, counts in ((True, over), (False, under)):
                    matrix.update(truth, said, float(counts[int(truth), i]))
        return figure_of(self._metric)
