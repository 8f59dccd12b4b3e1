"""Groups of rows, and the plans that loaders make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.groups import GroupIndex
from streamreplay.loaders.data import LoaderData, open_source
from streamreplay.loaders.dealing import Deal, deal_cycled, deal_once
from streamreplay.loaders.plans import Plan, RowGroup


def balanced_plan(
    groups: list[RowGroup], batch_size: int, *, cycle: bool, drop_last: bool, plan: dict[str, Any]
) -> Plan:
    """Plan batches with an equal share of each group."""
    deal = (deal_cycled if cycle else deal_once)(*numbered(groups), batch_size)
    return Plan(groups, [deal], count_batches([deal], drop_last=drop_last), **plan)


def count_batches(deals: Sequence[Deal], *, drop_last: bool) -> int:
    """Return the batches of an epoch of the deals that have an end."""
    rows = [(deal.length, deal.per_batch) for deal in deals if deal.length is not None]
    batches = max(length // size if drop_last else -(-length // size) for length, size in rows)
    if not batches:
        raise ValueError(
            f"drop_last leaves no batch: {max(n for n, _ in rows)} rows are fewer than a batch of "
            f"{min(size for _, size in rows)}"
        )
    return batches


def open_datasets(datasets: Sequence[Any]) -> tuple[list[LoaderData], list[RowGroup]]:
    """Open datasets, and make a group of each that has rows."""
    opened = [open_source(f"datasets[{i}]", each) for i, each in enumerate(datasets)]
    if not any(source.size for source in opened):
        raise ValueError(f"datasets must have rows, got {len(opened)} without any")
    there = [(label, source) for label, source in enumerate(opened) if source.size]
    groups = [RowGroup(source.size, i, label=label) for i, (label, source) in enumerate(there)]
    return [source for _, source in there], groups


def by_task(source: LoaderData, tasks: NDArray[np.int64]) -> list[RowGroup]:
    """Make a group of the rows of each task."""
    if not source.size:
        raise ValueError(f"{source.name} must have rows, got none")
    index = GroupIndex.of(tasks)
    return [
        RowGroup(int(index.counts[i]), 0, index.rows(i), label=int(task))
        for i, task in enumerate(index.ids)
    ]


def numbered(groups: Sequence[RowGroup], first: int = 0) -> tuple[list[int], list[int]]:
    """Return the numbers of groups in their plan, and their sizes."""
    return list(range(first, first + len(groups))), [group.size for group in groups]


def positive(name: str, value: int) -> int:
    """Return a count of at least 1; raise ValueError naming the parameter otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)
