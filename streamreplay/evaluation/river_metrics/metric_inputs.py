"""Rows as River's metrics take them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_spec import MetricSpec
from streamreplay.evaluation.scores.numbers import is_number
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.groups import GroupIndex

__all__ = ["fed_rows", "inputs_of", "positive_probability", "split_by_group"]


def split_by_group(
    task: NDArray[np.int64], experience: int
) -> Iterator[tuple[GroupBy, int, NDArray[np.int64] | None]]:
    """Yield the groups that rows of one experience are in, and which rows; None for all."""
    yield "experience", experience, None
    if not len(task) or (task == task[0]).all():  # no need to sort
        yield from (("task", group, None) for group in task[:1].tolist())
        return
    index = GroupIndex.of(task)
    for place, group in enumerate(index.ids.tolist()):
        yield "task", group, index.rows(place)


def fed_rows(spec: MetricSpec, rows: ScoredRows) -> NDArray[np.bool_]:
    """Tell which of labelled rows a metric is fed with, bool[n]: those with a prediction."""
    if spec.objective == "numbers":
        return is_number(rows.prediction)[:, 0]
    if spec.objective == "labels":
        return np.ones(len(rows), np.bool_)
    said: NDArray[np.bool_] = rows.prediction >= 0
    if spec.feed == "score":
        said = said & np.isfinite(_known(rows.probability))
    if spec.feed == "loss":
        said = said & np.isfinite(rows.loss)
    return said


def positive_probability(rows: ScoredRows, positive: int | None) -> NDArray[np.float64]:
    """Return the probability of one of two classes, float64[n]."""
    p = _known(rows.probability).astype(np.float64)
    return np.where(rows.prediction == positive, p, 1 - p)


def inputs_of(
    spec: MetricSpec, rows: ScoredRows, positive: int | None, output: int
) -> tuple[list[Any], list[Any]]:
    """Return what is true and what was said, of each row, for one of the outputs."""
    if spec.feed == "outputs":
        return _dicts(rows.target), _dicts(rows.prediction)
    if spec.feed == "columns":
        return _known(rows.target)[:, output].tolist(), rows.prediction[:, output].tolist()
    if spec.feed == "loss":
        said = np.exp(-rows.loss.astype(np.float64))
        y = rows.y.tolist()
        return y, [{label: p} for label, p in zip(y, said.tolist(), strict=True)]
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
