"""What reading many records at once shares: the library that does it, and what is left out."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

__all__ = ["find_module", "others_of"]

_MOST_ODD = 0.125  # share of records that may be left out


def find_module(name: str) -> ModuleType | None:
    """Return a module of an extra; None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def others_of(odd: Sequence[int], n: int) -> list[int] | None:
    """Return the records, of n, that are not odd; None if no record is, or too many are.

    Examples
    --------
    >>> others_of([3], 8), others_of([], 8), others_of([0, 1], 8)
    ([0, 1, 2, 4, 5, 6, 7], None, None)
    """
    if not 0 < len(odd) <= _MOST_ODD * n:
        return None
    left_out = set(odd)
    return [i for i in range(n) if i not in left_out]
