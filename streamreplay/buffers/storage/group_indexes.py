"""Indexes of stored rows by group, rebuilt only when a slot has changed its group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.groups import GroupIndex

__all__ = ["GroupIndexes"]


@final
class GroupIndexes:
    """A `GroupIndex` for each way of grouping that was asked for."""

    def __init__(self) -> None:
        self._indexes: dict[GroupBy, GroupIndex | None] = {}  # None: out of date

    def __bool__(self) -> bool:
        """Return whether an index was ever asked for since the last `clear`."""
        return bool(self._indexes)

    def of(self, columns: Mapping[str, NDArray[Any]], size: int, by: GroupBy) -> GroupIndex:
        """Return which of the first ``size`` slots belong to which group."""
        index = self._indexes.get(by)
        if index is None:
            if not columns:
                return GroupIndex.of(np.empty(0, np.int64))
            index = GroupIndex.of(columns[GROUP_COLUMNS[by]][:size])
            self._indexes[by] = index
        return index

    def overwrite(
        self,
        columns: Mapping[str, NDArray[Any]],
        slots: NDArray[np.int64],
        batch: Batch,
        rows: NDArray[np.int64],
    ) -> None:
        """Drop indexes that do not hold once rows of a batch are written into slots."""
        for by, index in self._indexes.items():
            name = GROUP_COLUMNS[by]
            if index is not None and (
                not np.array_equal(columns[name][slots], getattr(batch, name)[rows])
            ):
                self._indexes[by] = None

    def expire(self) -> None:
        """Drop all indexes: there are more or fewer rows."""
        for by in self._indexes:
            self._indexes[by] = None

    def clear(self) -> None:
        """Forget which indexes were asked for."""
        self._indexes.clear()
