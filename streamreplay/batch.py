"""`Batch`: rows of the stream as columns, never one object a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.columns import (
    as_column,
    as_features,
    as_ids,
    as_integers,
    as_targets,
    as_weights,
    check_targets,
    describe_array,
    labels_of_targets,
    same_kind,
)
from streamreplay.features.packed import TableSchema, can_join, joined_rows
from streamreplay.labels import Labels, common_labels
from streamreplay.late import Late

__all__ = [
    "GROUP_COLUMNS",
    "Batch",
    "GroupBy",
    "Objective",
    "Sample",
    "objective_of",
]

Rows: TypeAlias = slice | NDArray[np.int64] | NDArray[np.bool_]
GroupBy: TypeAlias = Literal["class", "task", "experience"]
Objective: TypeAlias = Literal["classes", "numbers", "labels"]
Sample: TypeAlias = Literal["test", "probe"]
"""Rows to test retention on: a prepared test set, or rows kept from the stream itself."""

GROUP_COLUMNS: dict[GroupBy, Literal["y", "task", "experience"]] = {
    "class": "y",
    "task": "task",
    "experience": "experience",
}
"""The column of a `Batch` that has a row's group."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows of the stream, as columns. Build one with `Batch.from_arrays`, which checks.

    Attributes
    ----------
    x : float32[n, *feature], uint8[n, *feature], or rows [n] packed by a schema
        Features; uint8 for images. Rows of a table are packed, see
        `streamreplay.features.Schema`.
    y : int64[n]
        Label index, -1 where there is no label (yet).
    t : int64[n]
        Position in the stream, 0 for its first row.
    task, experience : int64[n]
        As the stream gives it for each row; 0 where it gives none.
    id : str[n] or None
        The stream's own name of each row; "" where a row has none.
    time : float64[n] or None
        Event time in seconds since 1970; NaN where a row has none.
    target : float64[n, d] or bool[n, d] or None
        Numbers to predict (regression), or which of d labels a row has (multi-label). With a
        target, `y` is 0 for rows whose target is known, and -1 for others.
    weight : float32[n] or None
        Weight of a row's loss relative to other rows, at least 0; None: all the same.
    held_out : {"test", "probe"} or None
        The test sample of rows that are only predicted and are no part of the stream. None: rows of
        the stream.
    notes : mapping of str to float32[n, ...] or None
        Values that a learner had a buffer store with its rows, as their logits; NaN for rows that
        have none.
    withheld : bool[n] or None
        Rows of the stream that are predicted and scored like all others, but neither learned nor
        stored (see `Probe`); None: no row is.
    labels : Labels or None
        What the stream calls its classes, by their index in `y`; with a `target`, what its columns
        are called. All batches of a stream share one object, to which the source adds new names.
    feature_names : sequence of str or None
        What the stream calls the features, shared in the same way.
    schema : TableSchema or None
        The columns of a table, which `x` is packed by, shared in the same way.
    late : Late or None
        Where labels come late: how the rows follow from the records of the stream; else None.
    """

    x: NDArray[Any]  # float32 | uint8 [n, *feature]
    y: NDArray[np.int64]  # [n]
    t: NDArray[np.int64]  # [n]
    task: NDArray[np.int64]  # [n]
    experience: NDArray[np.int64]  # [n]
    id: NDArray[np.str_] | None = None  # [n]
    time: NDArray[np.float64] | None = None  # [n]
    target: NDArray[Any] | None = None  # float64 | bool [n, d]
    weight: NDArray[np.float32] | None = None  # [n]
    held_out: Sample | None = None
    notes: Mapping[str, NDArray[np.float32]] | None = None  # [n, ...] each
    withheld: NDArray[np.bool_] | None = None  # [n]
    labels: Labels | None = None
    feature_names: Sequence[str] | None = None
    schema: TableSchema | None = None
    late: Late[Batch] | None = None

    @classmethod
    def from_arrays(  # noqa: PLR0913 - a column each
        cls,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        start: int = 0,
        task: ArrayLike = 0,
        experience: ArrayLike = 0,
        id: ArrayLike | None = None,
        time: ArrayLike | None = None,
        target: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        labels: Labels | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> Batch:
        """Check and convert arrays into a batch; arrays of the right type are not copied.

        Parameters
        ----------
        x : array_like [n, *feature]
            uint8 is kept; anything else numeric becomes float32.
        y : array_like of int [n], optional
            Label indices; -1 (or None for all) where there is no label.
        start : int
            Position in the stream of the first row.
        task, experience : int or array_like of int [n]
        id : array_like of int or str [n], optional
            Integers become text: 5 and "5" are one id. None or "": the row has no id.
        time : array_like of float [n], optional
            Seconds since 1970.
        target : array_like [n] or [n, d], optional
            Booleans: which of d labels a row has. Other numbers: what to predict. With it, y is 0,
            or -1 where the target is not known; left out, it is 0, or -1 where a number is NaN.
        weight : float or array_like of float [n], optional
            How much a row's loss counts.
        labels, feature_names : optional
            What classes and features are called, see `Batch`.

        Raises
        ------
        ValueError
            A column has another length than x, rows differ in shape, or a label is below -1, or not
            0 in a row with a target; the target of a labelled row, or a weight, is not finite (in
            float32); a weight is below 0.
        TypeError
            A column's type cannot be used; rows are dicts.

        Examples
        --------
        >>> batch = Batch.from_arrays([[0.5, 1.0], [2.0, 3.0]], [1, 0], start=10)
        >>> len(batch), batch.x.dtype.name, batch.t.tolist()
        (2, 'float32', [10, 11])
        """
        if labels is not None and not isinstance(labels, Labels):
            raise TypeError(f"labels must be Labels, got {type(labels).__name__}: Labels(names)")
        x = as_features(x)
        n = len(x)
        goals = None if target is None else as_targets(target, n)
        known = labels_of_targets(goals, n) if y is None else as_integers("y", y, n)
        if n and known.min() < -1:
            raise ValueError(f"y must be at least -1, got {known.min()}")
        if goals is not None:
            check_targets(goals, known)
        return cls(
            x,
            known,
            np.arange(start, start + n, dtype=np.int64),
            as_integers("task", task, n),
            as_integers("experience", experience, n),
            None if id is None else as_ids(id, n),
            None if time is None else as_column("time", time, n, np.float64),
            goals,
            None if weight is None else as_weights(weight, n),
            labels=labels,
            feature_names=feature_names,
        )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def arrived(self) -> int:
        """Records of the stream that it stands for: its rows, unless labels come late."""
        return len(self.y) if self.late is None else len(self.late.records.y)

    @property
    def present_experience(self) -> int:
        """The experience in which the rows come, of which there must be one; see `Late`."""
        return self.experience.item(0) if self.late is None else self.late.experience

    @property
    def nbytes(self) -> int:
        """Bytes held by all columns and notes."""
        notes = self.notes or {}
        return sum(column.nbytes for column in (*self.columns().values(), *notes.values()))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns that are present, by name."""
        present = {name: getattr(self, name) for name in _COLUMNS}
        return {name: column for name, column in present.items() if column is not None}

    def take(self, rows: Rows) -> Batch:
        """Return the given rows: views for a slice, copies for an index or a mask.

        Examples
        --------
        >>> Batch.from_arrays([[1.0], [2.0], [3.0]]).take(np.array([2, 0])).t.tolist()
        [2, 0]
        """
        return Batch(
            _take(self.x, rows),
            self.y[rows],
            self.t[rows],
            self.task[rows],
            self.experience[rows],
            None if self.id is None else self.id[rows],
            None if self.time is None else self.time[rows],
            None if self.target is None else self.target[rows],
            None if self.weight is None else self.weight[rows],
            self.held_out,
            self.notes and {name: note[rows] for name, note in self.notes.items()},
            None if self.withheld is None else self.withheld[rows],
            self.labels,
            self.feature_names,
            self.schema,
            self.late,
        )

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """Join batches of one shape, in order, without their notes.

        Raises
        ------
        ValueError
            There is none, or they differ in feature shape, in the type of x or of targets, in
            which columns they have, or in what one label index stands for.

        Examples
        --------
        >>> a, b = Batch.from_arrays([[1.0]]), Batch.from_arrays([[2.0]], start=1)
        >>> Batch.concat([a, b]).t.tolist()
        [0, 1]
        """
        if not batches:
            raise ValueError(f"concat needs at least one batch, got {len(batches)}")
        first = batches[0]
        labels = first.labels
        names = list(first.columns())
        for other in batches[1:]:
            if list(other.columns()) != names:
                raise ValueError(f"columns differ: {names} and {list(other.columns())}")
            for name in ("x", "target"):
                one, two = getattr(first, name), getattr(other, name)
                if not same_kind(one, two) and not can_join(one, two):
                    raise ValueError(
                        f"{name} differs: {describe_array(one)} and {describe_array(two)}"
                    )
            if other.held_out != first.held_out:
                raise ValueError(
                    f"held_out differs: {first.held_out!r} and {other.held_out!r}: held-out rows "
                    "cannot be joined with rows to learn from"
                )
            if other.labels is not labels:
                labels = common_labels(labels, other.labels)
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(b, name) for b in batches])
            for name in names
            if name != "x"
        }
        joined["x"] = joined_rows([batch.x for batch in batches])
        return replace(first, notes=None, labels=labels, **joined)

    def with_note(self, name: str, values: NDArray[np.float32]) -> Batch:
        """Return the same rows with a note on each, [n, ...]."""
        return replace(self, notes={**(self.notes or {}), name: values})

    def numbered(self, start: int) -> Batch:
        """Return the same rows with ``t`` counted from ``start``."""
        return self._with(np.arange(start, start + len(self), dtype=np.int64), self.withheld)

    def learnable(self) -> Batch:
        """Return the rows that may be learned and stored: those that are not withheld.

        Examples
        --------
        >>> batch = Batch.from_arrays([[1.0], [2.0]])
        >>> batch.learnable() is batch
        True
        >>> replace(batch, withheld=np.array([True, False])).learnable().t.tolist()
        [1]
        """
        if self.withheld is None:
            return self
        return self.take(np.flatnonzero(~self.withheld)).withholding(None)

    def labelled(self) -> Batch:
        """Return the rows that have a label: those whose ``y`` is not -1.

        Examples
        --------
        >>> Batch.from_arrays([[1.0], [2.0]], [-1, 3]).labelled().t.tolist()
        [1]
        """
        y = self.y
        if len(y) and (y.item(0) if len(y) == 1 else np.minimum.reduce(y)) < 0:
            return self.take(y >= 0)
        return self

    def withholding(self, mask: NDArray[np.bool_] | None) -> Batch:
        """Return the same rows, with those in the mask, bool[n], withheld."""
        return self._with(self.t, mask)

    def _with(self, t: NDArray[np.int64], withheld: NDArray[np.bool_] | None) -> Batch:
        # not dataclasses.replace, which takes several times as long: this is done for every batch
        return Batch(
            self.x,
            self.y,
            t,
            self.task,
            self.experience,
            self.id,
            self.time,
            self.target,
            self.weight,
            self.held_out,
            self.notes,
            withheld,
            self.labels,
            self.feature_names,
            self.schema,
            self.late,
        )


_SHARED = ("held_out", "notes", "labels", "feature_names", "schema", "late")  # no columns
_COLUMNS = tuple(f.name for f in fields(Batch) if f.name not in _SHARED)


def objective_of(target: NDArray[Any] | None) -> Objective:
    """Return what a target [n, d] asks to be predicted; a class for None, or for labels [n].

    Examples
    --------
    >>> objective_of(None), objective_of(np.ones((1, 2))), objective_of(np.ones((1, 2), bool))
    ('classes', 'numbers', 'labels')
    """
    if target is None or target.ndim == 1:
        return "classes"
    return "labels" if target.dtype == np.bool_ else "numbers"


def _take(x: NDArray[Any], rows: Rows) -> NDArray[Any]:
    if isinstance(rows, np.ndarray) and rows.dtype != np.bool_ and x.flags.c_contiguous:
        return x.take(rows, axis=0)  # several times as fast as x[rows] where rows lie far apart
    return x[rows]
