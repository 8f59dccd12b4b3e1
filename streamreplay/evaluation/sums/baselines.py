"""The two predictors that any model of a stream has to beat: they use labels only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreplay.groups import GroupIndex
from streamreplay.state import Fields

_NO_LABEL = -2  # equals no label, and not the -1 of a row without one


class NoChange:
    """Predict the last label again; wrong before there is one.

    Examples
    --------
    >>> NoChange().hits(np.array([5, 5, 2, 2])).tolist()
    [False, True, False, True]
    """

    STATE = Fields(_last=int)

    def __init__(self) -> None:
        self._last = _NO_LABEL

    def hits(self, y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the next labels, int64[n], n >= 1, are predicted right, bool[n]."""
        hits = np.empty(len(y), np.bool_)
        hits[0] = y[0] == self._last
        np.equal(y[1:], y[:-1], out=hits[1:])
        self._last = int(y[-1])
        return hits


class Majority:
    """Predict the most frequent class so far; of equals, the class that reached the count first.

    Examples
    --------
    >>> y = np.array([5, 2, 2, 2, 5])
    >>> Majority().hits(y, GroupIndex.of(y), np.array([0, 0])).tolist()
    [False, False, False, True, False]
    """

    STATE = Fields(_leader=int, _count=int)

    def __init__(self) -> None:
        self._leader = _NO_LABEL
        self._count = 0  # rows of the leader

    def hits(
        self, y: NDArray[np.int64], index: GroupIndex, before: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which of the next labels are predicted right, bool[n].

        Parameters
        ----------
        y : int64[n], n >= 1
        index : GroupIndex
            Of `y`.
        before : int64[g]
            Rows of each class of the index before these.
        """
        n = len(y)
        rank = np.empty(n, np.int64)  # rows of the row's own class up to this one
        rank[index.order] = np.arange(1, n + 1) + np.repeat(before - index.starts, index.counts)
        most = np.maximum.accumulate(rank)
        np.maximum(most, self._count, out=most)
        # A row changes the leader only when its class gets ahead of every count before it.
        leads = np.empty(n, np.bool_)
        leads[0] = most[0] > self._count
        np.greater(most[1:], most[:-1], out=leads[1:])
        since = np.maximum.accumulate(np.where(leads, np.arange(n), -1))
        after = np.where(since < 0, self._leader, y[since])
        hits = np.empty(n, np.bool_)
        hits[0] = y[0] == self._leader
        np.equal(y[1:], after[:-1], out=hits[1:])
        self._leader, self._count = int(after[-1]), int(most[-1])
        return hits
