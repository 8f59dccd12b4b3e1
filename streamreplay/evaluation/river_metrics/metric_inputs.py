"""What River's metrics are computed from: scored rows in the form that `update` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_spec import Figure, MetricSpec
from streamreplay.evaluation.sums.error_sums import is_number
from streamreplay.evaluation.sums.fading import Fading
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.groups import GroupIndex

Figures: TypeAlias = dict[str, tuple[Figure, Figure, Figure]]
"""By name of a metric: the figure of all rows, of the window, and with fading weights."""


@dataclass(frozen=True)
class ScoringContext:
    """What all metrics of a stream are computed with.

    Attributes
    ----------
    window : int
        Labelled rows in the sliding window.
    fading : Fading
    outputs : int
        Numbers or labels of a row; 1 where classes are predicted.
    index_of : callable
        Given what a metric calls its positive class, returns the class's index; None while the
        stream has no such class.
    """

    window: int
    fading: Fading
    outputs: int
    index_of: Callable[[Any], int | None]


def three_figures(
    total: dict[str, Figure], window: dict[str, Figure], faded: dict[str, Figure]
) -> Figures:
    """Return the figures of each metric, which all three mappings have, as a tuple."""
    return {name: (total[name], window[name], faded[name]) for name in total}


def split_by_group(
    task: NDArray[np.int64], experience: int
) -> Iterator[tuple[GroupBy, int, NDArray[np.int64] | None]]:
    """Yield each group that rows of one experience belong to, and its rows; None: all rows."""
    yield "experience", experience, None
    if not len(task) or (task == task[0]).all():  # no need to sort
        yield from (("task", group, None) for group in task[:1].tolist())
        return
    index = GroupIndex.of(task)
    for place, group in enumerate(index.ids.tolist()):
        yield "task", group, index.rows(place)


def fed_rows(spec: MetricSpec, rows: ScoredRows) -> NDArray[np.bool_]:
    """Return which of the labelled rows have what a metric needs of a prediction, bool[n]."""
    if spec.objective == "numbers":
        return is_number(rows.prediction)[:, 0]
    if spec.objective == "labels":
        return np.ones(len(rows), np.bool_)
    fed: NDArray[np.bool_] = rows.prediction >= 0
    if spec.feed == "score":
        fed = fed & np.isfinite(_known(rows.probability))
    if spec.feed == "loss":
        fed = fed & np.isfinite(rows.loss)
    return fed


def positive_probability(rows: ScoredRows, positive: int | None) -> NDArray[np.float64]:
    """Return the probability of one of two classes, float64[n]."""
    p = _known(rows.probability).astype(np.float64)
    return np.where(rows.prediction == positive, p, 1 - p)


def inputs_of(
    spec: MetricSpec, rows: ScoredRows, positive: int | None, output: int
) -> tuple[list[Any], list[Any]]:
    """Return the true and the predicted value of each row, for one of the outputs."""
    if spec.feed == "outputs":
        return _dicts(rows.target), _dicts(rows.prediction)
    if spec.feed == "columns":
        return _known(rows.target)[:, output].tolist(), rows.prediction[:, output].tolist()
    if spec.feed == "loss":
        probability = np.exp(-rows.loss.astype(np.float64)).tolist()
        y = rows.y.tolist()
        return y, [{label: p} for label, p in zip(y, probability, strict=True)]
    if spec.feed == "score":
        return (rows.y == positive).tolist(), positive_probability(rows, positive).tolist()
    if spec.binary:
        return (rows.y == positive).tolist(), (rows.prediction == positive).tolist()
    return rows.y.tolist(), rows.prediction.tolist()


def _dicts(columns: NDArray[Any] | None) -> list[dict[int, Any]]:
    return [dict(enumerate(row)) for row in _known(columns).tolist()]


def _known(column: NDArray[Any] | None) -> NDArray[Any]:
    if column is None:
        raise ValueError("rows have no such column")
    return column
