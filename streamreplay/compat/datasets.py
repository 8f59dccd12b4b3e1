"""Read rows of Avalanche's datasets in bulk, and give stored rows back as such a dataset.

An Avalanche dataset is a tree of concatenations and subsets of other datasets, with transforms at
any node, and gives one row at a time. If a tree ends in plain tensors and nothing transforms them,
rows are taken from the tensors at once; otherwise they are read one by one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, TensorDataset

from streamreplay.batch import Batch
from streamreplay.columns import Ints

__all__ = ["RowForm", "StoredRows", "make_dataset", "make_empty_dataset", "read_rows", "read_tasks"]

_BYTES = 1 << 25  # of features gathered at a time

Pieces: TypeAlias = list[tuple[torch.Tensor, torch.Tensor, Ints]]
"""Features, labels, and the indices of the rows to read from both, in order."""


@final
class StoredRows(Dataset[tuple[torch.Tensor, torch.Tensor | int]]):
    """Stored rows as a dataset of (features, label), without a copy.

    Parameters
    ----------
    batch : Batch
    tensor_labels : bool
        Whether a label is returned as a tensor, or as an int.
    """

    def __init__(self, batch: Batch, *, tensor_labels: bool) -> None:
        self.tensors = torch.from_numpy(batch.x), torch.from_numpy(batch.y)
        self.tensor_labels = tensor_labels

    def __len__(self) -> int:
        return len(self.tensors[1])

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor | int]:
        x, y = self.tensors
        return x[row], y[row] if self.tensor_labels else int(y[row])


@final
@dataclass(frozen=True, slots=True)
class RowForm:
    """The parts of a dataset's rows. Only rows of the same form can be collated.

    Attributes
    ----------
    tasks : bool
        Whether the third part is a task label.
    tensor_labels : bool
        Whether the label is a tensor, not an int.
    """

    tasks: bool = True
    tensor_labels: bool = False

    @classmethod
    def of(cls, dataset: Any) -> RowForm:
        """Return the form of a dataset's first row in the group ``"eval"``."""
        labels = getattr(dataset, "targets_task_labels", None)
        return cls(labels is not None, isinstance(dataset.eval()[0][1], torch.Tensor))


def make_dataset(batch: Batch, transform: Callable[[Any], Any] | None, form: RowForm) -> Any:
    """Return rows as Avalanche's dataset: features are views of the batch, labels are copied.

    Parameters
    ----------
    batch : Batch
    transform : callable or None
        Applied to each row's features under the transform group ``"train"``.
    form : RowForm
    """
    utils = importlib.import_module("avalanche.benchmarks.utils")
    kinds = importlib.import_module("avalanche.benchmarks.utils.classification_dataset")
    attributes = [utils.DataAttribute(batch.y.tolist(), "targets")]
    kind = kinds.ClassificationDataset
    if form.tasks:
        labels = batch.task.tolist()
        attributes.append(utils.DataAttribute(labels, "targets_task_labels", use_in_getitem=True))
        kind = kinds.TaskAwareSupervisedClassificationDataset
    groups = None if transform is None else {"train": (transform, None), "eval": None}
    rows = StoredRows(batch, tensor_labels=form.tensor_labels)
    return kind([rows], data_attributes=attributes, transform_groups=groups)


def make_empty_dataset() -> Any:
    """Return Avalanche's dataset without rows."""
    return importlib.import_module("avalanche.benchmarks.utils").AvalancheDataset([])


def read_tasks(dataset: Any) -> Ints | None:
    """Return the task label of each row, int64[n]; None if the dataset has no such labels."""
    labels = getattr(dataset, "targets_task_labels", None)
    if labels is None:
        return None
    n = len(dataset)
    if n and type(getattr(labels, "data", None)).__name__ == "ConstantSequence":
        return np.full(n, labels[0], np.int64)
    return np.fromiter(labels, np.int64, n)


def read_rows(dataset: Any, group: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield all rows in order, in blocks: features [n, *feature] and labels [n].

    Parameters
    ----------
    dataset : AvalancheDataset
    group : str
        The transform group to read rows through.

    Raises
    ------
    TypeError
        A row's features are neither a tensor nor an array, or its label is no integer.
    ValueError
        A row has other parts than features, a label and a task label, or there is no such group.
    """
    flat = getattr(dataset, "_flat_data", None)
    pieces = None if flat is None else _locate(flat, np.arange(len(dataset)), group)
    if pieces is None:
        yield from _read_each(dataset, group)
        return
    for x, y, rows in pieces:
        step = _rows_at_a_time(x[0]) if len(rows) else 1
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            features = _select(x, part)
            if features.dtype not in (torch.uint8, torch.float32):
                features = features.float()
            yield features.numpy(), _select(y, part).numpy()


def _locate(node: Any, rows: Ints, group: str) -> Pieces | None:
    """Find the tensors that hold the given rows; None if only the dataset can read them."""
    if type(node) in (TensorDataset, StoredRows, _their_tensor_dataset()):
        columns = node.tensors
        plain = len(columns) == 2 and columns[1].ndim == 1
        return [(columns[0], columns[1], rows)] if plain else None
    if not _is_plain_node(node, group):
        return None
    indices = node._indices  # noqa: SLF001 - the only way to read many rows at once
    if indices is not None:
        rows = np.fromiter(indices, np.int64, len(indices))[rows]
    parts = node._datasets  # noqa: SLF001
    ends = np.cumsum([len(part) for part in parts])
    which = np.searchsorted(ends, rows, side="right")
    pieces: Pieces = []
    for run in _runs(which):
        number = int(which[run[0]])
        start = int(ends[number]) - len(parts[number])
        found = _locate(parts[number], rows[run] - start, group)
        if found is None:
            return None
        pieces += found
    return pieces


def _runs(values: Ints) -> list[Ints]:
    """Return the positions of each run of equal values."""
    if not len(values):
        return []
    return np.split(np.arange(len(values)), np.flatnonzero(np.diff(values)) + 1)


def _is_plain_node(node: Any, group: str) -> bool:
    known = hasattr(node, "_indices") and hasattr(node, "_datasets")
    return known and not _transforms(node, group)


def _their_tensor_dataset() -> type | None:
    module = importlib.import_module("avalanche.benchmarks.utils.classification_dataset")
    found: type | None = getattr(module, "_TensorClassificationDataset", None)
    return found


def _transforms(node: Any, group: str) -> bool:
    """Return whether a node transforms rows read through a group, or lacks the group."""
    for name in ("_transform_groups", "_frozen_transform_groups"):
        groups = getattr(node, name, None)
        try:
            if groups is not None and groups[group] is not None:
                return True
        except KeyError:
            return True
    return False


def _select(column: torch.Tensor, rows: Ints) -> torch.Tensor:
    """Return rows of a column: a view of consecutive rows, otherwise a copy."""
    first, n = int(rows[0]), len(rows)
    if rows[-1] - first == n - 1 and np.all(np.diff(rows) == 1):
        return column[first : first + n].detach().cpu()
    return column[torch.from_numpy(rows)].detach().cpu()


def _read_each(dataset: Any, group: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    try:
        dataset = dataset.with_transforms(group)
    except (AssertionError, KeyError):
        raise ValueError(f"transform_group: the dataset has no group {group!r}") from None
    labels = getattr(dataset, "targets_task_labels", None)
    parts = 2 + (labels is not None and labels.use_in_getitem)
    n, start = len(dataset), 0
    while start < n:
        first = _check(dataset[start], parts)
        stop = min(n, start + _rows_at_a_time(first[0]))
        samples = [first, *(_check(dataset[row], parts) for row in range(start + 1, stop))]
        yield np.stack([s[0].numpy() for s in samples]), np.array([s[1] for s in samples])
        start = stop


def _check(sample: Any, parts: int) -> tuple[torch.Tensor, int]:
    if len(sample) != parts:
        raise ValueError(f"a row must have {parts} parts, the dataset gives {len(sample)}")
    x, y = sample[:2]
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(x)
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"a row's features must be a tensor or an array, got {type(x).__name__}: give the "
            "dataset a transform that makes one"
        )
    x = x.detach().cpu()
    if int(y) != y:
        raise TypeError(f"a row's label must be an integer, got {y}")
    return x if x.dtype in (torch.uint8, torch.float32) else x.float(), int(y)


def _rows_at_a_time(row: torch.Tensor) -> int:
    return max(1, _BYTES // max(1, row.numel() * row.element_size()))
