"""Finding the rows to forget: those with given ids, or those that a function selects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import Batch


def rows_to_forget(
    stored: Batch, ids: ArrayLike | None, where: Callable[[Batch], ArrayLike] | None
) -> NDArray[np.bool_]:
    """Return which rows ``where`` names, or have one of the ``ids`` if it is None: bool[n].

    Raises
    ------
    ValueError
        ``where`` returns another shape, or rows have no ids.
    TypeError
        ``where`` does not return booleans, or the ids are not integers or strings.
    """
    if where is None:
        return have_ids(stored.id, np.atleast_1d(np.asarray(ids)))
    mask = np.asarray(where(stored))
    if mask.dtype != np.bool_:
        raise TypeError(f"where must return booleans, got {mask.dtype}")
    if mask.shape != (len(stored),):
        raise ValueError(f"where must return bool[{len(stored)}], got shape {mask.shape}")
    return mask


def have_ids(stored: NDArray[Any] | None, ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which stored rows have one of the ids: bool[n].

    Rows without a name, "" or -1, are not found by it.

    Raises
    ------
    ValueError
        Rows have no ids.
    TypeError
        The ids are not integers or strings.

    >>> have_ids(np.array([3, -1, 4]), np.array([4, -1])).tolist()
    [False, False, True]
    """
    if stored is None:
        raise ValueError("rows have no ids: name their field (source.id), or use where")
    if ids.dtype.kind not in "iuU" and ids.size:  # a set, floats: nothing would be found
        raise TypeError(f"ids must be integers or strings, got {ids.dtype}")
    if ids.dtype.kind != "U":
        ids = ids.astype(np.int64)  # as `Batch` has them; uint64 would be compared as floats
    if (stored.dtype.kind == "U") != (ids.dtype.kind == "U"):
        stored, ids = stored.astype(str), ids.astype(str)
    nameless = "" if stored.dtype.kind == "U" else -1
    found: NDArray[np.bool_] = np.isin(stored, ids) & (stored != nameless)
    return found
