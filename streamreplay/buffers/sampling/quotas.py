"""Quotas: the number of slots of each group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def deal_slots(
    available: NDArray[np.int64], priority: NDArray[np.float64], max_size: int
) -> NDArray[np.int64]:
    """Deal slots to groups in rounds; return each group's quota: int64[groups].

    In each round the group with the lowest priority comes first; of equal ones the later group,
    since it is the first to give up a row when rows are stored one at a time.

    >>> deal_slots(np.array([1000, 3]), np.array([0.5, 0.1]), 100).tolist()
    [97, 3]
    >>> deal_slots(np.array([9, 9, 9]), np.array([0.5, 0.1, 0.9]), 10).tolist()
    [3, 4, 3]
    """
    if available.sum() <= max_size:
        return available.copy()
    order = np.sort(available)
    # rounds that all fit: the largest level with sum(min(available, level)) <= max_size
    below = np.cumsum(order) - order
    fits = below + order * np.arange(len(order), 0, -1) <= max_size
    full = int(np.count_nonzero(fits))  # the smallest groups, which get all they have
    given = int(below[full]) if full < len(order) else int(order.sum())
    level = (max_size - given) // (len(order) - full)
    quotas = np.minimum(available, level)
    more = np.flatnonzero(available > level)[::-1]
    extra = max_size - int(quotas.sum())
    quotas[more[np.argsort(priority[more], kind="stable")[:extra]]] += 1
    return quotas
