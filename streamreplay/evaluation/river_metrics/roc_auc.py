"""The area under the ROC curve as River approximates it: counts by threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_inputs import (
    Figures,
    ScoringContext,
    fed_rows,
    positive_probability,
    split_by_group,
)
from streamreplay.evaluation.river_metrics.metric_spec import Figure, MetricSpec, figure_of
from streamreplay.evaluation.river_metrics.metric_sums import MetricSums
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import PART, Fields


class RocAuc:
    """Count rows by class and by how many thresholds their probability is above.

    Parameters
    ----------
    specs : sequence of MetricSpec
        One.
    context : ScoringContext
    """

    STATE = Fields(_sums=PART)

    def __init__(self, specs: Sequence[MetricSpec], context: ScoringContext) -> None:
        (self._spec,) = specs
        self._context = context
        self._metric = self._spec.fresh()
        self._thresholds = np.array(self._metric.thresholds)
        window = RecentRows(
            context.window, place=np.empty(0, np.int64)
        )  # -1: there was no prediction
        # [(rest, positive), thresholds below]
        self._sums = MetricSums(np.zeros((2, len(self._thresholds) + 1)), window)

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add labelled rows of one experience."""
        known = fed_rows(self._spec, rows)
        positive = self._context.index_of(self._spec.positive)
        # one number for class and threshold: a row of the table after the other
        above = np.searchsorted(self._thresholds, positive_probability(rows, positive))
        place = np.where(known, above + (rows.y == positive) * self._sums.total.shape[1], -1)
        self._sums.window.extend(place=place)
        place, n = place[known], int(np.count_nonzero(known))
        self._sums.total += self._counted(place)
        self._sums.faded *= self._context.fading.decay(n)
        self._sums.faded += self._counted(place, self._context.fading.weights(n))
        if not n:
            return
        for by, group, part in split_by_group(rows.task[known], experience):
            table = self._sums.groups.touch(by, group)
            table += self._counted(place if part is None else place[part])

    def figures(self) -> Figures:
        """Return the metric of all rows, of the window, and with fading weights."""
        place = self._sums.window["place"]
        tables = self._sums.total, self._counted(place[place >= 0]), self._sums.faded
        total, window, faded = map(self._figure, tables)
        return {self._spec.name: (total, window, faded)}

    def of_group(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return the metric of all rows of a group; nothing for a group that is not kept."""
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
                for predicted, counts in ((True, over), (False, under)):
                    matrix.update(truth, predicted, float(counts[int(truth), i]))
        return figure_of(self._metric)
