"""`Memory`: the stored rows that a buffer offers with each batch, and the way back to it."""

from __future__ import annotations

from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.groups import GroupIndex

__all__ = ["FixedMemory", "Memory", "empty_memory"]


class Memory(Protocol):
    """The stored rows that may be rehearsed with an incoming batch.

    This is the only way from a mixer or a learner back to the buffer. A buffer answers at once, so
    every ``next()`` stays a safe point.
    """

    @property
    def stored(self) -> Batch:
        """Every stored row, as views that hold until the buffer is pulled again."""
        ...

    def groups(self, by: GroupBy) -> GroupIndex:
        """Return which of the stored rows belong to which class, task or experience."""
        ...

    def replayed(self, rows: NDArray[np.int64]) -> None:
        """Count stored rows as rehearsed, each as often as int64[...] names it.

        The stage that decides which rows are rehearsed calls this: the mixer, or the learner if it
        chooses among candidates.
        """
        ...

    def note(self, name: str, values: NDArray[np.float32]) -> None:
        """Keep float32[n, ...] with the incoming rows; it comes back as ``stored.notes[name]``.

        Raises
        ------
        ValueError
            There are not as many values as learnable incoming rows, or the buffer has stored
            these rows already.
        ConfigError
            These rows have a note of this name already.
        """
        ...


@final
class FixedMemory:
    """Rows that belong to no buffer: nothing is counted, and notes are dropped.

    Parameters
    ----------
    stored : Batch

    Examples
    --------
    >>> memory = FixedMemory(Batch.from_arrays([[1.0], [2.0], [3.0]], [7, 3, 7]))
    >>> memory.groups("class").ids.tolist()
    [3, 7]
    """

    __slots__ = ("stored",)

    def __init__(self, stored: Batch) -> None:
        self.stored = stored

    def groups(self, by: GroupBy) -> GroupIndex:
        """Return which of the rows belong to which class, task or experience."""
        return GroupIndex.of(getattr(self.stored, GROUP_COLUMNS[by]))

    def replayed(self, rows: NDArray[np.int64]) -> None:
        """Do nothing."""

    def note(self, name: str, values: NDArray[np.float32]) -> None:
        """Do nothing."""


def empty_memory(like: Batch) -> FixedMemory:
    """Return a memory of no rows, for rows shaped like those of a batch."""
    return FixedMemory(like.take(slice(0, 0)))
