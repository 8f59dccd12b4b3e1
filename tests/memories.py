"""A memory without a buffer that keeps what it is told."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Batch, GroupBy
from streamreplay.groups import GroupIndex
from streamreplay.memory import FixedMemory

__all__ = ["RecordingMemory"]


@final
class RecordingMemory:
    """Fixed rows; `counted` has the rows of each call of `replayed`, `noted` the notes in order."""

    def __init__(self, stored: Batch) -> None:
        self.stored = stored
        self.counted: list[NDArray[np.int64]] = []
        self.noted: list[tuple[str, NDArray[np.float32]]] = []

    def groups(self, by: GroupBy) -> GroupIndex:
        return FixedMemory(self.stored).groups(by)

    def replayed(self, rows: NDArray[np.int64]) -> None:
        self.counted.append(rows)

    def note(self, name: str, values: NDArray[np.float32]) -> None:
        self.noted.append((name, values))
