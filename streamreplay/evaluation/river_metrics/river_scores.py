"""All of River's metrics that a job or a caller asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy, Objective
from streamreplay.errors import CheckpointError
from streamreplay.evaluation.river_metrics.confusion_metrics import ConfusionMetrics
from streamreplay.evaluation.river_metrics.defined import note_classes
from streamreplay.evaluation.river_metrics.metric_spec import (
    Figure,
    Figures,
    MetricSpec,
    ScoringContext,
    Way,
    fed_rows,
    figure_of,
    inputs_of,
    mean_figure,
    split_by_group,
    three_figures,
)
from streamreplay.evaluation.river_metrics.sum_metrics import MeanMetrics, RocAuc
from streamreplay.evaluation.sums.by_group import RecentGroups
from streamreplay.evaluation.sums.means import Fading, RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.labels import Labels
from streamreplay.safepickle import check_versions, dump, live_versions, load
from streamreplay.state import LABELS, PARTS, Fields, State, within

_ALLOWED = ("river.metrics", "river.stats", "river._river_rust.stats")

_Metrics: TypeAlias = list[list[Any]]
"""Of each metric one object per output, none before the first row; None in place of one that raised
at a row."""

_NONE = (None, None, None)
_GROUPS: tuple[GroupBy, ...] = ("task", "experience")


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
        note_classes(metric, true)
    except (ArithmeticError, ValueError):
        return None
    return metric


_Family: TypeAlias = ConfusionMetrics | RocAuc | MeanMetrics | RowByRowMetrics

_FAMILIES: dict[Way, Callable[[list[MetricSpec], ScoringContext], _Family]] = {
    "matrix": ConfusionMetrics,
    "thresholds": RocAuc,
    "mean": MeanMetrics,
    "rows": RowByRowMetrics,
}


class RiverScores:
    """Compute River's metrics of all rows, of the last ones, with fading weights, and by group.

    Parameters
    ----------
    specs : sequence of MetricSpec
    objective : {"classes", "numbers", "labels"}
        What the stream predicts.
    window : int
        Labelled rows in the sliding window.
    fading : Fading
    outputs : int
        Numbers or labels of a row.

    Attributes
    ----------
    labels : Labels or None
        The names of the stream's classes, by which ``pos_val`` names one; None: by index.
    """

    _FIELDS = Fields(_classes=set, labels=LABELS, _families=PARTS)

    def __init__(
        self,
        specs: Sequence[MetricSpec],
        objective: Objective,
        *,
        window: int,
        fading: Fading,
        outputs: int = 1,
    ) -> None:
        self._all = specs
        self._objective = objective
        self.labels: Labels | None = None
        self._classes: set[int] = set()  # at most three, if a metric is of two
        self._of_two = any(each.feed == "score" for each in specs)
        self._fit = [each for each in specs if each.objective == objective]
        # the figures of groups, and the groups whose rows changed since: only these are computed
        self._known: dict[GroupBy, dict[int, dict[str, Figure]]] = {by: {} for by in _GROUPS}
        self._changed: dict[GroupBy, set[int]] = {by: set() for by in _GROUPS}
        self._positives: list[Any] = []  # as `_positive_classes` was when they were computed
        context = ScoringContext(window, fading, outputs, self._index_of)
        self._families = {
            name: _FAMILIES[some[0].way](some, context)
            for name, some in _by_family(self._fit).items()
        }

    def check(self) -> None:
        """Check that all metrics are of what the stream predicts.

        Raises
        ------
        ValueError
            One is not.
        """
        for each in self._all:
            if each.objective != self._objective:
                raise ValueError(
                    f"metrics: {each.name} scores {each.objective}, and the stream has "
                    f"{self._objective}"
                )

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add labelled rows of one experience."""
        if not len(rows):
            return
        if self._of_two and len(self._classes) < 3:
            self._classes.update(rows.y.tolist(), rows.prediction.tolist())
            self._classes = set(sorted(self._classes - {-1})[:3])
        self._changed["task"].update(rows.task.tolist())
        self._changed["experience"].add(experience)
        for family in self._families.values():
            family.fold(rows, experience)

    def add_to(self, record: dict[str, Any]) -> None:
        """Add all figures to a record, and those of its groups to their entries."""
        record["metrics"] = self.record()
        positives = self._positive_classes()
        for by in _GROUPS:
            entries = record.get(f"by_{by}", {})
            known = self._known[by] if positives == self._positives else {}
            kept = known.keys() - self._changed[by]
            self._known[by] = {
                group: known[group] if group in kept else self._of(by, group) for group in entries
            }
            self._changed[by].clear()
            for group, figures in self._known[by].items():
                entries[group]["metrics"] = dict(figures)
        self._positives = positives

    def record(self) -> dict[str, Figure]:
        """Return each metric's figure, that of the window, and that with fading weights."""
        found = dict(
            chain.from_iterable(each.figures().items() for each in self._families.values())
        )
        record: dict[str, Figure] = {}
        for each in self._all:
            views = found.get(each.name, _NONE)
            if self._undefined(each):
                views = _NONE
            for suffix, figure in zip(("", "_window", "_fading"), views, strict=True):
                record[each.name + suffix] = figure
        return record

    def state_dict(self) -> State:
        """Return the state of each family."""
        return self._FIELDS.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same metrics, window and fading factor."""
        self._FIELDS.load(self, state)
        for by in _GROUPS:
            self._known[by], self._changed[by] = {}, set()

    def _of(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return each metric of all rows of a group."""
        parts = (family.of_group(by, group).items() for family in self._families.values())
        found = dict(chain.from_iterable(parts))
        return {
            each.name: None if self._undefined(each) else found.get(each.name) for each in self._all
        }

    def _positive_classes(self) -> list[Any]:
        """Return what figures depend on in addition to rows: the index of each positive class."""
        binary = [each for each in self._fit if each.binary]
        return [(self._index_of(each.positive), self._undefined(each)) for each in binary]

    def _undefined(self, spec: MetricSpec) -> bool:
        return spec.feed == "score" and len(self._classes) > 2

    def _index_of(self, positive: Any) -> int | None:
        if self.labels is None:
            return class_index(positive, None)
        return class_index(positive, self.labels.names if self._objective == "classes" else ())


def _by_family(specs: Sequence[MetricSpec]) -> dict[str, list[MetricSpec]]:
    """Return metrics by the name of the family that computes them together."""
    families: dict[str, list[MetricSpec]] = {}
    for each in specs:
        name = each.name if each.way == "thresholds" else each.way
        families.setdefault(name, []).append(each)
    return families


def class_index(positive: Any, names: Sequence[int | str] | None) -> int | None:
    """Return the index of the class that a metric calls positive; None while there is none.

    True is the class that is called so, or 1, and where none is, the second one; without names
    classes go by index.

    Examples
    --------
    >>> class_index(True, None), class_index("UP", ["UP", "DOWN"]), class_index("UP", ["DOWN"])
    (1, 0, None)
    >>> class_index(True, ["1", "0"]), class_index(True, ["UP", "DOWN"])
    (0, 1)
    """
    if names is None:
        return int(positive) if isinstance(positive, int) else None
    texts = [str(name) for name in names]
    if isinstance(positive, bool):
        alike = ("true", "1") if positive else ("false", "0")
        found = [i for i, text in enumerate(texts) if text.lower() in alike]
        return found[0] if found else int(positive)
    return texts.index(str(positive)) if str(positive) in texts else None
