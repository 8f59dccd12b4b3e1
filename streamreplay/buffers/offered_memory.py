"""The memory that a buffer offers with a batch, which it stores only afterwards."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, GroupBy
from streamreplay.buffers.storage.column_store import ColumnStore
from streamreplay.columns import Ints
from streamreplay.errors import ConfigError
from streamreplay.groups import GroupIndex


@final
class OfferedMemory:
    """The stored rows, and the incoming rows that the buffer has not stored yet.

    Parameters
    ----------
    store : ColumnStore
    incoming : Batch
        Gives the shape of rows if none was ever stored.
    pending : Batch or None
        The incoming rows that may be stored; None for held-out rows.
    """

    __slots__ = ("_pending", "_store", "stored")

    def __init__(self, store: ColumnStore, incoming: Batch, pending: Batch | None) -> None:
        self.stored = store.memory(incoming)
        self._store = store
        self._pending = pending

    def groups(self, by: GroupBy) -> GroupIndex:
        """Return which of the stored rows belong to which class, task or experience."""
        return self._store.groups(by)

    def replayed(self, rows: Ints) -> None:
        """Count stored rows as rehearsed, each as often as it is named."""
        self._store.count_replays(rows)

    def note(self, name: str, values: NDArray[np.float32]) -> None:
        """Keep values with the pending rows."""
        pending = self._pending
        if pending is None:
            raise ValueError(f"note {name!r}: rows that were taken in already cannot be noted on")
        if pending.notes and name in pending.notes:
            raise ConfigError(
                f"note {name!r} is on these rows already: two learners that note the same need a "
                "buffer each"
            )
        if len(values) != len(pending):
            raise ValueError(f"note {name!r} must have {len(pending)} rows, got {len(values)}")
        self._pending = pending.with_note(name, values)

    def take_pending(self) -> Batch | None:
        """Return the rows that are still to be stored, once."""
        pending, self._pending = self._pending, None
        return pending
