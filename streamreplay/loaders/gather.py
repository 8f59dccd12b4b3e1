"""Fetching planned rows: whole batches from columns, samples from any other dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from streamreplay.columns import Ints
from streamreplay.loaders.data import LoaderData

_STAGED = 1 << 20
"""Bytes gathered ahead from several stores: about what stays in a core's cache."""

_WORTH_STAGING = 8
"""Batches; fewer are faster one by one."""

Columns: TypeAlias = tuple[torch.Tensor, ...]

Runs: TypeAlias = list[tuple[int, int, int]]
"""The rows of one batch: from which store, and from where to where."""

Request: TypeAlias = list[Ints]
"""The rows of one batch, in two arrays: the number of each row's source, and its place in it."""


@final
class ColumnView:
    """Sources whose columns all have one type and shape: a batch is one gather for each column.

    Sources over the same tensors, as subsets of one dataset are, are read as one.

    Raises
    ------
    ValueError
        The columns of two sources differ; the message names both.
    """

    def __init__(self, sources: Sequence[LoaderData]) -> None:
        self._bare = sources[0].bare
        self._stores: list[Columns] = []
        seen: dict[Any, int] = {}
        store_of = []
        for source in sources:
            columns = _checked(sources[0], source)
            key = tuple((c.data_ptr(), c.shape, c.stride()) for c in columns)
            if key not in seen:
                seen[key] = len(self._stores)
                self._stores.append(columns)
            store_of.append(seen[key])
        self._store_of = np.array(store_of, np.int64)
        self._rows: Ints | None = None
        sizes = np.array([source.size for source in sources], np.int64)
        self._starts = np.cumsum(sizes) - sizes
        self._size = int(sizes.sum())
        if any(source.index is not None for source in sources):
            self._rows = np.concatenate(list(map(_rows_of, sources)))
        # for each column, its array in every store; None if NumPy cannot read some
        self._windows: list[list[_Window]] | None = None
        if all(_numpy_reads(column) for store in self._stores for column in store):
            self._windows = [
                [_Window(column) for column in parts] for parts in zip(*self._stores, strict=True)
            ]
        self._row_bytes = sum(c.element_size() * c[0].numel() for c in self._stores[0])
        self._device = self._stores[0][0].device

    def __len__(self) -> int:
        return self._size

    def __getitems__(self, request: Request) -> Any:
        """Return one batch."""
        source, offset = request
        return next(self.batches(source, offset, np.array([len(source)])))

    def batches(self, source: Ints, offset: Ints, sizes: Ints) -> Iterator[Any]:
        """Yield batches of the given sizes; their rows lie one batch after the other."""
        rows = offset if self._rows is None else self._rows[self._starts[source] + offset]
        if len(self._stores) == 1:
            batches = self._each(_whole(sizes), rows)
        else:
            store = self._store_of[source]
            together = _STAGED // max(1, self._row_bytes * int(sizes.max()))
            if min(together, len(sizes)) >= _WORTH_STAGING and self._windows is not None:
                batches = self._staged(store, rows, sizes, together)
            else:
                batches = self._each(_runs(store, sizes), rows)
        return (columns[0] for columns in batches) if self._bare else batches

    def _each(self, runs: Iterable[Runs], rows: Ints) -> Iterator[list[torch.Tensor]]:
        gather = self._joined if self._windows is None else self._taken
        return (gather(part, rows) for part in runs)

    def _staged(
        self, store: Ints, rows: Ints, sizes: Ints, together: int
    ) -> Iterator[list[torch.Tensor]]:
        """Gather some small batches at once, store by store, and cut the result into batches.

        With a few rows of each store in a batch, calls would take longer than copying twice.
        """
        for first in range(0, len(sizes), together):
            some = sizes[first : first + together]
            n = int(some.sum())
            order = np.argsort(store[:n], kind="stable")
            place = np.empty(n, np.int64)
            place[order] = np.arange(n)
            [runs] = _runs(store[:n][order], np.array([n]))
            stage = [column.numpy() for column in self._taken(runs, rows[:n][order])]
            for _, a, b in (run for [run] in _whole(some)):
                yield [torch.from_numpy(column.take(place[a:b], 0)) for column in stage]
            store, rows = store[n:], rows[n:]

    def _taken(self, runs: Runs, rows: Ints) -> list[torch.Tensor]:
        """Gather each column into one new array, without copies in between."""
        start, batch = runs[0][1], []
        n = runs[-1][2] - start
        for windows in self._windows or ():
            out = np.empty((n, *windows[0].shape), windows[0].dtype)
            for store, a, b in runs:
                window = windows[store]
                if window.pointer != window.column.data_ptr():
                    window.look()
                # with mode="clip" NumPy writes into `out` directly; the rows are known to be there
                window.array.take(rows[a:b], 0, out[a - start : b - start], "clip")
            batch.append(torch.from_numpy(out))
        return batch

    def _joined(self, runs: Runs, rows: Ints) -> list[torch.Tensor]:
        """Gather columns that NumPy cannot: on a device, with gradients, of other types."""
        parts = []
        for store, a, b in runs:
            index = torch.from_numpy(rows[a:b]).to(self._device)
            parts.append([column.index_select(0, index) for column in self._stores[store]])
        return [torch.cat(columns) for columns in zip(*parts, strict=True)]


@final
class SampleView:
    """Sources of any kind: a batch is a list of samples."""

    def __init__(self, sources: Sequence[LoaderData]) -> None:
        self._sources = tuple(sources)

    def __len__(self) -> int:
        return sum(source.size for source in self._sources)

    def __getitems__(self, request: Request) -> list[Any]:
        """Return the samples of one batch."""
        source, offset = request
        cuts = np.flatnonzero(np.diff(source)) + 1
        samples: list[Any] = []
        for part in np.split(np.arange(len(source)), cuts):
            samples += self._sources[int(source[part[0]])].samples(offset[part])
        return samples


def collate_mixed(samples: list[Any]) -> Any:
    """Collate as torch does, also a column of tensors in which some are plain numbers.

    Columns give a row's label as a tensor, most other datasets as a number.
    """
    rows = [sample for sample in samples if type(sample) in (tuple, list)]
    if len(rows) < len(samples) or len({len(row) for row in rows}) > 1:
        return default_collate(samples)
    return [default_collate(_alike(column)) for column in zip(*rows, strict=True)]


def _alike(column: tuple[Any, ...]) -> list[Any]:
    tensors = sum(isinstance(value, torch.Tensor) for value in column)
    return [torch.as_tensor(v) for v in column] if 0 < tensors < len(column) else list(column)


def identity(batch: Any) -> Any:
    """Return a batch as it is: the collate function of batches that were gathered."""
    return batch


def _whole(sizes: Ints) -> Iterator[Runs]:
    """Return the runs of batches whose rows are all in one store."""
    end = 0
    for size in sizes.tolist():
        start, end = end, end + size
        yield [(0, start, end)]


def _runs(store: Ints, sizes: Ints) -> Iterator[Runs]:
    """Return for each batch its runs of rows in one store."""
    starts = np.cumsum(sizes) - sizes
    new = np.ones(len(store), np.bool_)
    new[1:] = store[1:] != store[:-1]
    new[starts] = True
    cuts = np.flatnonzero(new)
    runs = list(
        zip(store[cuts].tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(store)], strict=True)
    )
    first = np.searchsorted(cuts, starts).tolist()
    for a, b in zip(first, [*first[1:], len(runs)], strict=True):
        yield runs[a:b]


class _Window:
    """A column as an array over the same memory.

    A tensor that moves into shared memory, as spawned workers make it do, frees what an array from
    before would still point to; so the pointer is compared before each use.
    """

    __slots__ = ("array", "column", "dtype", "pointer", "shape")

    def __init__(self, column: torch.Tensor) -> None:
        self.column = column
        self.look()

    def look(self) -> None:
        self.array: NDArray[Any] = self.column.numpy()
        self.pointer = self.column.data_ptr()
        self.shape, self.dtype = self.array.shape[1:], self.array.dtype

    def __reduce__(self) -> tuple[type[_Window], tuple[torch.Tensor]]:
        return type(self), (self.column,)


def _rows_of(source: LoaderData) -> Ints:
    """Return the rows of a source in the columns that it is made of."""
    return np.arange(source.size) if source.index is None else source.index


def _numpy_reads(column: torch.Tensor) -> bool:
    """Return whether NumPy can read a column without copying all of it for each batch."""
    plain = column.device.type == "cpu" and column.layout == torch.strided
    if not plain or column.requires_grad or column.dtype == torch.bfloat16:
        return False
    return column.is_contiguous() and not column.is_conj() and not column.is_neg()


def _checked(first: LoaderData, source: LoaderData) -> Columns:
    """Return a source's columns, if they go with those of the first."""
    one, other = first.columns or (), source.columns or ()
    if (len(one), first.bare) != (len(other), source.bare):
        raise ValueError(
            f"{first.name} has rows of {_rows(first)}, {source.name} of {_rows(source)}"
        )
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        if (a.dtype, a.shape[1:], a.device) != (b.dtype, b.shape[1:], b.device):
            raise ValueError(
                f"column {i} of {first.name} is {_described(a)}, of {source.name} {_described(b)}"
            )
    return other


def _rows(source: LoaderData) -> str:
    return "a bare tensor" if source.bare else f"{len(source.columns or ())} columns"


def _described(column: torch.Tensor) -> str:
    shape = ", ".join(map(str, column.shape))
    return f"{str(column.dtype).removeprefix('torch.')}[{shape}]"
