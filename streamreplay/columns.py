"""Checks of the columns that a `Batch` is built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Floats",
    "Ints",
    "as_column",
    "as_features",
    "as_ids",
    "as_integers",
    "as_targets",
    "as_text",
    "as_weights",
    "check_targets",
    "describe_array",
    "labels_of_targets",
    "same_kind",
]

Ints: TypeAlias = NDArray[np.int64]
"""Integers: int64[...]."""

Floats: TypeAlias = NDArray[np.float64]
"""Numbers in double precision: float64[...]."""

_LARGEST = float(np.finfo(np.float32).max)


def same_kind(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    """Return whether rows of two columns have one type and shape, or neither column is there."""
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and one.shape[1:] == other.shape[1:]


def describe_array(array: NDArray[Any]) -> str:
    """Return an array's type and shape as text: ``float32[500, 20]``."""
    return f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"


def as_features(x: ArrayLike) -> NDArray[Any]:
    """Convert rows to features [n, *feature]: uint8 is kept, other numbers become float32."""
    rows = _as_rows(x)
    if rows.ndim < 2:
        raise ValueError(f"x must be [n, *feature], got shape {rows.shape}")
    if rows.dtype == np.uint8:
        return rows
    if rows.dtype.kind not in "buif":
        raise TypeError(f"x must be numeric, got {rows.dtype}")
    return rows.astype(np.float32, copy=False)


def _as_rows(x: ArrayLike) -> NDArray[Any]:
    """Convert rows to one array; raise an error that says why where they make none."""
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


def as_column(name: str, values: ArrayLike, n: int, dtype: type) -> NDArray[Any]:
    """Convert values to a column of n rows; repeat a single value."""
    column: NDArray[Any] = np.asarray(values, dtype)
    if column.ndim == 0:
        return np.full(n, column, dtype)
    if column.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) as x has {n} rows, got {column.shape}")
    return column


def as_integers(name: str, values: ArrayLike, n: int) -> NDArray[np.int64]:
    """Convert integers to a column of n rows."""
    column = np.asarray(values)
    if column.dtype.kind not in "biu" and column.size:
        if column.dtype == np.object_ and None in column.tolist():
            raise TypeError(f"{name} must be integers, got None: -1 stands for a row without one")
        raise TypeError(f"{name} must be integers, got {column.dtype}")
    return as_column(name, column, n, np.int64)


def as_ids(values: ArrayLike, n: int) -> NDArray[np.str_]:
    """Convert integers or strings to a column of n ids."""
    column = as_text("id", values)
    if column.shape != (n,):
        raise ValueError(f"id must have shape ({n},) as x has {n} rows, got {column.shape}")
    return column


def as_text(name: str, values: ArrayLike) -> NDArray[np.str_]:
    """Convert ids to text: an integer to its decimal digits, None to "".

    Raises
    ------
    TypeError
        A value is neither an integer, nor a string, nor None.

    Examples
    --------
    >>> as_text("id", [5, "005", None]).tolist(), as_text("id", np.array([7, -10])).dtype.str
    (['5', '005', ''], '<U3')
    """
    mixed = isinstance(values, list | tuple) and len(set(map(type, values))) > 1
    column = np.asarray(values, np.object_ if mixed else None)
    if not column.size:
        return np.zeros(column.shape, np.str_)
    if column.dtype.kind in "iu":
        width = max(len(str(column.min())), len(str(column.max())))
        return column.astype(f"U{width}")
    if column.dtype.kind == "O":
        texts = [_id_text(name, value) for value in column.ravel().tolist()]
        return np.array(texts, np.str_).reshape(column.shape)
    if column.dtype.kind != "U":
        raise TypeError(f"{name} must be integers or strings, got {column.dtype}")
    return column.astype(np.str_, copy=False)


def _id_text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | np.integer | str | None):
        raise TypeError(f"{name} must be integers or strings, got {value!r}")
    return "" if value is None else str(value)


def as_targets(values: ArrayLike, n: int) -> NDArray[Any]:
    """Convert booleans or numbers to targets of n rows, [n, d]."""
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


def labels_of_targets(target: NDArray[Any] | None, n: int) -> NDArray[np.int64]:
    """Return label indices for rows that have none: 0 where the target is known, else -1."""
    if target is None:
        return np.full(n, -1, np.int64)
    unknown: NDArray[np.bool_] = np.isnan(target).any(axis=1)
    return np.where(unknown, np.int64(-1), np.int64(0))


def check_targets(target: NDArray[Any], y: NDArray[np.int64]) -> None:
    """Check targets against label indices; raise ValueError for the first that is not finite."""
    if len(y) and y.max() > 0:
        raise ValueError(f"y must be 0 (known) or -1 (not known) beside a target, got {y.max()}")
    wrong = (y == 0) & ~(np.abs(target) <= _LARGEST).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"target must be finite in float32 where y is 0, row {row} has {target[row].tolist()}"
        )


def as_weights(values: ArrayLike, n: int) -> NDArray[np.float32]:
    """Convert numbers to weights of n rows."""
    column = np.asarray(values)
    if column.dtype.kind not in "biuf" and column.size:
        raise TypeError(f"weight must be numbers, got {column.dtype}")
    with np.errstate(over="ignore"):
        weights = as_column("weight", column, n, np.float32)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"weight must be finite in float32 and at least 0, row {row} has {weights[row]}"
        )
    return weights
