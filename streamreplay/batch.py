"""The records that travel between stages: `Batch`, `Rehearsal`, `Scored`, `Report`.

All of them are columnar: one record holds n rows of the stream, never one object a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.groups import GroupIndex

__all__ = [
    "GROUP_COLUMNS",
    "Batch",
    "GroupBy",
    "Objective",
    "Rehearsal",
    "Report",
    "Sample",
    "Scored",
    "empty_memory",
    "objective_of",
    "same_kind",
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
"""Which column of a `Batch` names a row's group."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows of the stream, as columns. Build one with `Batch.from_arrays`, which checks.

    Attributes
    ----------
    x : float32[n, *feature] or uint8[n, *feature]
        Features; uint8 for images.
    y : int64[n]
        Label index, -1 where there is no label (yet).
    t : int64[n]
        Position in the stream, 0 for its first row.
    task, experience : int64[n]
        What the stream says of each row; 0 where it says nothing.
    id : int64[n] or str[n] or None
        The stream's own name of each row.
    time : float64[n] or None
        Event time in seconds since 1970; NaN where a row has none.
    target : float64[n, d] or bool[n, d] or None
        Numbers to predict (regression), or which of d labels a row has (multi-label). Where it is
        there, `y` only says which rows it counts for: 0, or -1 where it is not known (yet).
    weight : float32[n] or None
        How much a row's loss counts beside that of others, at least 0; None: all alike.
    held_out : {"test", "probe"} or None
        Of which sample these rows are, if the model is only asked about them: they are no part of
        the stream. None: rows of the stream.
    notes : mapping of str to float32[n, ...] or None
        What a learner had a buffer keep beside its rows, as their logits; NaN where a row has none.
    withheld : bool[n] or None
        Rows of the stream that are predicted and scored as all others, but never learned and never
        stored (see `Probe`); None: none of them.
    """

    x: NDArray[Any]  # float32 | uint8 [n, *feature]
    y: NDArray[np.int64]  # [n]
    t: NDArray[np.int64]  # [n]
    task: NDArray[np.int64]  # [n]
    experience: NDArray[np.int64]  # [n]
    id: NDArray[Any] | None = None  # int64 | str [n]
    time: NDArray[np.float64] | None = None  # [n]
    target: NDArray[Any] | None = None  # float64 | bool [n, d]
    weight: NDArray[np.float32] | None = None  # [n]
    held_out: Sample | None = None
    notes: Mapping[str, NDArray[np.float32]] | None = None  # [n, ...] each
    withheld: NDArray[np.bool_] | None = None  # [n]

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
        time : array_like of float [n], optional
            Seconds since 1970.
        target : array_like [n] or [n, d], optional
            Booleans: which of d labels a row has. Other numbers: what to predict. With it, y is 0,
            or -1 where the target is not known; left out, it is 0, or -1 where a number is NaN.
        weight : float or array_like of float [n], optional
            How much a row's loss counts.

        Raises
        ------
        ValueError
            A column has another length than x, rows differ in shape, or a label is below -1, or not
            0 beside a target; the target of a labelled row, or a weight, is not finite (in
            float32); a weight is below 0.
        TypeError
            A column's type cannot be used; rows are dicts.

        Examples
        --------
        >>> batch = Batch.from_arrays([[0.5, 1.0], [2.0, 3.0]], [1, 0], start=10)
        >>> len(batch), batch.x.dtype.name, batch.t.tolist()
        (2, 'float32', [10, 11])
        """
        x = _rows_of(x)
        if x.ndim < 2:
            raise ValueError(f"x must be [n, *feature], got shape {x.shape}")
        if x.dtype != np.uint8:
            if x.dtype.kind not in "buif":
                raise TypeError(f"x must be numeric, got {x.dtype}")
            x = x.astype(np.float32, copy=False)
        n = len(x)
        goals = None if target is None else _targets(target, n)
        labels = _unlabelled(goals, n) if y is None else _integers("y", y, n)
        if n and labels.min() < -1:
            raise ValueError(f"y must be at least -1, got {labels.min()}")
        if goals is not None:
            _check_targets(goals, labels)
        return cls(
            x,
            labels,
            np.arange(start, start + n, dtype=np.int64),
            _integers("task", task, n),
            _integers("experience", experience, n),
            None if id is None else _ids(id, n),
            None if time is None else _column("time", time, n, np.float64),
            goals,
            None if weight is None else _weights(weight, n),
        )

    def __len__(self) -> int:
        return len(self.y)

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
        )

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """Join batches of one shape, in order; their notes are left behind.

        Raises
        ------
        ValueError
            There is none, or they differ in feature shape, in the type of x or of targets, or in
            which columns they have.

        Examples
        --------
        >>> a, b = Batch.from_arrays([[1.0]]), Batch.from_arrays([[2.0]], start=1)
        >>> Batch.concat([a, b]).t.tolist()
        [0, 1]
        """
        if not batches:
            raise ValueError("concat needs at least one batch")
        first = batches[0]
        names = list(first.columns())
        for other in batches[1:]:
            if list(other.columns()) != names:
                raise ValueError(f"columns differ: {names} and {list(other.columns())}")
            for name in ("x", "target"):
                one, two = getattr(first, name), getattr(other, name)
                if not same_kind(one, two):
                    raise ValueError(
                        f"{name} differs: {describe_array(one)} and {describe_array(two)}"
                    )
            if other.held_out != first.held_out:
                raise ValueError("held-out rows cannot be joined with rows to learn from")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(b, name) for b in batches]) for name in names
        }
        return replace(first, notes=None, **joined)

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

    def withholding(self, mask: NDArray[np.bool_] | None) -> Batch:
        """Return the same rows, of which those in the mask, bool[n], are not to be learned."""
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
        )


_COLUMNS = tuple(f.name for f in fields(Batch) if f.name not in ("held_out", "notes"))


def _ignore(_rows: NDArray[np.int64]) -> None:
    pass


def _ignore_note(_name: str, _values: NDArray[np.float32]) -> None:
    pass


def _no_groups(_by: GroupBy) -> GroupIndex:
    return GroupIndex.of(np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """An incoming batch, beside the memory it may be rehearsed with.

    A buffer fills `memory` with everything stored; a mixer adds which rows of it to rehearse.

    Attributes
    ----------
    incoming : Batch
        New rows: nothing in `memory` is one of them. A learner predicts them all, and learns from
        ``incoming.learnable()``.
    memory : Batch
        Every stored row, as views that hold until the stage is pulled again.
    group_by : callable
        ``group_by("class")`` gives the `GroupIndex` of `memory`.
    rows : int64[steps, k]
        For each training pass, the rows of `memory` to rehearse. [1, 0] before a mixer.
    group : int64[steps, k]
        The group each of `rows` was drawn for; -1 where draws were uniform.
    count_replays : callable
        Who decides which rows are rehearsed tells which, int64[...], for the buffer's statistics.
    note : callable
        ``note("logits", values)`` has the buffer keep float32[n, ...] beside the incoming rows, as
        `memory.notes` later.
    choose : int or None
        How many of each pass's `rows` a learner is to choose, where they are candidates; None: all
        of them are to be rehearsed.
    """

    incoming: Batch
    memory: Batch
    group_by: Callable[[GroupBy], GroupIndex] = _no_groups
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty((1, 0), np.int64))
    group: NDArray[np.int64] = field(default_factory=lambda: np.empty((1, 0), np.int64))
    count_replays: Callable[[NDArray[np.int64]], None] = _ignore
    note: Callable[[str, NDArray[np.float32]], None] = _ignore_note
    choose: int | None = None

    def drawn(self, step: int = 0) -> Batch:
        """Copy the memory rows that pass ``step`` rehearses."""
        return self.memory.take(self.rows[step])

    def mixed(self, step: int = 0) -> tuple[Batch, NDArray[np.bool_], NDArray[np.int64]]:
        """Join the rows of pass ``step``, incoming ones first, and tell where each is from.

        Withheld rows are left out: they are not to be learned.

        Returns
        -------
        batch : Batch
        is_memory : bool[n + k]
            False for incoming rows.
        group : int64[n + k]
            The group a memory row was drawn for, -1 where draws were uniform and for incoming rows.

        Raises
        ------
        ValueError
            Incoming and stored rows do not have the same columns.
        """
        incoming = self.incoming.learnable()
        n, k = len(incoming), self.rows.shape[1]
        return (
            Batch.concat([incoming, self.drawn(step)]),
            np.arange(n + k) >= n,
            np.concatenate([np.full(n, -1), self.group[step]]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """An incoming batch with what the model said before it learned from it.

    Attributes
    ----------
    incoming : Batch
    prediction : int64[n] or float64[n, d] or bool[n, d]
        Label index, -1 while no class is known; numbers, NaN while no target is known; or which
        labels a row has.
    probability : float32[n] or float32[n, d]
        Of the predicted class, or of each label; NaN of numbers and while no class is known.
    loss : float32[n]
        Negative log-likelihood of the true class in nats (see the learner for how an unseen class
        is scored); squared error, or the negative log-likelihood of each label's presence, as a
        mean over the d; NaN where a row has no label.
    replayed : int
        Memory rows learned from in this step, over all passes.
    skipped : int
        Training passes left out because the loss was not finite.
    throttled : int
        Memory rows that were drawn and left out to keep to a replay budget, over all passes.
    square_sum : float32[n] or None
        Of classes: the squares of all classes' probabilities, summed, which is what a row's Brier
        score takes beside ``loss``; NaN in rows, and None in batches, where that is not known.
    """

    incoming: Batch
    prediction: NDArray[Any]  # int64 [n] | float64 [n, d] | bool [n, d]
    probability: NDArray[np.float32]  # [n] | [n, d]
    loss: NDArray[np.float32]  # [n]
    replayed: int = 0
    skipped: int = 0
    throttled: int = 0
    square_sum: NDArray[np.float32] | None = None  # [n]

    @property
    def objective(self) -> Objective:
        """What was predicted: one of several classes, numbers, or which labels a row has."""
        return objective_of(self.prediction)


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a pipeline yields for each incoming batch.

    Attributes
    ----------
    scored : Scored or None
        The predictions of this batch; None in the last report of a stream, which has no rows. Of
        several learners, those of the first.
    metrics : tuple of dict
        The log records that fell due within this batch, in order of position; most reports have
        none. Keys are documented in ``docs/log.md``.
    by_learner : mapping of str to Scored
        The predictions of each of several learners (see `Branches`), by name; else empty.
    """

    scored: Scored | None
    metrics: tuple[dict[str, Any], ...] = ()
    by_learner: Mapping[str, Scored] = field(default_factory=dict)

    def __len__(self) -> int:
        return 0 if self.scored is None else len(self.scored.incoming)


def empty_memory(like: Batch) -> Batch:
    """Return a batch of no rows, shaped like another."""
    return like.take(slice(0, 0))


def objective_of(target: NDArray[Any] | None) -> Objective:
    """Tell what a target [n, d] asks to be predicted; without one, or of labels [n], a class.

    Examples
    --------
    >>> objective_of(None), objective_of(np.ones((1, 2))), objective_of(np.ones((1, 2), bool))
    ('classes', 'numbers', 'labels')
    """
    if target is None or target.ndim == 1:
        return "classes"
    return "labels" if target.dtype == np.bool_ else "numbers"


def same_kind(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    """Tell whether rows of two columns have one type and shape, or both columns are not there."""
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and one.shape[1:] == other.shape[1:]


def describe_array(array: NDArray[Any]) -> str:
    """Write an array's type and shape as ``float32[500, 20]``."""
    return f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"


def _take(x: NDArray[Any], rows: Rows) -> NDArray[Any]:
    if isinstance(rows, np.ndarray) and rows.dtype != np.bool_ and x.flags.c_contiguous:
        return x.take(rows, axis=0)  # several times as fast as x[rows] where rows lie far apart
    return x[rows]


def _rows_of(x: ArrayLike) -> NDArray[Any]:
    try:
        rows = np.asarray(x)
    except ValueError:
        _explain_rows(x)
        raise
    if rows.dtype == np.object_ and rows.ndim:
        _explain_rows(rows)
    return rows


def _explain_rows(rows: Any) -> None:
    """Raise an error that says why rows make no array of numbers, where that can be told."""
    first: tuple[int, ...] | None = None
    for place, row in enumerate(rows):
        if isinstance(row, Mapping):
            raise TypeError(
                f"x: row {place} is a dict: give named fields one order and pass a list of lists, "
                "e.g. [[row[k] for k in names] for row in rows]"
            )
        try:
            shape = np.shape(row)
        except ValueError:
            raise ValueError(
                f"x: row {place} is ragged in itself: pad, crop or encode it to one shape"
            ) from None
        first = shape if first is None else first
        if shape != first:
            raise ValueError(
                f"x: rows differ in shape (row 0 is {list(first)}, row {place} is {list(shape)}): "
                "pad, crop or encode them to one shape"
            )


def _column(name: str, values: ArrayLike, n: int, dtype: type) -> NDArray[Any]:
    column: NDArray[Any] = np.asarray(values, dtype)
    if column.ndim == 0:
        return np.full(n, column, dtype)
    if column.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) as x has {n} rows, got {column.shape}")
    return column


def _integers(name: str, values: ArrayLike, n: int) -> NDArray[np.int64]:
    column = np.asarray(values)
    if column.dtype.kind not in "biu" and column.size:
        raise TypeError(f"{name} must be integers, got {column.dtype}")
    return _column(name, column, n, np.int64)


def _ids(values: ArrayLike, n: int) -> NDArray[Any]:
    column = np.asarray(values)
    if column.dtype.kind not in "iuU" and column.size:
        raise TypeError(f"id must be integers or strings, got {column.dtype}")
    if column.shape != (n,):
        raise ValueError(f"id must have shape ({n},) as x has {n} rows, got {column.shape}")
    return column if column.dtype.kind == "U" else column.astype(np.int64, copy=False)


def _targets(values: ArrayLike, n: int) -> NDArray[Any]:
    targets = np.asarray(values)
    if targets.dtype.kind not in "biuf" and targets.size:
        raise TypeError(f"target must be booleans or numbers, got {targets.dtype}")
    if targets.ndim == 1:
        targets = targets[:, None]
    if targets.ndim != 2 or len(targets) != n or not targets.shape[1]:
        raise ValueError(
            f"target must be [n] or [n, d] with n = {n} as x has {n} rows, got {targets.shape}"
        )
    return targets if targets.dtype == np.bool_ else targets.astype(np.float64, copy=False)


def _unlabelled(target: NDArray[Any] | None, n: int) -> NDArray[np.int64]:
    if target is None:
        return np.full(n, -1, np.int64)
    unknown: NDArray[np.bool_] = np.isnan(target).any(axis=1)
    return np.where(unknown, np.int64(-1), np.int64(0))


def _check_targets(target: NDArray[Any], y: NDArray[np.int64]) -> None:
    if len(y) and y.max() > 0:
        raise ValueError(f"y must be 0 (known) or -1 (not known) beside a target, got {y.max()}")
    wrong = (y == 0) & ~(np.abs(target) <= _LARGEST).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"target must be finite in float32 where y is 0, row {row} has {target[row].tolist()}"
        )


def _weights(values: ArrayLike, n: int) -> NDArray[np.float32]:
    column = np.asarray(values)
    if column.dtype.kind not in "biuf" and column.size:
        raise TypeError(f"weight must be numbers, got {column.dtype}")
    with np.errstate(over="ignore"):
        weights = _column("weight", column, n, np.float32)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"weight must be finite in float32 and at least 0, row {row} has {weights[row]}"
        )
    return weights
