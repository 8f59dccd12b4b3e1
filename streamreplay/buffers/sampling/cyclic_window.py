"""A full window of the latest rows, whose slots are written round and round."""

from __future__ import annotations

from typing import final

import numpy as np

from streamreplay.batch import Batch
from streamreplay.buffers.sampling.grouped_slots import GroupedSlots

_UNKNOWN, _SCATTERED = -1, -2


@final
class CyclicWindow:
    """Overwrites the oldest rows of a full window, as long as rows lie in the order they came in.

    Parameters
    ----------
    slots : GroupedSlots
        One group; a row's key is minus its number.
    """

    def __init__(self, slots: GroupedSlots) -> None:
        self._slots = slots
        self._oldest = _UNKNOWN  # the slot whose row the window gives up next

    def forget(self) -> None:
        """Find the oldest row again at the next call: rows have moved."""
        self._oldest = _UNKNOWN

    def turn_over(self, batch: Batch, start: int = 0) -> bool:
        """Overwrite the oldest rows with those of a batch from ``start`` on.

        Returns False and does nothing if rows lie in no order, since some were deleted in between.
        """
        if self._oldest == _UNKNOWN:
            self._oldest = self._find_oldest()
        if self._oldest == _SCATTERED:
            return False
        slots, key = self._slots, self._slots.key
        size, n, now = slots.size, len(batch) - start, slots.clock.rows + start + 1
        gone = max(0, n - size)  # rows that will have been overwritten by the end
        slots.groups.seen[0] += n
        # as everywhere, the key of the row that was the last to go
        last = key[(self._oldest + n - 1) % size]
        slots.groups.threshold[0] = float(1 - now - gone if gone else last)
        row, slot = gone, (self._oldest + gone) % size
        while row < n:
            k = min(n - row, size - slot)
            key[slot : slot + k] = -now - row if k == 1 else -np.arange(row, row + k) - now
            slots.store.write_run(slot, batch, start + row, k)
            row, slot = row + k, 0
        self._oldest = (self._oldest + n) % size
        return True

    def _find_oldest(self) -> int:
        keys = self._slots.key[: self._slots.size]
        oldest = int(keys.argmax())
        falling = np.diff(np.roll(keys, -oldest)) < 0
        return oldest if falling.all() else _SCATTERED
