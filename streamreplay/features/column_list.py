"""The columns of a table: their kinds, and their places in packed rows."""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from dataclasses import asdict
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.features import packed
from streamreplay.features.kinds import BLOCKS, Block, Column, ColumnKind
from streamreplay.state import State

__all__ = ["ColumnList"]

_BLOCKS: tuple[Block, ...] = ("number", "time", "category", "text")


@final
class ColumnList:
    """The columns of a table by name, in the order in which the stream showed them.

    A column may change its kind: then it gets a place in another block, and its old one stays.

    Examples
    --------
    >>> columns = ColumnList()
    >>> columns.put("size", "number").place, columns.put("colour", "category").place
    (0, 0)
    >>> columns.names, columns["size"].kind, len(columns)
    (['size', 'colour'], 'number', 2)
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all columns."""
        self._by_name: dict[str, Column] = {}
        self._places: dict[Block, int] = dict.fromkeys(_BLOCKS, 0)  # given out in each block
        self._names: list[str] = []
        self._order: NDArray[np.int64] | None = None  # of columns, among those of `has_values`

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Column]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    def get(self, name: str) -> Column | None:
        """Return a column; None if there is no such one."""
        return self._by_name.get(name)

    def absent(self, names: KeysView[str]) -> set[str]:
        """Return the names of columns that are learned from and not among some."""
        return {name for name in self._by_name.keys() - names if self[name].place >= 0}

    @property
    def names(self) -> list[str]:
        """The columns that are learned from, in order; the same object until one is added."""
        found = [column.name for column in self if column.place >= 0]
        if found != self._names:
            self._names = found
        return self._names

    @property
    def names_by_kind(self) -> dict[str, list[str]]:
        """The columns that are learned from, by kind."""
        kinds = {kind: [c.name for c in self if c.kind == kind] for kind in BLOCKS}
        return {kind: names for kind, names in kinds.items() if names}

    @property
    def left_out(self) -> dict[str, str]:
        """The columns that are not learned from, each with the reason."""
        return {column.name: column.reason for column in self if column.place < 0}

    def put(self, name: str, kind: ColumnKind, anchor: float = 0.0, reason: str = "") -> Column:
        """Add a column, or change its kind; it gets the next place in the block of its kind."""
        place = -1 if kind == "ignored" else self._places[BLOCKS[kind]]
        reason = reason or ("declared ignored" if place < 0 else "")
        column = self._by_name[name] = Column(name, kind, place, anchor, reason)
        if place >= 0:
            self._places[BLOCKS[kind]] += 1
        self._order = None
        return column

    def packed_type(self, text_width: int) -> np.dtype[np.void]:
        """Return the type of packed rows."""
        return packed.packed_type(**self._places, width=text_width)

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Which columns are learned from: bool[columns]."""
        return self._in_blocks() >= 0

    def present(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where columns have a value in packed rows: bool[n, columns]."""
        return packed.has_values(x)[:, self._in_blocks()]

    def _in_blocks(self) -> NDArray[np.int64]:
        """Return the place of each column among those of all blocks; -1 if it is not learned."""
        if self._order is None:
            ends = np.cumsum([self._places[block] for block in _BLOCKS]).tolist()
            begin = dict(zip(_BLOCKS, [0, *ends], strict=False))
            places = [begin[BLOCKS[c.kind]] + c.place if c.place >= 0 else -1 for c in self]
            self._order = np.array(places, np.int64)
        return self._order

    def state_dict(self) -> State:
        """Return the columns and the places given out."""
        return {"columns": [asdict(column) for column in self], "places": dict(self._places)}

    def load_state_dict(self, state: State) -> None:
        """Load a state."""
        self.clear()
        self._by_name = {saved["name"]: Column(**saved) for saved in state["columns"]}
        self._places = dict(state["places"])
