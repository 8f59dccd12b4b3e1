"""The sources of a loader: datasets, batches and arrays behind one interface."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, Subset, TensorDataset

from streamreplay.batch import Batch
from streamreplay.columns import Ints


@dataclass(frozen=True, slots=True, eq=False)
class LoaderData:
    """A dataset, with its columns if it consists of columns only.

    Attributes
    ----------
    name : str
        How messages call it.
    data : object
        What was given.
    size : int
        Its rows.
    columns : tuple of torch.Tensor or None
        ``[n, ...]`` each, or None for a dataset whose rows only it can make.
    index : int64[size] or None
        Which rows of the columns; None for all, in order.
    bare : bool
        Whether a row is a tensor, and not a tuple of one for each column.
    """

    name: str
    data: Any
    size: int
    columns: tuple[torch.Tensor, ...] | None = None
    index: Ints | None = None
    bare: bool = False

    def samples(self, rows: Ints) -> list[Any]:
        """Return rows one by one, as the dataset gives them."""
        if self.columns is None:
            wanted = rows.tolist()
            batched = getattr(self.data, "__getitems__", None)
            if batched is not None:
                return list(batched(wanted))
            return [self.data[row] for row in wanted]
        places = (rows if self.index is None else self.index[rows]).tolist()
        if self.bare:
            return [self.columns[0][place] for place in places]
        return [tuple(column[place] for column in self.columns) for place in places]


def open_source(name: str, data: Any) -> LoaderData:
    """Return a dataset as a source, with its columns if it has them; nothing is copied.

    A `Batch` has the columns x, y and task. Columns are found through `torch.utils.data.Subset`,
    also of a subset.

    Raises
    ------
    TypeError
        It has no rows that can be asked for by number.
    ValueError
        Columns differ in length, or a subset names rows that its dataset does not have.
    """
    if isinstance(data, Batch):
        columns = tuple(_tensor(name, column) for column in (data.x, data.y, data.task))
        return LoaderData(name, data, len(data), columns)
    if type(data) is TensorDataset:
        return LoaderData(name, data, len(data), tuple(data.tensors))
    if isinstance(data, np.ndarray | torch.Tensor):
        return LoaderData(name, data, len(data), (_tensor(name, data),), bare=True)
    if _is_columns(data):
        lengths = [len(column) for column in data]
        if len(set(lengths)) > 1:
            raise ValueError(f"{name}: columns must be of one length, got {lengths}")
        return LoaderData(name, data, lengths[0], tuple(_tensor(name, column) for column in data))
    if type(data) is Subset:
        return _open_subset(name, data)
    _check_map_style(name, data)
    return LoaderData(name, data, len(data))


def _check_map_style(name: str, data: Any) -> None:
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, IterableDataset) or not indexed:
        raise TypeError(
            f"{name} must be a map-style dataset, a Batch, an array or a tuple of arrays, "
            f"got {type(data).__name__}"
        )


def _is_columns(data: object) -> bool:
    """Return whether something is a tuple of arrays or tensors, at least one."""
    if not isinstance(data, tuple) or not data:
        return False
    return all(isinstance(column, np.ndarray | torch.Tensor) for column in data)


def common_collate(sources: Sequence[LoaderData]) -> Callable[[list[Any]], Any] | None:
    """Return the datasets' own ``collate_fn``, or None if none of them has one.

    Methods of objects of one class count as the same.

    Raises
    ------
    ValueError
        They differ.
    """
    found = [getattr(source.data, "collate_fn", None) for source in sources]
    if not found:
        return None
    for source, collate in zip(sources[1:], found[1:], strict=True):
        if _function(collate) != _function(found[0]):
            raise ValueError(
                f"{sources[0].name} and {source.name} have different collate_fn: "
                "say with collate_fn= which one is meant"
            )
    first: Callable[[list[Any]], Any] | None = found[0]
    return first


def tasks_of(source: LoaderData, given: Any = None) -> Ints:
    """Return the task of each row, int64[n].

    Parameters
    ----------
    source : Source
        Its data is asked for ``task`` if it is a `Batch`, else for ``targets_task_labels``; a
        `torch.utils.data.Subset` passes the question on.
    given : array_like of int [n], optional
        Used instead of asking.

    Raises
    ------
    ValueError
        There are no tasks, or not one for each row.
    """
    labels = _task_labels(source.data) if given is None else given
    if labels is None:
        raise ValueError(
            f"{source.name} has no task labels: give a Batch, a dataset with targets_task_labels, "
            "or task_labels="
        )
    tasks = np.asarray(_whole(labels))
    if tasks.shape != (source.size,):
        raise ValueError(f"{source.name} has {source.size} rows, task labels {tasks.shape}")
    if tasks.size and tasks.dtype.kind not in "biu":
        raise ValueError(f"task labels of {source.name} must be integers, got {tasks.dtype}")
    return tasks.astype(np.int64)


def _task_labels(data: Any) -> Any:
    if isinstance(data, Batch):
        return data.task
    labels = getattr(data, "targets_task_labels", None)
    if labels is None and type(data) is Subset:
        labels = _task_labels(data.dataset)
        if labels is not None:
            labels = np.asarray(_whole(labels))[np.asarray(data.indices, np.int64)]
    return labels


def _whole(labels: Any) -> Any:
    # Avalanche's attributes are sequences that NumPy cannot convert
    return labels if isinstance(labels, np.ndarray | torch.Tensor) else list(labels)


def _open_subset(name: str, data: Subset[Any]) -> LoaderData:
    inner = open_source(name, data.dataset)
    if inner.columns is None:
        return LoaderData(name, data, len(data))
    index = np.array(data.indices, np.int64)
    if len(index) and not (-inner.size <= index.min() and index.max() < inner.size):
        raise ValueError(f"{name}: indices must be within the {inner.size} rows of its dataset")
    index[index < 0] += inner.size
    return LoaderData(
        name,
        data,
        len(index),
        inner.columns,
        index if inner.index is None else inner.index[index],
        inner.bare,
    )


def _tensor(name: str, column: NDArray[Any] | torch.Tensor) -> torch.Tensor:
    if isinstance(column, torch.Tensor):
        if column.ndim == 0:
            raise TypeError(f"{name}: an array must have rows, got a scalar")
        return column
    if column.ndim == 0 or column.dtype.kind not in "biufc":
        raise TypeError(f"{name}: arrays must be numbers with rows, got {column.dtype}")
    if any(step < 0 for step in column.strides):
        column = column.copy()  # torch has no negative strides
    with warnings.catch_warnings():
        # rows are only read, so a read-only array is as good as any
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(column)


def _function(collate: Any) -> Any:
    owner = getattr(collate, "__self__", None)
    return collate if owner is None else (collate.__func__, type(owner))
