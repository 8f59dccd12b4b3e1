"""All other metrics: River's objects, updated row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.errors import CheckpointError
from streamreplay.evaluation.recent_groups import RecentGroups
from streamreplay.evaluation.river_metrics.metric_inputs import (
    Figures,
    ScoringContext,
    fed_rows,
    inputs_of,
    split_by_group,
    three_figures,
)
from streamreplay.evaluation.river_metrics.metric_spec import (
    Figure,
    MetricSpec,
    figure_of,
    mean_figure,
)
from streamreplay.evaluation.sums.recent_rows import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.safepickle import check_versions, dump, live_versions, load
from streamreplay.state import State, within

_ALLOWED = ("river.metrics", "river.stats", "river._river_rust.stats")

_Metrics: TypeAlias = list[list[Any]]
"""Of each metric one object per output, none before the first row; None in place of one that raised
at a row."""


class RowByRowMetrics:
    """Update one object for all rows and one for each group; feed the window's on demand.

    A metric that raised at a row has no figure from then on, and none of a window while the row is
    in it. There are no figures with fading weights.

    Parameters
    ----------
    specs : sequence of MetricSpec
    context : ScoringContext
    """

    def __init__(self, specs: Sequence[MetricSpec], context: ScoringContext) -> None:
        self._specs, self._context = specs, context
        self._total = self._nothing()
        self._groups = RecentGroups(self._nothing)
        self._window = RecentRows(context.window, **_columns(specs[0], context.outputs))

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add labelled rows of one experience."""
        self._window.extend(**{name: getattr(rows, name) for name in self._window.names})
        self._update(self._total, rows)
        for by, group, part in split_by_group(rows.task, experience):
            metrics = self._groups.touch(by, group)
            self._update(metrics, rows if part is None else rows.take(part))

    def figures(self) -> Figures:
        """Return each metric of all rows and of the window."""
        window = self._nothing()
        columns = {name: self._window.in_order(name) for name in self._window.names}
        self._update(window, ScoredRows(**columns))
        total = self._figures(self._total)
        return three_figures(total, self._figures(window), dict.fromkeys(total))

    def of_group(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return each metric of all rows of a group; nothing for a group that is not kept."""
        metrics = self._groups.get(by, group)
        return {} if metrics is None else self._figures(metrics)

    def state_dict(self) -> State:
        """Return the objects as bytes, and what wrote them."""
        return {
            "versions": live_versions(),
            "metrics": dump([self._total, self._groups.kept]),
            "window": self._window.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same metrics and window.

        Raises
        ------
        CheckpointError
            It was written by another version of River or Python, or holds other objects.
        """
        check_versions(state["versions"])
        own = {type(each.metric) for each in self._specs}
        allowed = [*_ALLOWED, *(f"{kind.__module__}.{kind.__qualname__}" for kind in own)]
        loaded = load(state["metrics"], allowed)
        if not isinstance(loaded, list) or len(loaded) != 2:
            raise CheckpointError(
                f"metrics: saved a {type(loaded).__name__}, not totals and groups"
            )
        self._total, self._groups.kept = loaded
        with within("window"):
            self._window.load_state_dict(state["window"])

    def _nothing(self) -> _Metrics:
        return [[] for _ in self._specs]

    def _update(self, metrics: _Metrics, rows: ScoredRows) -> None:
        for spec, objects in zip(self._specs, metrics, strict=True):
            known = fed_rows(spec, rows)
            if not known.any():
                continue
            if not objects:
                outputs = self._context.outputs if spec.feed == "columns" else 1
                objects += [spec.fresh() for _ in range(outputs)]
            fed = rows if known.all() else rows.take(known)
            positive = self._context.index_of(spec.positive) if spec.binary else None
            for output, metric in enumerate(objects):
                if metric is not None:
                    values = inputs_of(spec, fed, positive, output)
                    objects[output] = _updated(metric, *values)

    def _figures(self, metrics: _Metrics) -> dict[str, Figure]:
        found: dict[str, Figure] = {}
        for spec, objects in zip(self._specs, metrics, strict=True):
            figures = [None if metric is None else figure_of(metric) for metric in objects]
            found[spec.name] = mean_figure(figures)
        return found


def _columns(spec: MetricSpec, outputs: int) -> dict[str, NDArray[Any]]:
    """Return no rows of the columns that metrics are computed from."""
    ids, floats = np.empty(0, np.int64), np.empty(0, np.float32)
    columns: dict[str, NDArray[Any]] = {"y": ids, "task": ids, "loss": floats}
    if spec.objective == "classes":
        return {**columns, "prediction": ids, "probability": floats}
    kind = np.float64 if spec.objective == "numbers" else np.bool_
    one: NDArray[Any] = np.empty((0, outputs), kind)
    return {**columns, "prediction": one, "target": one}


def _updated(metric: Any, true: list[Any], predicted: list[Any]) -> Any:
    """Update a metric with rows; return it, or None if it raised at one of them."""
    try:
        for y, prediction in zip(true, predicted, strict=True):
            metric.update(y, prediction)
    except (ArithmeticError, ValueError):
        return None
    return metric
