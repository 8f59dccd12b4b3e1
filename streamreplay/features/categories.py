"""The categories of one column: an open vocabulary, bounded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.state import Fields, Kind

__all__ = ["HASHED", "NO_CATEGORY", "Categories"]

NO_CATEGORY = -1
"""The code of a row without a category."""

HASHED = 1024
"""Codes that all categories share, by their hash, which come after a table is full."""


def _load_names(_name: str, live: list[str], saved: list[str]) -> list[str]:
    live[:] = saved
    return live


@final
class Categories:
    """The code of each category, in the order in which the stream shows them.

    A table that is full gives later categories one of 1,024 codes by their hash, so that memory is
    bounded; several categories may then have one code.

    Parameters
    ----------
    most : int
        Categories that have a code of their own.

    Attributes
    ----------
    hashed : int
        Rows so far whose category came after the table was full.

    Examples
    --------
    >>> colours = Categories(2)
    >>> colours.codes(["red", None, "blue", "red", "green"]).tolist()
    [0, -1, 1, 0, 547]
    >>> colours.name(1), colours.name(547), colours.hashed
    ('blue', '#545', 1)
    """

    STATE: ClassVar = Fields(
        names=Kind(list, _load_names),
        hashed=int,
    )

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self.names: list[str] = []
        self.hashed = 0
        self._index: dict[str | None, int] = {None: NO_CATEGORY}

    def __len__(self) -> int:
        return len(self.names)

    def codes(self, texts: Sequence[str | None]) -> NDArray[np.int32]:
        """Return the code of each category, int32[n], and give new ones a code."""
        index = self._indexed()
        try:
            found = list(map(index.__getitem__, texts))
        except KeyError:
            found = [self._code(text) for text in texts]
        return np.array(found, np.int32)

    def known_codes(self, texts: Sequence[str | None]) -> NDArray[np.int32]:
        """Return what `codes` does, but give no code to new categories: they share those by hash.

        Such a code means nothing to a learner while the table is not full.
        """
        index = self._indexed()
        return np.array([index.get(text, self._hashed(text)) for text in texts], np.int32)

    def name(self, code: int) -> str | None:
        """Return the category of a code; its hash if it came after the table was full."""
        if code < 0:
            return None
        return self.names[code] if code < len(self.names) else f"#{code - self.most}"

    def names_of(self, codes: NDArray[np.int32]) -> NDArray[np.object_]:
        """Return the category of each code, [n]; None for those missing."""
        return np.array([self.name(code) for code in codes.tolist()], np.object_)

    def _indexed(self) -> dict[str | None, int]:
        if len(self._index) != len(self.names) + 1:  # names were loaded
            self._index = {None: NO_CATEGORY, **{name: i for i, name in enumerate(self.names)}}
        return self._index

    def _code(self, text: str | None) -> int:
        known = self._index.get(text)
        if known is not None:
            return known
        text = text or ""
        if len(self.names) >= self.most:
            self.hashed += 1
            return self._hashed(text)
        self._index[text] = len(self.names)
        self.names.append(text)
        return self._index[text]

    def _hashed(self, text: str | None) -> int:
        return self.most + zlib.crc32((text or "").encode()) % HASHED
