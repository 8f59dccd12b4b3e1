"""Finding the rows to forget: those with given ids, or those that a function selects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamreplay.batch import Batch
from streamreplay.columns import as_text


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
        return have_ids(stored.id, () if ids is None else ids)
    mask = np.asarray(where(stored))
    if mask.dtype != np.bool_:
        raise TypeError(f"where must return booleans, got {mask.dtype}")
    if mask.shape != (len(stored),):
        raise ValueError(f"where must return bool[{len(stored)}], got shape {mask.shape}")
    return mask


def have_ids(stored: NDArray[np.str_] | None, ids: ArrayLike) -> NDArray[np.bool_]:
    """Return which stored rows have one of the ids: bool[n].

    An integer stands for its decimal digits. "", of rows without an id, finds none.

    Raises
    ------
    ValueError
        Rows have no ids.
    TypeError
        The ids are not integers or strings.

    >>> have_ids(np.array(["3", "", "4"]), [4, ""]).tolist()
    [False, False, True]
    """
    if stored is None:
        raise ValueError("rows have no ids: name their field (source.id), or use where")
    found: NDArray[np.bool_] = np.isin(stored, as_text("ids", ids)) & (stored != "")
    return found
