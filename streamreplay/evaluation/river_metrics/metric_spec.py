"""Inspect River's metrics: what each scores, how it is computed, and from what values."""

from __future__ import annotations

import inspect
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy, Objective
from streamreplay.evaluation.river_metrics.defined import is_defined
from streamreplay.evaluation.sums.means import Fading
from streamreplay.evaluation.sums.output_sums import is_number
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.groups import GroupIndex

Figure: TypeAlias = float | None

Way: TypeAlias = Literal["matrix", "thresholds", "mean", "rows"]
"""How it is computed: from counts of pairs, counts by threshold, one value a row, or row by row."""

Feed: TypeAlias = Literal["labels", "score", "loss", "columns", "outputs"]
"""What it is updated with: label and prediction, the probability of the positive class or of the
true class, each output alone, or dicts of all outputs."""

Figures: TypeAlias = dict[str, tuple[Figure, Figure, Figure]]
"""By name of a metric: the figure of all rows, of the window, and with fading weights."""


@dataclass(frozen=True, eq=False)
class MetricSpec:
    """A metric of River, its name in the log, and how it is computed.

    Attributes
    ----------
    name : str
    metric : river.metrics.base.Metric
        Never updated; `fresh` makes copies.
    objective : {"classes", "numbers", "labels"}
    way : str
    feed : str
    binary : bool
        Whether it distinguishes only a positive class from the rest.
    positive : object
        Its name of the positive class.
    """

    name: str
    metric: Any
    objective: Objective
    way: Way
    feed: Feed
    binary: bool = False
    positive: Any = True

    @property
    def allows_weights(self) -> bool:
        """Whether its figure is defined for rows of unequal weight."""
        return bool(self.metric.works_with_weights)

    @property
    def settings(self) -> str:
        """Its name and the arguments of the metric, which a checkpoint must have as well."""
        return f"{self.name}: {_written(self.metric)}"

    def fresh(self, **parameters: Any) -> Any:
        """Return a new metric with the same parameters, some of them replaced.

        Its positive class is True: of River's own, only such give the right figures.
        """
        own = inspect.signature(type(self.metric)).parameters
        if "pos_val" in own:
            parameters["pos_val"] = True
        if not parameters:
            return self.metric.clone()
        for key in own:
            if key != "cm" and key not in parameters and hasattr(self.metric, key):
                parameters[key] = getattr(self.metric, key)
        return type(self.metric)(**parameters)


def specs_of(metrics: Sequence[Any] | Mapping[str, Any]) -> list[MetricSpec]:
    """Return how each metric is computed.

    Parameters
    ----------
    metrics : sequence of river.metrics.base.Metric, or mapping
        Metrics by name; those of a sequence have the names of their classes.

    Raises
    ------
    TypeError
        One is no metric of River.
    ValueError
        Two have one name, or one gives no number or needs what is not there.

    Examples
    --------
    >>> from river import metrics
    >>> [(each.name, each.way) for each in specs_of([metrics.MacroF1(), metrics.LogLoss()])]
    [('MacroF1', 'matrix'), ('LogLoss', 'mean')]
    """
    if not metrics:
        return []
    if isinstance(metrics, Mapping):
        return [_describe(name, metric) for name, metric in metrics.items()]
    specs = [_describe(type(metric).__name__, metric) for metric in metrics]
    names = [each.name for each in specs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"metrics: {names.count(name)} of them are called {name}: give a dict of names"
            )
    return specs


def figure_of(metric: Any) -> Figure:
    """Return a metric's figure; None if it is undefined."""
    if not is_defined(metric):
        return None
    try:
        value = float(metric.get())
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def mean_figure(figures: Sequence[Figure]) -> Figure:
    """Return the mean of the outputs' figures as River computes it; None unless all have one.

    Examples
    --------
    >>> mean_figure([1.0, 2.0]), mean_figure([1.0, None]), mean_figure([])
    (1.5, None, None)
    """
    known = [figure for figure in figures if figure is not None]
    return statistics.mean(known) if known and len(known) == len(figures) else None


def _written(metric: Any) -> str:
    """Return a metric as text with its arguments, and those of a metric inside it.

    >>> from river import metrics
    >>> _written(metrics.FBeta(beta=2))
    'FBeta(beta=2, pos_val=True)'
    >>> _written(metrics.multioutput.MacroAverage(metrics.MAE()))
    'MacroAverage(metric=MAE())'
    """
    written = []
    for key in inspect.signature(type(metric)).parameters:
        value = getattr(metric, key, None)
        if isinstance(value, bool | int | float | str):
            written.append(f"{key}={value!r}")
        elif key == "metric":
            written.append(f"{key}={_written(value)}")
    return f"{type(metric).__name__}({', '.join(written)})"


def _describe(name: str, metric: Any) -> MetricSpec:
    from river.metrics import base, multioutput  # noqa: PLC0415 - slow

    if isinstance(metric, type):
        raise TypeError(f"metrics: {name} must be an object, got the class {metric.__name__}")
    _refuse(name, metric)
    match metric:
        case multioutput.base.MultiOutputMetric() | multioutput.base.MultiOutputRegressionMetric():
            spec = _of_outputs(name, metric)
        case base.ClassificationMetric():
            spec = _of_classes(name, metric)
        case base.RegressionMetric():
            way: Way = "mean" if isinstance(metric, base.MeanMetric) else "rows"
            spec = MetricSpec(name, metric, "numbers", way, "columns")
        case _:
            raise TypeError(f"metrics: {name} must be a metric of River, got {metric!r}")
    return spec


def _refuse(name: str, metric: Any) -> None:
    """Raise for metrics without a single figure here; the message names the alternative."""
    from river import metrics, utils  # noqa: PLC0415 - slow

    match metric:
        case utils.Rolling() | utils.TimeRolling():
            raise ValueError(
                f"metrics: {name}: each metric has a figure of the window already: give the "
                "metric itself"
            )
        case metrics.base.Metrics():
            raise ValueError(f"metrics: {name} holds several metrics: give them one by one")
        case metrics.base.ClusteringMetric():
            raise ValueError(f"metrics: {name} judges clusters, and nothing here makes any")
        case (
            metrics.ConfusionMatrix()
            | metrics.ClassificationReport()
            | metrics.multioutput.PerOutput()
        ):
            raise ValueError(f"metrics: {name} is no single number")


def _of_outputs(name: str, metric: Any) -> MetricSpec:
    from river.metrics import base, multioutput  # noqa: PLC0415 - slow

    inner = metric.metric if isinstance(metric, base.WrapperMetric) else metric
    labels = multioutput.base.MultiOutputClassificationMetric, base.ClassificationMetric
    objective: Objective = "labels" if isinstance(inner, labels) else "numbers"
    if not getattr(inner, "requires_labels", True):
        raise ValueError(f"metrics: {name} needs probabilities, which are not kept of outputs")
    alone = isinstance(metric, multioutput.MacroAverage)  # a metric of each output, and their mean
    kept = inner if alone else metric
    way: Way = "mean" if isinstance(kept, base.MeanMetric) else "rows"
    return MetricSpec(name, kept, objective, way, "columns" if alone else "outputs")


def _of_classes(name: str, metric: Any) -> MetricSpec:
    from river import metrics  # noqa: PLC0415 - slow

    base = metrics.base
    binary = isinstance(metric, base.BinaryMetric)
    positive = getattr(metric, "pos_val", True)
    feed: Feed = "labels"
    way: Way = "mean" if isinstance(metric, base.MeanMetric) else "rows"
    if metric.requires_labels:
        plain = base.ClassificationMetric.update, base.BinaryMetric.update
        takes = inspect.signature(type(metric)).parameters
        if type(metric).update in plain and "cm" in takes:
            way = "matrix"
    elif binary:
        feed = "score"
        if type(metric) is metrics.ROCAUC:
            way = "thresholds"
    elif isinstance(metric, metrics.CrossEntropy):
        feed = "loss"
    else:
        raise ValueError(
            f"metrics: {name} needs the probabilities of all classes, which are not kept"
        )
    return MetricSpec(name, metric, "classes", way, feed, binary, positive)


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
