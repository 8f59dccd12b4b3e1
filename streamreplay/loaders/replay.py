"""The replay loader: each batch has rows of current data and rows of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

from streamreplay.loaders.base import PlannedDataLoader
from streamreplay.loaders.data import LoaderData, open_source, tasks_of
from streamreplay.loaders.dealing import Deal, deal_endless, deal_once, deal_spread
from streamreplay.loaders.plans import Plan, RowGroup, by_task, numbered, positive
from streamreplay.randomness import Seed


@final
class ReplayDataLoader(PlannedDataLoader):
    """Batches of current data, each followed by rows of memory.

    An epoch goes through the current data once, and through memory in as many shuffled passes as
    that takes, so every batch replays, up to the last. A batch holds a row of memory twice only if
    a pass ends inside it. Without memory, or with an empty one, batches are current data alone.

    Parameters
    ----------
    data : dataset
        The current data; as one of the datasets of `GroupBalancedDataLoader`.
    memory : dataset or None
        The rows to replay: a buffer's ``buffer``, or any dataset whose samples fit the data. Its
        rows are read in place, some batches ahead; when a buffer has changed, make a new loader.
    oversample_small_tasks : bool
        What happens to a part with fewer rows than its size. False: memory smaller than
        ``batch_size_mem`` gives each of its rows to every batch, and later batches have no rows of
        tasks of the current data that have ended. True: these start over, so that parts are always
        full.
    batch_size : int or dict of int to int
        Current rows in a batch; or the number for each task, and then an epoch is as long as the
        task that takes the most batches.
    batch_size_mem : int
        Memory rows in a batch.
    task_balanced_dataloader : bool
        Share the memory rows equally among the tasks in memory, the odd ones in turn; False draws
        from memory as a whole.
    distributed_sampling : bool
        As for `GroupBalancedDataLoader`.
    task_labels, memory_task_labels : array_like of int [n], optional
        The task of each row; replaces the tasks of data and memory.
    shuffle : bool
        Put rows in a new random order in each pass through a part.
    drop_last : bool
        Leave out a short last batch of current data. Memory is never left out for being small: with
        ``drop_last`` all parts are full, as if ``oversample_small_tasks`` were True.
    provenance : bool
        Yield ``(batch, Provenance)``, which marks the memory rows; ``group`` is a row's task in a
        part that is dealt by task, and -1 in others.
    seed, **kwargs
        As for `GroupBalancedDataLoader`.

    Raises
    ------
    TypeError, ValueError
        As for `GroupBalancedDataLoader`; also ValueError if tasks are needed and not there, or one
        of them has no batch size.

    Examples
    --------
    >>> import numpy as np
    >>> loader = ReplayDataLoader(
    ...     np.arange(6), np.arange(100, 103), batch_size=4, batch_size_mem=2, shuffle=False
    ... )
    >>> [batch.tolist() for batch in loader]
    [[0, 1, 2, 3, 100, 101], [4, 5, 102, 100]]
    """

    SETTINGS = (
        "batch_size",
        "batch_size_mem",
        "drop_last",
        "oversample_small_tasks",
        "task_balanced_dataloader",
    )

    def __init__(  # noqa: PLR0913 - Avalanche's parameters, and torch's
        self,
        data: Any,
        memory: Any = None,
        oversample_small_tasks: bool = False,  # noqa: FBT001, FBT002 - as in Avalanche
        batch_size: int | Mapping[int, int] = 32,
        batch_size_mem: int = 32,
        task_balanced_dataloader: bool = False,  # noqa: FBT001, FBT002 - as in Avalanche
        distributed_sampling: bool = True,  # noqa: FBT001, FBT002 - as in Avalanche
        *,
        task_labels: Any = None,
        memory_task_labels: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        provenance: bool = False,
        seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        self.data = data
        self.memory = memory
        self.batch_size = batch_size
        self.batch_size_mem = positive("batch_size_mem", batch_size_mem)
        self.drop_last = drop_last
        self.oversample_small_tasks = oversample_small_tasks
        self.task_balanced_dataloader = task_balanced_dataloader
        full = oversample_small_tasks or drop_last
        source = open_source("data", data)
        sources = [source]
        groups, deals = _current(source, batch_size, task_labels, full=full)
        stored = None if memory is None else open_source("memory", memory)
        if stored is not None and stored.size:
            sources.append(stored)
            more = _memory(stored, memory_task_labels, by_tasks=task_balanced_dataloader)
            deals += _replayed(numbered(more, len(groups)), self.batch_size_mem, full=full)
            groups += more
        super().__init__(
            sources,
            Plan(groups, deals, seed, shuffle=shuffle, drop_last=drop_last),
            provenance=provenance,
            distributed_sampling=distributed_sampling,
            options=kwargs,
        )


def _current(
    source: LoaderData, batch_size: int | Mapping[int, int], task_labels: Any, *, full: bool
) -> tuple[list[RowGroup], list[Deal]]:
    """Deal current data, as a whole or each task by itself, as the batch size says."""
    if not source.size:
        raise ValueError(f"{source.name} must have rows, got none")
    if not isinstance(batch_size, Mapping):
        size = positive("batch_size", batch_size)
        return [RowGroup(source.size, 0)], [deal_once([0], [source.size], size)]
    return _current_by_task(source, batch_size, task_labels, full=full)


def _current_by_task(
    source: LoaderData, batch_size: Mapping[int, int], task_labels: Any, *, full: bool
) -> tuple[list[RowGroup], list[Deal]]:
    """Deal each task of the current data by itself."""
    groups = by_task(source, tasks_of(source, task_labels))
    missing = [group.label for group in groups if group.label not in batch_size]
    if missing:
        raise ValueError(f"batch_size has no entry for task {missing[0]} of {source.name}")
    sizes = [positive(f"batch_size[{g.label}]", batch_size[g.label]) for g in groups]
    batches = [-(-group.size // size) for group, size in zip(groups, sizes, strict=True)]
    deals = [
        (deal_endless if full and n < max(batches) else deal_once)([i], [group.size], size)
        for i, (group, size, n) in enumerate(zip(groups, sizes, batches, strict=True))
    ]
    return groups, deals


def _memory(source: LoaderData, task_labels: Any, *, by_tasks: bool) -> list[RowGroup]:
    groups = (
        by_task(source, tasks_of(source, task_labels)) if by_tasks else [RowGroup(source.size, 0)]
    )
    return [replace(group, source=1, is_memory=True) for group in groups]


def _replayed(groups: tuple[list[int], list[int]], size: int, *, full: bool) -> list[Deal]:
    return [deal_endless(*groups, size)] if full else deal_spread(*groups, size)
