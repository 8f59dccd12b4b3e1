"""Loaders shaped like torch's, balanced over datasets or over the tasks of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from streamreplay.loaders.base import PlannedDataLoader
from streamreplay.loaders.data import open_source, tasks_of
from streamreplay.loaders.dealing import deal_cycled, deal_endless, deal_once
from streamreplay.loaders.plans import Plan, by_task, numbered, open_datasets, positive
from streamreplay.randomness import Seed


@final
class GroupBalancedDataLoader(PlannedDataLoader):
    """Batches with an equal share of each dataset.

    Rows are dealt one dataset after the other, round by round, and each ``batch_size`` of them are
    a batch; in it they lie by dataset. So shares differ by at most one, the odd rows go round, and
    with more datasets than rows in a batch each is served within ``ceil(datasets / batch_size)``
    batches. A dataset without rows leaves its share to the others.

    Iterating again begins a new epoch, with a new order. Every epoch is a function of the seed:
    the same with any number of workers, and no global random generator is read or moved.

    Parameters
    ----------
    datasets : sequence of datasets
        Each a map-style dataset, a `Batch` (rows are ``x, y, task``), a tensor or array, or a tuple
        of them. Columns are gathered a batch at a time and yield a list of tensors, also for
        `torch.utils.data.TensorDataset` and `torch.utils.data.Subset` of these; they are read in
        place, never copied. Other datasets are asked for samples, by ``__getitems__`` if they have
        it, which are collated by the ``collate_fn`` given, by their own, or by torch's.
    oversample_small_groups : bool
        False deals every row once: a dataset that has ended leaves its share to the others, so that
        no batch but the last is short, and late ones hold rows of the larger datasets only.
        True deals until the largest dataset was dealt once, and starts the smaller ones over; the
        last batch is filled from the smaller ones, and is short only if all are of one size.
    batch_size : int
        Rows of a batch, over all datasets.
    distributed_sampling : bool
        Under `torch.distributed`, give each rank every n-th batch of the epoch. Ranks have the same
        number of batches; those that would have one less take the epoch's first ones again.
    shuffle : bool
        Put rows in a new random order in each pass through a dataset.
    drop_last : bool
        Leave a short last batch out.
    provenance : bool
        Yield ``(batch, Provenance)``: which dataset each row is from, and its place in it.
    seed : int or numpy.random.SeedSequence
    **kwargs
        For `torch.utils.data.DataLoader`: workers, pinning, ``collate_fn`` and the like.

    Raises
    ------
    TypeError
        A dataset has no rows to ask for by number, or an option is not torch's, or one that the
        loader decides itself.
    ValueError
        There are no rows, not one full batch of them with ``drop_last``, or datasets do not fit
        together.

    Examples
    --------
    >>> import numpy as np
    >>> groups = [np.arange(10), np.arange(10, 14), np.arange(14, 16)]
    >>> [len(batch) for batch in GroupBalancedDataLoader(groups, batch_size=8)]
    [8, 8]
    >>> loader = GroupBalancedDataLoader(groups, True, batch_size=8, shuffle=False)
    >>> next(iter(loader)).tolist()
    [0, 1, 2, 10, 11, 12, 14, 15]
    """

    SETTINGS = ("batch_size", "drop_last", "oversample_small_groups")

    def __init__(
        self,
        datasets: Sequence[Any],
        oversample_small_groups: bool = False,  # noqa: FBT001, FBT002 - as in Avalanche
        batch_size: int = 32,
        distributed_sampling: bool = True,  # noqa: FBT001, FBT002 - as in Avalanche
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        provenance: bool = False,
        seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        self.datasets = list(datasets)
        self.batch_size = positive("batch_size", batch_size)
        self.drop_last = drop_last
        self.oversample_small_groups = oversample_small_groups
        sources, groups = open_datasets(self.datasets)
        deal_groups = deal_cycled if oversample_small_groups else deal_once
        deal = deal_groups(*numbered(groups), self.batch_size)
        super().__init__(
            sources,
            Plan(groups, [deal], seed, shuffle=shuffle, drop_last=drop_last),
            provenance=provenance,
            distributed_sampling=distributed_sampling,
            options=kwargs,
        )


@final
class GroupBalancedInfiniteDataLoader(PlannedDataLoader):
    """Batches with an equal share of each dataset, without end.

    **Here, and only here, batch_size counts rows of each dataset**, as it does in Avalanche: a
    batch has ``len(datasets) * batch_size`` rows. A dataset without rows leaves its share to the
    others. There is no ``len``; every batch is full; the state stays a few numbers, however long
    it runs.

    Parameters
    ----------
    datasets : sequence of datasets
        As for `GroupBalancedDataLoader`.
    batch_size : int
        Rows of each dataset in a batch.
    distributed_sampling : bool
        Under `torch.distributed`, give each rank every n-th batch.
    shuffle, provenance, seed, **kwargs
        As for `GroupBalancedDataLoader`.
    drop_last : bool
        Means nothing here: no batch is short.

    Raises
    ------
    TypeError, ValueError
        As for `GroupBalancedDataLoader`; also `len` raises TypeError.

    Examples
    --------
    >>> import numpy as np
    >>> loader = GroupBalancedInfiniteDataLoader([np.arange(3), np.arange(3, 8)], batch_size=2)
    >>> sum(len(batch) for batch, _ in zip(loader, range(100)))
    400
    """

    SETTINGS = ("batch_size",)

    def __init__(
        self,
        datasets: Sequence[Any],
        batch_size: int = 32,
        distributed_sampling: bool = True,  # noqa: FBT001, FBT002 - as in Avalanche
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        provenance: bool = False,
        seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        self.datasets = list(datasets)
        self.batch_size = positive("batch_size", batch_size)
        self.drop_last = drop_last
        sources, groups = open_datasets(self.datasets)
        deal = deal_endless(*numbered(groups), self.batch_size * len(self.datasets))
        super().__init__(
            sources,
            Plan(groups, [deal], seed, shuffle=shuffle),
            provenance=provenance,
            distributed_sampling=distributed_sampling,
            options=kwargs,
        )


@final
class TaskBalancedDataLoader(PlannedDataLoader):
    """Batches with an equal share of each task of one dataset.

    `GroupBalancedDataLoader` with the rows of each task as a group; tasks in ascending order.

    Parameters
    ----------
    data : dataset
        As one of those of `GroupBalancedDataLoader`. Tasks are a `Batch`'s ``task``, or a dataset's
        ``targets_task_labels``, also that of the dataset of a `torch.utils.data.Subset`.
    batch_size : int
        Rows of a batch, over all tasks.
    oversample_small_groups, distributed_sampling
        As for `GroupBalancedDataLoader`.
    task_labels : array_like of int [n], optional
        The task of each row, instead of what the data says.
    shuffle, drop_last, provenance, seed, **kwargs
        As for `GroupBalancedDataLoader`; in `Provenance`, ``group`` is a row's task.

    Raises
    ------
    TypeError, ValueError
        As for `GroupBalancedDataLoader`, and ValueError if the data has no tasks.

    Examples
    --------
    >>> from streamreplay.batch import Batch
    >>> data = Batch.from_arrays([[float(i)] for i in range(8)], task=[0, 0, 0, 0, 0, 0, 1, 1])
    >>> x, y, task = next(iter(TaskBalancedDataLoader(data, batch_size=4)))
    >>> task.tolist()
    [0, 0, 1, 1]
    """

    SETTINGS = ("batch_size", "drop_last", "oversample_small_groups")

    def __init__(  # noqa: PLR0913 - Avalanche's parameters, and torch's
        self,
        data: Any,
        batch_size: int = 32,
        oversample_small_groups: bool = False,  # noqa: FBT001, FBT002 - as in Avalanche
        distributed_sampling: bool = True,  # noqa: FBT001, FBT002 - as in Avalanche
        *,
        task_labels: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        provenance: bool = False,
        seed: Seed = 0,
        **kwargs: Any,
    ) -> None:
        self.data = data
        self.batch_size = positive("batch_size", batch_size)
        self.drop_last = drop_last
        self.oversample_small_groups = oversample_small_groups
        source = open_source("data", data)
        groups = by_task(source, tasks_of(source, task_labels))
        deal_groups = deal_cycled if oversample_small_groups else deal_once
        deal = deal_groups(*numbered(groups), self.batch_size)
        super().__init__(
            [source],
            Plan(groups, [deal], seed, shuffle=shuffle, drop_last=drop_last),
            provenance=provenance,
            distributed_sampling=distributed_sampling,
            options=kwargs,
        )
