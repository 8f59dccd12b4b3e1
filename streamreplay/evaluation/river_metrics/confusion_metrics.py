"""Metrics that are functions of a confusion matrix: counted in bulk, computed by River."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GroupBy
from streamreplay.evaluation.river_metrics.metric_spec import (
    Figure,
    Figures,
    MetricSpec,
    ScoringContext,
    figure_of,
    split_by_group,
    three_figures,
)
from streamreplay.evaluation.sums.by_group import RecentGroups
from streamreplay.evaluation.sums.means import RecentRows
from streamreplay.evaluation.sums.scored_rows import ScoredRows
from streamreplay.groups import GroupIndex
from streamreplay.state import PART, Fields, State

Cells: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Labels int64[m], predictions int64[m] and how often each pair came, float64[m]."""


class PairCounts:
    """Count pairs of label and prediction; memory grows with the number of different pairs.

    Counts are float64, exact up to 2**53 rows; weights make them inexact. Pairs are in the
    order in which the stream first showed them: River, updated row by row, would add up in this
    order.

    Examples
    --------
    >>> joint = PairCounts()
    >>> joint.add(pair(np.array([2, 0, 2]), np.array([1, 0, 1])))
    >>> [column.tolist() for column in joint.cells()]
    [[2, 0], [1, 0], [2.0, 1.0]]
    """

    def __init__(self) -> None:
        self._slot: dict[int, int] = {}  # by code of a pair, in order of first sight
        self._counts = np.zeros(128)

    def add(self, codes: NDArray[np.int64]) -> None:
        """Count rows, [n], by the codes of their pairs."""
        pairs, (counts,) = counted(codes)
        self.add_pairs(pairs, counts)

    def add_pairs(self, codes: list[int], sums: NDArray[Any]) -> None:
        """Add a count to each of several different pairs, [g]."""
        self._counts[self._slots(codes)] += sums

    def decay(self, factor: float) -> None:
        """Multiply all counts so far."""
        self._counts *= factor

    def cells(self) -> Cells:
        """Return all pairs in order of first sight, and a view of their counts."""
        codes = np.array(list(self._slot), np.int64)
        return *unpair(codes), self._counts[: len(codes)]

    def state_dict(self) -> State:
        """Return codes, int64[m], and counts, float64[m]."""
        return {
            "codes": np.array(list(self._slot), np.int64),
            "counts": self._counts[: len(self._slot)].copy(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load codes and counts."""
        self._slot.clear()
        self._counts[:] = 0
        self._counts[self._slots(state["codes"].tolist())] = state["counts"]

    def _slots(self, codes: list[int]) -> list[int]:
        slot, room = self._slot, len(self._counts)
        slots = [slot.setdefault(code, len(slot)) for code in codes]
        if len(slot) > room:
            self._counts = np.pad(self._counts, (0, max(len(slot) - room, room)))
        return slots


def counted(
    codes: NDArray[np.int64], *weights: NDArray[np.float64]
) -> tuple[list[int], list[NDArray[Any]]]:
    """Return the different codes in order of first sight, with their rows and sums of weights.

    Examples
    --------
    >>> codes, (counts, sums) = counted(np.array([7, 3, 7]), np.array([0.5, 1.0, 0.25]))
    >>> codes, counts.tolist(), sums.tolist()
    ([7, 3], [2, 1], [0.75, 1.0])
    """
    if not len(codes):
        return [], [np.zeros(0) for _ in range(1 + len(weights))]
    index = GroupIndex.of(codes)
    summed = [np.add.reduceat(each[index.order], index.starts) for each in weights]
    first = np.argsort(index.order[index.starts])
    return index.ids[first].tolist(), [each[first] for each in (index.counts, *summed)]


def pair(y: NDArray[np.int64], prediction: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a unique code for each pair of indices below 2**31, small for small indices.

    That is Szudzik's pairing: of 256 classes, all codes are below 2**16.

    Examples
    --------
    >>> pair(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])).tolist()
    [0, 1, 2, 3, 6]
    """
    codes: NDArray[np.int64] = np.where(
        y >= prediction, y * y + y + prediction, prediction * prediction + y
    )
    return codes


def unpair(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs that have these codes.

    Examples
    --------
    >>> [column.tolist() for column in unpair(np.array([0, 1, 2, 3, 6]))]
    [[0, 0, 1, 1, 2], [0, 1, 0, 1, 0]]
    """
    root = np.sqrt(codes.astype(np.float64)).astype(np.int64)
    root -= root * root > codes  # what rounding may have added
    rest = codes - root * root
    first = rest < root
    return np.where(first, rest, root), np.where(first, root, rest - root)


class ConfusionMetrics:
    """Count pairs of label and prediction, and compute River's metrics from the counts on demand.

    Parameters
    ----------
    specs : sequence of MetricSpec
    context : ScoringContext
    """

    _FIELDS = Fields(_total=PART, _faded=PART, _window=PART, _groups=PART)

    def __init__(self, specs: Sequence[MetricSpec], context: ScoringContext) -> None:
        self._fading = context.fading
        self._total, self._faded = PairCounts(), PairCounts()
        self._groups = RecentGroups(PairCounts, PART)
        # code -1: there was no prediction
        self._window = RecentRows(context.window, code=np.empty(0, np.int64))
        self._tables = _Tables(specs, context.index_of)

    def fold(self, rows: ScoredRows, experience: int) -> None:
        """Add labelled rows of one experience."""
        predicted = rows.prediction >= 0
        codes, task = pair(rows.y, np.maximum(rows.prediction, 0)), rows.task
        if not predicted.all():
            codes[~predicted] = -1
        self._window.extend(code=codes)
        codes, task = codes[predicted], task[predicted]
        if not len(codes):
            return
        pairs, (counts, faded) = counted(codes, self._fading.weights(len(codes)))
        self._total.add_pairs(pairs, counts)
        self._faded.decay(self._fading.decay(len(codes)))
        self._faded.add_pairs(pairs, faded)
        for by, group, part in split_by_group(task, experience):
            joint = self._groups.touch(by, group)
            if part is None:
                joint.add_pairs(pairs, counts)
            else:
                joint.add(codes[part])

    def figures(self) -> Figures:
        """Return each metric of all rows, of the window, and with fading weights."""
        codes, window = self._window.in_order("code"), PairCounts()
        window.add(codes[codes >= 0])
        return three_figures(
            self._tables.of_all(self._total.cells()),
            self._tables.of(window.cells()),
            self._tables.of(self._faded.cells(), weighted=True),
        )

    def of_group(self, by: GroupBy, group: int) -> dict[str, Figure]:
        """Return each metric of all rows of a group; nothing for a group that is not kept."""
        joint = self._groups.get(by, group)
        return {} if joint is None else self._tables.of(joint.cells())

    def state_dict(self) -> State:
        """Return all counts."""
        return self._FIELDS.save(self)

    def load_state_dict(self, state: State) -> None:
        """Load a state of the same window and fading factor."""
        self._FIELDS.load(self, state)
        self._tables.restart()


class _Tables:
    """Compute River's metrics from one table of counts after the other."""

    def __init__(self, specs: Sequence[MetricSpec], index_of: Callable[[Any], int | None]) -> None:
        self._specs = specs
        self._index_of = index_of
        many = [each for each in specs if not each.binary]
        self._live = _Matrix(many)  # of all rows: is given the new counts only
        self._fed = np.zeros(0)  # the counts that it was given, of each pair
        self._scratch = _Matrix(many)
        by_positive: dict[str, list[MetricSpec]] = {}
        for each in specs:
            if each.binary:
                by_positive.setdefault(repr(each.positive), []).append(each)
        self._binary = [(group, _Matrix(group)) for group in by_positive.values()]

    def of_all(self, cells: Cells) -> dict[str, Figure]:
        """Return the figures of the table that only ever grows."""
        y, prediction, counts = cells
        new = counts.copy()
        new[: len(self._fed)] -= self._fed
        changed = np.flatnonzero(new)
        self._live.feed(y[changed].tolist(), prediction[changed].tolist(), new[changed].tolist())
        self._fed = counts.copy()
        return {**self._live.figures(), **self._one_against_rest(cells)}

    def of(self, cells: Cells, *, weighted: bool = False) -> dict[str, Figure]:
        """Return the figures of any table."""
        self._scratch.clear()
        self._scratch.feed(*(column.tolist() for column in cells))
        found = {**self._scratch.figures(), **self._one_against_rest(cells)}
        if weighted:
            found |= {each.name: None for each in self._specs if not each.allows_weights}
        return found

    def restart(self) -> None:
        """Start the table that only ever grows again."""
        self._live.clear()
        self._fed = np.zeros(0)

    def _one_against_rest(self, cells: Cells) -> dict[str, Figure]:
        y, prediction, counts = cells
        found: dict[str, Figure] = {}
        for group, matrix in self._binary:
            index = self._index_of(group[0].positive)
            if index is None:
                found |= {each.name: None for each in group}
                continue
            places = 2 * (y == index) + (prediction == index)
            cell = np.bincount(places, counts, 4).tolist()
            matrix.clear()
            matrix.feed([False, False, True, True], [False, True, False, True], cell)
            found |= matrix.figures()
        return found


class _Matrix:
    """One of River's confusion matrices, and the metrics that read it."""

    def __init__(self, specs: Sequence[MetricSpec]) -> None:
        from river import metrics  # noqa: PLC0415 - slow

        kind: Any = metrics.ConfusionMatrix
        self._matrix = kind()
        self._metrics = {each.name: each.fresh(cm=self._matrix) for each in specs}

    def clear(self) -> None:
        self._matrix.__init__()

    def feed(self, y: Sequence[Any], prediction: Sequence[Any], counts: Sequence[float]) -> None:
        matrix = self._matrix
        for row, column, count in zip(y, prediction, counts, strict=True):
            if count:
                matrix.update(row, column, count)
        total = matrix.total_weight  # River has counted calls
        matrix.n_samples = int(total) if float(total).is_integer() else total

    def figures(self) -> dict[str, Figure]:
        if not self._matrix.total_weight:
            return dict.fromkeys(self._metrics)
        return {name: figure_of(metric) for name, metric in self._metrics.items()}
