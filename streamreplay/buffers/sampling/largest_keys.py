"""The largest of many keys, found without sorting all of them."""

from __future__ import annotations

import numpy as np

from streamreplay.columns import Floats, Ints

_MOST = 1 << 15  # keys found at most
_SAMPLED = 1 << 16  # keys compared to estimate where the largest begin


def find_largest(keys: Floats) -> Ints:
    """Return the places of about the largest sixteenth of the keys, smallest of them first.

    Of equal keys the one in the last place comes last.

    >>> find_largest(np.array([0.5, 0.9, 0.1, 0.9])).tolist()
    [2, 0, 1, 3]
    """
    n = len(keys)
    k = min(max(32, n // 16), _MOST)
    top = np.arange(n)
    if k < n:
        few = keys[:: 1 + n // _SAMPLED]  # enough to tell where the largest k begin, nearly
        more = max(1, len(few) * k // n)
        top = np.flatnonzero(keys >= np.partition(few, len(few) - more)[len(few) - more])
    order = np.argsort(keys[top], kind="stable")[-k:]
    return top[order]
