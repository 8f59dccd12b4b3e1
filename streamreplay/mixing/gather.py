"""Fetching planned rows: whole batches from columns, samples from any other dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.mixing.sources import Source

__all__ = ["ColumnView", "Request", "SampleView", "identity"]

Ints = NDArray[np.int64]
Columns: TypeAlias = tuple[torch.Tensor, ...]

Request: TypeAlias = list[Ints]
"""The rows of one batch, in two arrays: the number of each row's source, and its place in it."""


@final
class ColumnView:
    """Sources that are all made of columns of one type and shape: a batch is a gather.

    Sources over the same tensors, as subsets of one dataset are, are read as one.

    Raises
    ------
    ValueError
        The columns of two sources differ; the message names both.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
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
            self._rows = np.concatenate(
                [np.arange(s.size) if s.index is None else s.index for s in sources]
            )
        self._arrays = _arrays(self._stores) if len(self._stores) > 1 else None
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
        if len(self._stores) > 1:
            batches = self._from_several(self._store_of[source], rows, sizes)
        else:
            batches = self._from_one(rows, sizes)
        return (columns[0] for columns in batches) if self._bare else batches

    def _from_one(self, rows: Ints, sizes: Ints) -> Iterator[list[torch.Tensor]]:
        (columns,) = self._stores
        for index in torch.split(torch.from_numpy(rows).to(self._device), sizes.tolist()):
            yield [column.index_select(0, index) for column in columns]

    def _from_several(self, store: Ints, rows: Ints, sizes: Ints) -> Iterator[list[torch.Tensor]]:
        ends = np.cumsum(sizes)
        # where the rows of one store in one batch begin
        new = np.ones(len(rows), np.bool_)
        new[1:] = store[1:] != store[:-1]
        new[(ends - sizes)[ends - sizes < len(rows)]] = True
        cuts = np.flatnonzero(new)
        first = np.searchsorted(cuts, ends - sizes).tolist()
        runs = list(
            zip(store[cuts].tolist(), cuts.tolist(), [*cuts[1:].tolist(), len(rows)], strict=True)
        )
        for i, (start, end) in enumerate(zip((ends - sizes).tolist(), ends.tolist(), strict=True)):
            part = runs[first[i] : first[i + 1] if i + 1 < len(first) else None]
            if self._arrays is None:
                yield self._joined(part, rows)
            else:
                yield _taken(self._arrays, part, rows, start, end)

    def _joined(self, runs: list[tuple[int, int, int]], rows: Ints) -> list[torch.Tensor]:
        index = [torch.from_numpy(rows[a:b]).to(self._device) for _, a, b in runs]
        return [
            torch.cat(
                [
                    self._stores[s][c].index_select(0, i)
                    for (s, _, _), i in zip(runs, index, strict=True)
                ]
            )
            for c in range(len(self._stores[0]))
        ]


@final
class SampleView:
    """Sources of any kind: a batch is a list of samples."""

    def __init__(self, sources: Sequence[Source]) -> None:
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


def identity(batch: Any) -> Any:
    """Return a batch as it is: the collate function of batches that were gathered."""
    return batch


def _taken(
    stores: list[list[NDArray[Any]]],
    runs: list[tuple[int, int, int]],
    rows: Ints,
    start: int,
    end: int,
) -> list[torch.Tensor]:
    """Gather from several stores into one new array a column, without copies in between."""
    batch = []
    for c, column in enumerate(stores[0]):
        out = np.empty((end - start, *column.shape[1:]), column.dtype)
        for s, a, b in runs:
            # with mode="clip" NumPy writes into `out` directly; the rows are known to be there
            stores[s][c].take(rows[a:b], 0, out[a - start : b - start], "clip")
        batch.append(torch.from_numpy(out))
    return batch


def _arrays(stores: list[Columns]) -> list[list[NDArray[Any]]] | None:
    """Return columns as arrays over the same memory, or None if some cannot be."""
    columns = [column for store in stores for column in store]
    plain = all(c.device.type == "cpu" and not c.requires_grad for c in columns)
    if not plain or any(c.dtype == torch.bfloat16 or c.is_conj() or c.is_neg() for c in columns):
        return None
    return [[column.numpy() for column in store] for store in stores]


def _checked(first: Source, source: Source) -> Columns:
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


def _rows(source: Source) -> str:
    return "a bare tensor" if source.bare else f"{len(source.columns or ())} columns"


def _described(column: torch.Tensor) -> str:
    shape = ", ".join(map(str, column.shape))
    return f"{str(column.dtype).removeprefix('torch.')}[{shape}]"
