"""Stored columns: allocation, types and shapes, whether rows fit, and indexes of rows by group."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamreplay.batch import GROUP_COLUMNS, Batch, GroupBy
from streamreplay.columns import Ints, describe_array, same_kind
from streamreplay.errors import CheckpointError, ConfigError
from streamreplay.groups import GroupIndex
from streamreplay.state import expect

Extra: TypeAlias = Mapping[str, tuple[DTypeLike, tuple[int, ...]]]
"""Columns that are no part of a row as the stream had it: type and shape for one row, by name."""


def open_folder(storage: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder for the files of columns, created if necessary; None for RAM.

    Raises
    ------
    OSError
        It cannot be created or written to.
    """
    if storage is None:
        return None
    folder = Path(storage)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # fail now, not at the first row
        return folder


def allocate(folder: Path | None, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros; with a folder, in a file that no other process can see.

    The file has no name, so it is deleted with the array or the process, however that ends. Its
    blocks are reserved first, since a disk that fills up later would end the process.

    Raises
    ------
    OSError
        The disk does not have enough room.
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if folder is None or not size:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS has none: nothing is reserved there
                file.truncate(size)
        except OSError as error:
            reason = f"storage: {size:,} bytes cannot be reserved: {error.strerror}"
            raise OSError(error.errno, reason, str(folder)) from None
        mapped = np.memmap(file, dtype, mode="r+", shape=shape)
    return mapped.view(np.ndarray)  # a plain array: memmap's own methods cost on every slice


def kind_of(column: NDArray[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return a column's type, and the shape of one row."""
    return column.dtype, column.shape[1:]


def rows_within(max_bytes: int, columns: Iterable[NDArray[Any]], extra: Extra) -> int:
    """Return how many rows of some columns, with the extra ones, fit into ``max_bytes``.

    Raises
    ------
    ConfigError
        Not one fits.
    """
    row = sum(column.itemsize * prod(column.shape[1:]) for column in columns)
    row += sum(np.dtype(dtype).itemsize * prod(shape) for dtype, shape in extra.values())
    if row > max_bytes:
        raise ConfigError(f"max_bytes must hold a row of {row:,} bytes, got {max_bytes:,}")
    return max_bytes // row


def fits(columns: Mapping[str, NDArray[Any]], batch: Batch) -> bool:
    """Return whether a batch's rows can be written into columns as they are."""
    x = columns["x"]
    return (
        batch.x.dtype == x.dtype
        and batch.x.shape[1:] == x.shape[1:]
        and (batch.time is None) == ("time" not in columns)
        and same_kind(batch.target, columns.get("target"))
        and (batch.weight is None) == ("weight" not in columns)
        and (batch.id is None) == ("id" not in columns)
        and (batch.id is None or batch.id.dtype.itemsize <= columns["id"].dtype.itemsize)
    )


def check_fits(columns: Mapping[str, NDArray[Any]], batch: Batch) -> None:
    """Raise ValueError unless a batch's features and targets are of the type and shape stored."""
    x, stored = columns["x"], columns.get("target")
    if not same_kind(batch.x, x):
        raise ValueError(
            f"x: stored rows are {describe_array(x[0:0])}, got {describe_array(batch.x[0:0])}"
        )
    target = batch.target
    if target is None and stored is None:
        return
    if target is None or stored is None:
        have, got = ("classes", "targets") if stored is None else ("targets", "classes")
        raise ValueError(f"target: stored rows have {have}, got rows with {got}")
    if not same_kind(target, stored):
        have, got = describe_array(stored[0:0]), describe_array(target[0:0])
        raise ValueError(f"target: stored rows are {have}, got {got}")


def check_columns(live: Mapping[str, NDArray[Any]], saved: Mapping[str, NDArray[Any]]) -> None:
    """Raise CheckpointError if a saved column has another type or shape than that of the name.

    Ids may differ: they are widened.
    """
    for name, column in saved.items():
        mine = live.get(name, column)
        if name != "id" and kind_of(mine) != kind_of(column):
            raise CheckpointError(
                f"{name}: saved {describe_array(column)}, this pipeline has {describe_array(mine)}"
            )


def check_extra(extra: Extra, saved: Mapping[str, NDArray[Any]], max_size: int) -> None:
    """Raise CheckpointError unless saved columns have the names, types and shapes of extra ones."""
    expect("beside", sorted(saved), sorted(extra))
    for name, (dtype, shape) in extra.items():
        if kind_of(saved[name]) != (np.dtype(dtype), shape):
            live = np.empty((max_size, *shape), dtype)
            raise CheckpointError(
                f"{name}: saved {describe_array(saved[name])}, "
                f"this pipeline has {describe_array(live)}"
            )


def pad(values: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return values in the corner of an array of NaN."""
    out = np.full(shape, np.nan, np.float32)
    if values is not None:
        out[tuple(slice(0, size) for size in values.shape)] = values
    return out


@final
class GroupIndexes:
    """A `GroupIndex` for each way of grouping that was asked for."""

    def __init__(self) -> None:
        self.asked: dict[GroupBy, GroupIndex | None] = {}
        """The indexes asked for since the last `clear`; None for one that is out of date."""

    def of(self, columns: Mapping[str, NDArray[Any]], size: int, by: GroupBy) -> GroupIndex:
        """Return which of the first ``size`` slots belong to which group."""
        index = self.asked.get(by)
        if index is None:
            if not columns:
                return GroupIndex.of(np.empty(0, np.int64))
            index = GroupIndex.of(columns[GROUP_COLUMNS[by]][:size])
            self.asked[by] = index
        return index

    def overwrite(
        self,
        columns: Mapping[str, NDArray[Any]],
        slots: Ints,
        batch: Batch,
        rows: Ints,
    ) -> None:
        """Drop indexes that do not hold once rows of a batch are written into slots."""
        for by, index in self.asked.items():
            name = GROUP_COLUMNS[by]
            if index is not None and (
                not np.array_equal(columns[name][slots], getattr(batch, name)[rows])
            ):
                self.asked[by] = None

    def expire(self) -> None:
        """Drop all indexes: there are more or fewer rows."""
        for by in self.asked:
            self.asked[by] = None

    def clear(self) -> None:
        """Forget which indexes were asked for."""
        self.asked.clear()
