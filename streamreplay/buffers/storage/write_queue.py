"""Rows of a batch that have been given a slot, copied together."""

from __future__ import annotations

from typing import final

from streamreplay.batch import Batch
from streamreplay.buffers.storage.column_store import ColumnStore


@final
class WriteQueue:
    """Collects slots and rows, and writes them in one call."""

    def __init__(self, store: ColumnStore, batch: Batch) -> None:
        self._store, self._batch = store, batch
        self._slots: list[int] = []
        self._rows: list[int] = []

    def add(self, slot: int, row: int) -> None:
        """Remember that a row of the batch belongs in a slot."""
        self._slots.append(slot)
        self._rows.append(row)

    def flush(self) -> None:
        """Write the rows added since the last call."""
        self._store.write_each(self._slots, self._batch, self._rows)
        self._slots.clear()
        self._rows.clear()
