"""A column of label names as codes, for arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.ingest.decode.values import BadRecord, array_label
from streamreplay.labels import Name


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Labels by number, numbered in the order in which the rows first show them.

    Attributes
    ----------
    codes : int64[n]
        Position in ``names`` of each row's label, -1 for a row without one.
    names : list of int or str
    first : list of int
        The row in which each name appears first, ascending.
    """

    codes: NDArray[np.int64]
    names: list[Name]
    first: list[int]

    @staticmethod
    def of(y: ArrayLike | Sequence[Name | None] | None, n: int) -> Coded:
        """Encode labels: integers, strings or booleans; None or -1 for a row without one.

        Raises
        ------
        TypeError
            A label is something else.
        ValueError
            There are not ``n`` of them.

        Examples
        --------
        >>> coded = Coded.of(["b", "a", "b"], 3)
        >>> coded.codes.tolist(), coded.names
        ([0, 1, 0], ['b', 'a'])
        """
        if y is None:
            return Coded(np.full(n, -1, np.int64), [], [])
        column = _as_array(y)
        if column.shape != (n,):
            raise ValueError(f"y must have shape ({n},) as there are {n} rows, got {column.shape}")
        if column.dtype.kind == "f":
            column = _whole_numbers(column)
        if column.dtype.kind == "O":
            return _of_objects(column)
        if column.dtype.kind not in "biuU":
            raise TypeError(f"y must be integers or strings, got {column.dtype}")
        values, codes = np.unique(column, return_inverse=True)
        return Coded.numbered(codes, [_name(v) for v in values.tolist()])

    @staticmethod
    def numbered(codes: NDArray[np.int64], names: Sequence[Name | None]) -> Coded:
        """Renumber codes by where they appear first; -1, and a name of None, are no label.

        Examples
        --------
        >>> coded = Coded.numbered(np.array([2, -1, 0, 1]), ["a", None, "b"])
        >>> coded.codes.tolist(), coded.names, coded.first
        ([0, -1, 1, -1], ['b', 'a'], [0, 2])
        """
        found, first = np.unique(codes, return_index=True)
        named = np.array([each >= 0 and names[each] is not None for each in found], np.bool_)
        first, found = first[named], found[named]
        order = np.argsort(first)
        renumber = np.full(len(names) + 1, -1, np.int64)  # its last place is for codes of -1
        renumber[found[order]] = np.arange(len(found))
        ordered = [name for i in found[order] if (name := names[i]) is not None]
        return Coded(renumber[codes], ordered, first[order].tolist())

    def take(self, rows: NDArray[np.int64]) -> Coded:
        """Return the labels of some rows, numbered from 0 again."""
        return Coded.numbered(self.codes[rows], self.names)


def _as_array(y: ArrayLike | Sequence[Name | None]) -> NDArray[Any]:
    if isinstance(y, list | tuple) and len(set(map(type, y))) > 1:
        # NumPy would convert integers to strings if there are both
        column = np.empty(len(y), np.object_)
        column[:] = y
        return column
    column = np.asarray(y)
    return column if column.size else column.astype(np.int64)


def _whole_numbers(column: NDArray[Any]) -> NDArray[np.int64]:
    wrong = ~(np.isfinite(column) & (np.floor(column) == column) & (np.abs(column) <= 2.0**53))
    if wrong.any():
        row = int(wrong.argmax())
        raise TypeError(f"y must be integers or strings, got {column[row]} in row {row}")
    return column.astype(np.int64)


def _of_objects(column: NDArray[Any]) -> Coded:
    index: dict[Name | None, int] = {None: -1}
    codes = np.empty(len(column), np.int64)
    first: list[int] = []
    for row, value in enumerate(column.tolist()):
        name = _name(value, f" in row {row}")
        code = index.setdefault(name, len(index) - 1)
        if code == len(first):
            first.append(row)
        codes[row] = code
    return Coded(codes, [name for name in index if name is not None], first)


def _name(value: Any, where: str = "") -> Name | None:
    try:
        return array_label(value.item() if isinstance(value, np.generic) else value)
    except BadRecord as error:
        raise TypeError(f"y: {error}{where}") from None
