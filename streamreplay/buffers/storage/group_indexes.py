"""Indexes of stored rows by group, rebuilt only when a slot has changed its group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.columns import Ints
from streamreplay.groups import GroupIndex


@final
class GroupIndexes:
    """A `GroupIndex` for each way of grouping that was asked for."""

    def __init__(self) -> None:
        self.asked: dict[GroupBy, GroupIndex | None] = {}
        """The indexes asked for since the last `clear`; None for one that is out of date."""

    def of(self, columns: Mapping[str, NDArray[Any]], size: int, by: GroupBy) -> GroupIndex:
        """Return which of the first ``size`` slots belong to which group."""
        index = self.asked.get(by)
        if index is None:
            if not columns:
                return GroupIndex.of(np.empty(0, np.int64))
            index = GroupIndex.of(columns[GROUP_COLUMNS[by]][:size])
            self.asked[by] = index
        return index

    def overwrite(
        self,
        columns: Mapping[str, NDArray[Any]],
        slots: Ints,
        batch: Batch,
        rows: Ints,
    ) -> None:
        """Drop indexes that do not hold once rows of a batch are written into slots."""
        for by, index in self.asked.items():
            name = GROUP_COLUMNS[by]
            if index is not None and (
                not np.array_equal(columns[name][slots], getattr(batch, name)[rows])
            ):
                self.asked[by] = None

    def expire(self) -> None:
        """Drop all indexes: there are more or fewer rows."""
        for by in self.asked:
            self.asked[by] = None

    def clear(self) -> None:
        """Forget which indexes were asked for."""
        self.asked.clear()
