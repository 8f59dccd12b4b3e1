"""Metrics made of sums: means of one value a row, and the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_spec import (
    Figure,
    Figures,
    MetricSpec,
    ScoringContext,
    fed_rows,
    figure_of,
    inputs_of,
    mean_figure,
    positive_probability,
    split_by_group,
    three_figures,
)
from streamreplay.evaluation.sums.by_group import RecentGroups
from streamreplay.evaluation.sums.means import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.state import ARRAY, PART, Fields


class MetricSums:
    """Sums of one shape over all rows, with fading weights, and over the rows of each group.

    Parameters
    ----------
    empty : float64[...]
        The sums of no rows.
    window : Ring
        What the last rows were.
    """

    STATE = Fields(total=ARRAY, faded=ARRAY, window=PART, groups=PART)

    def __init__(self, empty: NDArray[np.float64], window: RecentRows) -> None:
        self._empty = empty
        self.total, self.faded, self.window = self.empty(), self.empty(), window
        self.groups = RecentGroups(self.empty, ARRAY)

    def empty(self) -> NDArray[np.float64]:
        """Return the sums of no rows."""
        return self._empty.copy()


class MeanMetrics:
    """Running means of one value per row and output, updated row by row as River does.

    Parameters
    ----------
    specs : sequence of MetricSpec
    context : ScoringContext
    """

    STATE = Fields(_sums=PART)

    def __init__(self, specs: Sequence[MetricSpec], context: ScoringContext) -> None:
        self._specs, self._context = specs, context
        self._metrics = [each.fresh() for each in specs]
        shape = len(specs), context.outputs
        self._widths = [context.outputs if each.feed == "columns" else 1 for each in specs]
        # NaN where a row has no value, infinite where the metric has none for it
        window = RecentRows(context.window, values=np.empty((0, *shape)))
        # of each metric and output its rows and their mean
        self._sums = MetricSums(np.zeros((*shape, 2)), window)

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add labelled rows of one experience."""
        values = np.stack([self._values(place, rows) for place in range(len(self._specs))], axis=1)
        self._sums.window.extend(values=values)
        self._advance(self._sums.total, values)
        for by, group, part in split_by_group(rows.task, experience):
            means = self._sums.groups.touch(by, group)
            self._advance(means, values if part is None else values[part])
        for place, width in enumerate(self._widths):
            own = values[:, place, :width]
            own = own[~np.isnan(own[:, 0])]
            weights = self._context.fading.weights(len(own))
            faded = self._sums.faded[place, :width]
            faded *= self._context.fading.decay(len(own))
            faded[:, 0] += weights.sum()
            faded[:, 1] += (weights[:, None] * own).sum(axis=0)

    def figures(self) -> Figures:
        """Return each metric of all rows, of the window, and with fading weights."""
        window, faded = self._sums.empty(), self._sums.faded.copy()
        self._advance(window, self._sums.window.in_order("values"))
        with np.errstate(invalid="ignore"):
            faded[..., 1] /= np.maximum(faded[..., 0], np.finfo(np.float64).tiny)
        return three_figures(*map(self._figures, (self._sums.total, window, faded)))

    def of_group(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return each metric of all rows of a group; nothing for a group that is not kept."""
        means = self._sums.groups.get(by, group)
        return {} if means is None else self._figures(means)

    def _values(self, place: int, rows: ScoredRows) -> NDArray[np.float64]:
        """Return the value that a metric gives each row, [n, outputs]."""
        spec, metric = self._specs[place], self._metrics[place]
        known = fed_rows(spec, rows)
        fed = rows if known.all() else rows.take(known)
        positive = self._context.index_of(spec.positive) if spec.binary else None
        values = np.full((len(rows), self._context.outputs), np.nan)
        for output in range(self._widths[place]):
            kept = metric._mean = _KeptValues()  # noqa: SLF001 - in place of River's mean
            for true, predicted in zip(*inputs_of(spec, fed, positive, output), strict=True):
                try:
                    metric.update(true, predicted)
                except (ArithmeticError, ValueError):
                    kept.values.append(np.inf)
            values[known, output] = kept.values
        return values

    def _advance(self, means: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        for place, width in enumerate(self._widths):
            for output in range(width):
                own = values[:, place, output]
                mean = _mean(*means[place, output].tolist())
                for value in own[~np.isnan(own)].tolist():
                    mean.update(value)
                means[place, output] = mean.n, mean.get()

    def _figures(self, means: NDArray[np.float64]) -> dict[str, Figure]:
        found: dict[str, Figure] = {}
        for place, (spec, metric) in enumerate(zip(self._specs, self._metrics, strict=True)):
            each = means[place, : self._widths[place]].tolist()
            found[spec.name] = mean_figure([_figure(metric, *rows_mean) for rows_mean in each])
        return found


class _KeptValues:
    """Stands in for the mean inside a metric, and keeps the values."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, x: float, w: float = 1.0) -> None:  # noqa: ARG002 - as River calls it
        self.values.append(np.inf if np.isnan(x) else float(x))


def _mean(rows: float, mean: float) -> Any:
    from river.stats import Mean  # noqa: PLC0415 - slow

    found = Mean()
    if rows:
        found.update(mean, w=rows)
    return found


def _figure(metric: Any, rows: float, mean: float) -> Figure:
    if not rows:
        return None
    metric._mean = _mean(rows, mean)  # noqa: SLF001 - what River's own updates would have made
    return figure_of(metric)


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
