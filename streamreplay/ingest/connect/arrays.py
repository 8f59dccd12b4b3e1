"""Streams of rows that are arrays in memory."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.features.packed import is_table
from streamreplay.features.schema import Schema
from streamreplay.features.translation import has_gaps, table_of
from streamreplay.ingest.decode.label_codes import Coded
from streamreplay.ingest.decode.options import check_limit, labels_or_new, positive
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.values import float32s
from streamreplay.ingest.second_pass import SecondPass
from streamreplay.labels import Labels, Name
from streamreplay.put_aside import PutAside
from streamreplay.state import State, within

_BLOCK = 1 << 22  # bytes
_MOST_CHECKED = 1 << 32  # bytes of x that tell these arrays from others, about three seconds


class ArraySource:
    """Rows from arrays in memory, in their order.

    Batches are views of the arrays, which are not copied if their types are right, and never
    written to.

    Parameters
    ----------
    x : array_like [n, *feature]
        uint8 is kept; anything else numeric becomes float32.
    y : array_like [n], optional
        Labels: integers or strings, of any value; None or -1 for a row without one. Left out, no
        row has a label.
    task, experience : array_like of int [n], optional
    id : array_like of int or str [n], optional
    time : array_like of float [n], optional
        Seconds since 1970.
    target : array_like [n] or [n, d], optional
        Numbers to predict in place of labels, NaN in a row without; or booleans, which of d labels
        a row has. With a target, y says which rows have one: 0, else -1.
    weight : array_like of float [n], optional
        How much a row's loss counts, at least 0.
    target_names : sequence of str, optional
        What the d are called; by default their positions.
    batch_size : int
        Most rows in a batch. A batch ends early at a change of experience.
    limit : int, optional
        Rows of the whole stream to yield, those before a resume counted.
    labels : Labels, optional
        Names known from the start, to which new ones are added as they appear.
    schema : Schema, optional
        Of rows that it has packed. Numbers, [n, d], of which some are NaN, are packed by a new one.
    order : array_like of int [n], optional
        Which row of x each row of the stream is. All other columns are in the stream's order.

    Attributes
    ----------
    coded : Coded
        The labels of all rows.
    feature_names : list of str or None
        What the features are called, if the rows were read from fields with names.
    put_aside : PutAside
        The records that could not be used, if the rows were read from lines.

    The others are described in `Source`.

    Raises
    ------
    ValueError
        A column has another length than x, or x is not finite.
    TypeError
        A column's type cannot be used.

    Examples
    --------
    >>> source = ArraySource([[0.0], [1.0], [2.0]], ["cat", "dog", "cat"], batch_size=2)
    >>> [batch.y.tolist() for batch in source], source.labels.names
    ([[0, 1], [0]], ['cat', 'dog'])
    """

    in_use: FieldsInUse | None = None
    """What the fields of the file are used for that the rows were read from, if they were."""
    continue_from_here = False
    whole_batches = False

    def __init__(  # noqa: PLR0913 - a column each
        self,
        x: ArrayLike,
        y: ArrayLike | Sequence[Name | None] | Coded | None = None,
        *,
        task: ArrayLike | None = None,
        experience: ArrayLike | None = None,
        id: ArrayLike | None = None,
        time: ArrayLike | None = None,
        target: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        target_names: Sequence[str] | None = None,
        batch_size: int = 32,
        limit: int | None = None,
        labels: Labels | None = None,
        schema: Schema | None = None,
        order: ArrayLike | None = None,
    ) -> None:
        self.schema: Schema | None = schema
        self._x = _features(x)
        if has_gaps(self._x):
            self.schema = Schema()
            self._x = table_of(self._x, self.schema)
        self._order = None if order is None else _order(order, len(self._x))
        n = len(self._x) if self._order is None else len(self._order)
        known: Any = None if target is None else y
        self._columns = Batch.from_arrays(
            np.empty((n, 1), np.uint8),  # stands for x, which may be in another order
            known,
            task=0 if task is None else task,
            experience=0 if experience is None else experience,
            id=id,
            time=time,
            target=target,
            weight=weight,
        )
        self.target_names = _target_names(self._columns.target, target_names)
        y = None if target is not None else y
        self.coded = y if isinstance(y, Coded) else Coded.of(y, n)
        self.batch_size = positive("batch_size", batch_size)
        self.limit = check_limit(limit)
        self.labels = labels_or_new(labels, self.target_names)
        self.rows_total: int = n
        self.feature_names: list[str] | None = None
        self.put_aside = PutAside()
        self.notices: list[str] = []
        """What there is to say about the stream that the rows were read from."""
        changes = np.flatnonzero(np.diff(self._columns.experience)) + 1
        self._cuts: list[int] = [*changes.tolist(), n]  # where batches must end
        self._fingerprint: int | None = None
        # the index in labels of each code; the last place is for codes of -1
        self._index = np.full(len(self.coded.names) + 1, -1, np.int64)
        self._passes = SecondPass()
        self._row = 0
        self._assigned = 0  # names that have an index
        self._as_coded = True  # and each one's is its code
        self._go_to(0)

    def __len__(self) -> int:
        return self.rows_total

    @property
    def left_out(self) -> list[str]:
        """The fields that are not used."""
        return [] if self.in_use is None else list(self.in_use.left_out)

    @property
    def position(self) -> int:
        """Rows yielded so far."""
        return self._row

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of a row's features."""
        return self._x.dtype["number"].shape if is_table(self._x) else self._x.shape[1:]

    def __iter__(self) -> Iterator[Batch]:
        yield from self._passes.over(iter(self._next, None), "ArraySource")
        self._passes.ended = not self.whole_batches

    def _next(self) -> Batch | None:
        start = self._row
        end = self.rows_total if self.limit is None else min(self.limit, self.rows_total)
        if start >= end:
            return None
        whole = min(start + self.batch_size, self._cuts[bisect_right(self._cuts, start)])
        stop = min(whole, end)
        short = stop == self.rows_total and stop - start < self.batch_size
        if self.whole_batches and (stop < whole or short):
            return None
        if self._assigned < len(self.coded.first) and self.coded.first[self._assigned] < stop:
            self._assign(stop)
        self._row = stop
        return self._rows(slice(start, stop))

    def _rows(self, rows: slice) -> Batch:
        rest = self._columns
        if rest.target is None:
            codes = self.coded.codes[rows]
            y = codes if self._as_coded else self._index[codes]
        else:
            y = rest.y[rows]
        return Batch(
            self._x[rows] if self._order is None else self._x[self._order[rows]],
            y,
            rest.t[rows],
            rest.task[rows],
            rest.experience[rows],
            None if rest.id is None else rest.id[rows],
            None if rest.time is None else rest.time[rows],
            None if rest.target is None else rest.target[rows],
            None if rest.weight is None else rest.weight[rows],
            labels=self.labels,
            feature_names=self.feature_names,
            schema=self.schema,
        )

    def describe(self) -> FieldsInUse:
        """Return what each array, or the field that it was read from, is used for."""
        if self.in_use is not None:
            return self.in_use
        rest = self._columns
        kind = f"array of {' x '.join(map(str, self.feature_shape))} numbers"
        goal = {"label": "y"} if rest.target is None else {"target": "target"}
        present = {role: getattr(rest, role) is not None for role in ("id", "time", "weight")}
        for role in ("task", "experience"):
            present[role] = bool(getattr(rest, role).any())
        roles = {role: role for role, there in present.items() if there}
        return FieldsInUse({kind: ["x"]}, goal, roles)

    def close(self) -> None:
        """Do nothing: arrays need no closing."""

    def whole(self, labels: Labels) -> Batch:
        """Return all rows as one batch, wherever the position is, which does not move.

        ``y`` is by the given labels, -1 for a name that is not among them; none is added.
        """
        rest = self._columns
        index = np.array([*map(labels.find, self.coded.names), -1], np.int64)
        return Batch(
            self._x if self._order is None else self._x[self._order],
            index[self.coded.codes] if rest.target is None else rest.y,
            rest.t,
            rest.task,
            rest.experience,
            rest.id,
            rest.time,
            rest.target,
            rest.weight,
            labels=labels if rest.target is None else self.labels,
            feature_names=self.feature_names,
            schema=self.schema,
        )

    def select(
        self,
        rows: NDArray[np.int64],
        *,
        task: ArrayLike | None = None,
        experience: ArrayLike | None = None,
    ) -> ArraySource:
        """Return some of all the rows, in the order given, as a stream of its own.

        x is not copied. Labels are numbered from 0 again, and there is no limit.

        Examples
        --------
        >>> source = ArraySource([[0.0], [1.0], [2.0]], ["cat", "dog", "cat"])
        >>> [batch.x.tolist() for batch in source.select(np.array([2, 1]))]
        [[[2.0], [1.0]]]
        """
        rest = self._columns
        found = ArraySource(
            self._x,
            self.coded.take(rows) if rest.target is None else rest.y[rows],
            task=rest.task[rows] if task is None else task,
            experience=rest.experience[rows] if experience is None else experience,
            id=None if rest.id is None else rest.id[rows],
            time=None if rest.time is None else rest.time[rows],
            target=None if rest.target is None else rest.target[rows],
            weight=None if rest.weight is None else rest.weight[rows],
            target_names=self.target_names,
            batch_size=self.batch_size,
            schema=self.schema,
            order=rows if self._order is None else self._order[rows],
        )
        found.feature_names, found.in_use = self.feature_names, self.in_use
        return found

    def state_dict(self) -> State:
        """Return the position, the labels, and a checksum that tells these arrays from others."""
        return {
            "rows": self._row,
            "labels": self.labels.state_dict(),
            "fingerprint": self._checksum(),
            "put_aside": self.put_aside.state_dict(),
            "in_use": asdict(self.describe()),
            "x": {"dtype": self._x.dtype.name, "shape": list(self.feature_shape)},
            "schema": None if self.schema is None else self.schema.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state.

        Raises
        ------
        CheckpointError
            It is of a source with other rows.
        """
        if state.get("fingerprint") != self._checksum():
            raise CheckpointError(
                "fingerprint: saved by a source with other rows, or with the same in another order"
            )
        rows = state.get("rows")
        if not isinstance(rows, int) or not 0 <= rows <= self.rows_total:
            raise CheckpointError(f"rows: saved {rows}, this source has {self.rows_total}")
        with within("labels"):
            self.labels.load_state_dict(state.get("labels", {}))
        self.put_aside.load_state_dict(state["put_aside"])
        self._go_to(rows)

    def _go_to(self, row: int) -> None:
        self._row = row
        self._passes.ended = False
        self._assigned = 0
        self._as_coded = True
        self._index.fill(-1)
        self._assign(row)

    def _assign(self, end: int) -> None:
        """Assign indices to the names that appear before row ``end``."""
        coded = self.coded
        while self._assigned < len(coded.first) and coded.first[self._assigned] < end:
            index = self.labels.index(coded.names[self._assigned])
            self._index[self._assigned] = index
            self._as_coded = self._as_coded and index == self._assigned
            self._assigned += 1

    def _checksum(self) -> int:
        if self._fingerprint is None:
            n = self.rows_total
            parts: list[Any] = [*_blocks(self._x)]
            rest = self._columns
            parts += [rest.y if rest.target is not None else self.coded.codes]
            columns = (rest.task, rest.experience, rest.id, rest.time, rest.target, rest.weight)
            parts += [column for column in columns if column is not None]
            crc = zlib.crc32(repr((n, self._x.dtype, self._x.shape, self.coded.names)).encode())
            for part in parts if self._order is None else [*parts, self._order]:
                raw: Any = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
                crc = zlib.crc32(raw, crc)
            self._fingerprint = crc
        return self._fingerprint


def _blocks(x: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield all rows, a few megabytes at a time; of very large arrays only every k-th row."""
    step = 1 + x.nbytes // _MOST_CHECKED
    rows = max(1, _BLOCK * len(x) // max(x.nbytes, 1)) * step
    for start in range(0, len(x), rows):
        yield x[start : start + rows : step]


def _features(x: ArrayLike) -> NDArray[Any]:
    found = np.asarray(x)
    if is_table(found):
        return found
    if found.dtype.kind == "f" and found.dtype != np.float32:
        found = float32s(found)
    found = Batch.from_arrays(found).x
    if found.dtype != np.uint8:
        finite = np.isfinite(found)
        if found.ndim == 2:
            finite |= np.isnan(found)
        if not finite.all():
            row = int((~finite.reshape(len(found), -1).all(axis=1)).argmax())
            raise ValueError(f"x must be finite in float32, row {row} is not")
    return found


def _target_names(target: NDArray[Any] | None, names: Sequence[str] | None) -> list[str] | None:
    if target is None:
        return None
    width = target.shape[1]
    found = list(map(str, range(width))) if names is None else list(names)
    if len(found) != width:
        raise ValueError(f"target_names must have {width} names as target has, got {len(found)}")
    if len(set(found)) != width:
        raise ValueError(f"target_names must be different, got {found}")
    return found


def _order(order: ArrayLike, n: int) -> NDArray[np.int64]:
    rows = np.asarray(order)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
        raise TypeError(f"order must be one row of integers, got {rows.dtype}{list(rows.shape)}")
    if rows.size and not (rows.min() >= 0 and rows.max() < n):
        raise ValueError(f"order must be rows 0 to {n - 1} of x, got {rows.min()} to {rows.max()}")
    return rows.astype(np.int64, copy=False)
