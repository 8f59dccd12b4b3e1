"""Counts of pairs of label and prediction."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.groups import GroupIndex
from streamreplay.state import State

_ROOM = 128  # pairs, at first

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
        self._y = np.zeros(_ROOM, np.int64)
        self._prediction = np.zeros(_ROOM, np.int64)
        self._counts = np.zeros(_ROOM)

    def add(self, codes: NDArray[np.int64]) -> None:
        """Count rows, [n], by the codes of their pairs."""
        pairs, (counts,) = counted(codes)
        self.add_pairs(pairs, counts)

    def add_pairs(self, codes: list[int], sums: NDArray[Any]) -> None:
        """Add a count to each of several different pairs, [g]."""
        slots = self._slots(codes)
        self._counts[slots] += sums

    def decay(self, factor: float) -> None:
        """Multiply all counts so far."""
        self._counts *= factor

    def cells(self) -> Cells:
        """Return all pairs in order of first sight, as views."""
        n = len(self._slot)
        return self._y[:n], self._prediction[:n], self._counts[:n]

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
        slots = self._slots(state["codes"].tolist())
        self._counts[slots] = state["counts"]

    def _slots(self, codes: list[int]) -> list[int]:
        slot, known = self._slot, len(self._slot)
        slots = [slot.setdefault(code, len(slot)) for code in codes]
        n = len(slot)
        if n > len(self._counts):
            room = max(n, 2 * len(self._counts)) - len(self._counts)
            self._y = np.pad(self._y, (0, room))
            self._prediction = np.pad(self._prediction, (0, room))
            self._counts = np.pad(self._counts, (0, room))
        if n > known:
            new = np.array(list(slot)[known:], np.int64)
            self._y[known:n], self._prediction[known:n] = unpair(new)
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
