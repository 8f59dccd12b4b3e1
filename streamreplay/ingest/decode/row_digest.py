"""Checksums of the rows of Arrow tables, however they were stored and cut."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from streamreplay.errors import CheckpointError
from streamreplay.ingest.decode.arrow_columns import is_list
from streamreplay.state import State

_AT_ONCE = 1024


class RowDigest:
    """Checksums of all rows so far, column by column.

    The same rows give the same digest, whatever batches they come in and whichever file holds them:
    only their values count.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows, one, two = pa.record_batch({"a": [1, None, 3]}), RowDigest(), RowDigest()
    >>> one.add(rows)
    >>> two.add(rows.slice(0, 1)), two.add(rows.slice(1))
    (None, None)
    >>> one.value() == two.value()
    True
    """

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        self._waiting: list[Any] = []  # record batches
        self._rows = 0  # in them

    def add(self, rows: Any) -> None:
        """Append the rows of a record batch of plain columns."""
        if not rows.num_rows:
            return
        self._waiting.append(rows)
        self._rows += rows.num_rows
        if self._rows >= _AT_ONCE:
            self._settle()

    def value(self) -> int:
        """Return one number for all rows."""
        self._settle()
        text = ";".join(f"{name}:{sums}" for name, sums in sorted(self._sums.items()))
        return zlib.crc32(text.encode())

    def state_dict(self) -> State:
        """Return the sums by column."""
        self._settle()
        return {name: np.array(sums, np.int64) for name, sums in self._sums.items()}

    def load_state_dict(self, state: State) -> None:
        """Load a state."""
        if not isinstance(state, dict):
            raise CheckpointError(f"digest: saved {state!r}, must be sums by column")
        self._sums = {name: sums.tolist() for name, sums in state.items()}
        self._waiting, self._rows = [], 0

    def _settle(self) -> None:
        for rows in self._waiting:
            for name, column in zip(rows.schema.names, rows.columns, strict=True):
                sums = self._sums.setdefault(name, [])
                for i, part in enumerate(_bytes_of(column)):
                    if i == len(sums):
                        sums.append(0)
                    sums[i] = zlib.crc32(part, sums[i])
        self._waiting, self._rows = [], 0


def _bytes_of(column: Any) -> Iterator[Any]:
    """Yield the bytes that a column consists of, each in a part that goes on with the next rows."""
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
    from pyarrow import compute, types  # noqa: PLC0415

    kind = column.type
    yield _numbers(column.is_valid().cast(pa.uint8()))
    if types.is_null(kind):
        return
    if types.is_decimal(kind):
        column, kind = column.cast(pa.large_string()), pa.large_string()
    if is_list(kind):
        yield _numbers(compute.list_value_length(column).cast(pa.int64()).fill_null(-1))
        yield from _bytes_of(compute.list_flatten(column))
    elif types.is_large_string(kind) or types.is_large_binary(kind):
        column = column.fill_null("" if types.is_large_string(kind) else b"")
        yield _numbers(compute.binary_length(column))
        yield _text(column)
    elif types.is_struct(kind) or types.is_map(kind):
        yield str(column.to_pylist()).encode()
    else:
        yield _numbers(_as_integers(column).fill_null(0))


def _as_integers(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import types  # noqa: PLC0415

    if types.is_boolean(column.type):
        return column.cast(pa.uint8())
    if types.is_timestamp(column.type):
        return column.cast(pa.int64())
    return column.cast(pa.int32()) if types.is_date32(column.type) else column


def _numbers(column: Any) -> Any:
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).view(np.uint8).data


def _text(column: Any) -> Any:
    """Return the bytes of all strings of a column, one after the other."""
    offsets, data = column.buffers()[1:]
    if data is None or not len(column):
        return b""
    place = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[place[0] : place[-1]]
