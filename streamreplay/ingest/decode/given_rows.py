"""Take the rows that a Python program has as columns with names: dicts, frames, Arrow.

Neither pandas nor polars is imported: who gives a frame of theirs has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeGuard, final

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError, RecordError
from streamreplay.ingest.decode.arrow_columns import ArrowRows, plain_rows, reasons_left_out
from streamreplay.ingest.decode.python_values import plain_values, role_value
from streamreplay.ingest.decode.values import float32s

if TYPE_CHECKING:
    from streamreplay.ingest.decode.named_rows import NamedRows

_TAKEN = (
    "rows must be a list of dicts, a dict of columns, a frame of pandas or polars, or a table or "
    "record batch of Arrow"
)


@final
class GivenRows:
    """Rows of values of Python, as `NamedRows`.

    Parameters
    ----------
    columns : mapping of str to list
        The values of each column.
    n : int
        Rows.
    sparse : bool
        Each row has columns of its own.

    Examples
    --------
    >>> rows = GivenRows({"size": [np.float32(1.5), None], "y": ["cat", float("nan")]}, 2)
    >>> rows.values("size"), rows.role_values("label", "y")
    ([1.5, None], ['cat', None])
    """

    def __init__(self, columns: Mapping[str, list[Any]], n: int, *, sparse: bool = False) -> None:
        self._columns = columns
        self._n = n
        self.sparse = sparse

    @property
    def names(self) -> list[str]:
        """The columns, in order."""
        return list(self._columns)

    def __len__(self) -> int:
        return self._n

    def values(self, name: str) -> list[Any]:
        """Return the values of a feature.

        Raises
        ------
        RecordError
            One cannot be learned from; the message names the row and the column.
        """
        found = self._plain(name)
        kinds = set(map(type, found))
        if bytes in kinds:
            row = next(i for i, value in enumerate(found) if isinstance(value, bytes))
            raise RecordError(f"row {row}, column {name!r}: bytes cannot be learned from")
        if Decimal in kinds:
            return [float(value) if isinstance(value, Decimal) else value for value in found]
        return found

    def role_values(self, role: str, name: str) -> list[Any]:
        """Return the values of a column that is no feature; NaN, pandas' gap, is none."""
        found = self._plain(name)
        if set(map(type, found)) <= {str, int, bool, type(None)}:
            return found
        return [None if value != value else role_value(role, value) for value in found]  # noqa: PLR0124

    def holds_arrays(self, name: str) -> bool:
        """Return whether a column's first value that is there is a list."""
        first = next((value for value in self._plain(name) if value is not None), None)
        return isinstance(first, list)

    def arrays(self, name: str) -> list[Any]:
        """Return the values of a column of lists of numbers."""
        return self._plain(name)

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """Return a column of lists of numbers as one array; None if they are no such array."""
        try:
            found = np.array(self._plain(name))
        except ValueError:  # the lists differ in length
            return None
        if found.dtype.kind not in "iuf" or found.ndim < 2:
            return None
        x = float32s(found.astype(np.float64))
        return x if np.isfinite(x).all() else None

    def _plain(self, name: str) -> list[Any]:
        try:
            return plain_values(self._columns[name])
        except TypeError as error:
            what, row = error.args
            raise RecordError(f"row {row}, column {name!r}: {what}") from None


@final
class WithColumns:
    """Rows with more columns, which their rows do not have."""

    def __init__(self, rows: NamedRows, more: GivenRows) -> None:
        self._rows, self._more = rows, more

    @property
    def sparse(self) -> bool:
        """Whether each row has columns of its own."""
        return self._rows.sparse

    @property
    def names(self) -> list[str]:
        """The columns, in order."""
        return [*self._rows.names, *self._more.names]

    def __len__(self) -> int:
        return len(self._rows)

    def values(self, name: str) -> list[Any]:
        """Return the values of a feature."""
        return self._of(name).values(name)

    def role_values(self, role: str, name: str) -> list[Any]:
        """Return the values of a column that is no feature, as JSON would have them."""
        return self._of(name).role_values(role, name)

    def holds_arrays(self, name: str) -> bool:
        """Return whether a column may have a list of numbers in each row."""
        return self._of(name).holds_arrays(name)

    def arrays(self, name: str) -> list[Any]:
        """Return the values of a column of lists of numbers."""
        return self._of(name).arrays(name)

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """Return a column of lists of numbers as one array."""
        return self._of(name).numbers(name)

    def _of(self, name: str) -> NamedRows:
        return self._more if name in self._more.names else self._rows


def given_rows(rows: Any, keep: Collection[Any] = ()) -> tuple[NamedRows, dict[str, str]]:
    """Return rows as columns with names, and why other columns cannot be learned from.

    Parameters
    ----------
    rows : sequence of dict, mapping of str to column, frame of pandas or polars, Arrow data
        Arrow data are all objects of Arrow's PyCapsule interface.
    keep : collection of str
        Columns of Arrow data that are kept though their type cannot be learned from.

    Raises
    ------
    TypeError
        Rows are something else.
    ValueError
        Columns differ in length, or two have the same name.
    ConfigError
        PyArrow is needed, and missing.

    Examples
    --------
    >>> rows, _ = given_rows([{"size": 1.5}, {"size": 2, "colour": "red"}])
    >>> rows.names, rows.values("colour")
    (['size', 'colour'], [None, 'red'])
    """
    if _is_from("pandas", "DataFrame", rows):
        columns = [_of_pandas(rows.iloc[:, i]) for i in range(rows.shape[1])]
        return _named(list(rows.columns), columns, len(rows)), {}
    if _is_from("polars", "LazyFrame", rows):
        raise TypeError(f"rows must be a frame, got {type(rows).__name__}: write rows.collect()")
    if _is_from("polars", "DataFrame", rows):
        return GivenRows(rows.to_dict(as_series=False), len(rows)), {}
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        return _of_arrow(rows, keep)
    if isinstance(rows, Mapping):
        return _of_columns(rows), {}
    if _is_list(rows):
        return _of_records(rows), {}
    if isinstance(rows, np.ndarray):
        raise TypeError(f"{_TAKEN}, got an array: its columns have no names, see Batch.from_arrays")
    raise TypeError(f"{_TAKEN}, got {type(rows).__name__}")


def column_values(name: str, column: Any) -> list[Any]:
    """Return the values of a column: of a list, an array, a Series, an Arrow array or a tensor.

    Raises
    ------
    TypeError
        It is something else.
    """
    if _is_from("pandas", "Series", column):
        return _of_pandas(column)
    if isinstance(column, np.ndarray):
        return _of_array(column)
    if _is_list(column):
        return list(column)
    for convert in ("to_pylist", "to_list", "tolist"):  # of Arrow, polars and torch
        if hasattr(column, convert):
            found = getattr(column, convert)()
            if isinstance(found, list):
                return found
    raise TypeError(
        f"column {name!r} must be a list or an array, got {type(column).__name__}: one row is a "
        "list of one dict, [row]"
    )


def _is_from(library: str, kind: str, value: Any) -> bool:
    """Return whether a value is of a class of a library, which may not be there."""
    found = getattr(sys.modules.get(library), kind, None)
    return isinstance(found, type) and isinstance(value, found)


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _of_columns(rows: Mapping[Any, Any]) -> GivenRows:
    columns = [column_values(name, column) for name, column in rows.items()]
    return _named(list(rows), columns, max(map(len, columns), default=0))


def _of_records(rows: Sequence[Any]) -> GivenRows:
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"{_TAKEN}, got a list with {type(row).__name__} at {place}")
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    columns = [[row.get(name) for row in rows] for name in names]
    return _named(names, columns, len(rows), sparse=True)


def _named(
    names: Sequence[Any], columns: Sequence[list[Any]], n: int, *, sparse: bool = False
) -> GivenRows:
    """Return columns by name; a name that is no text, such as pandas' 0, becomes text."""
    found: dict[str, list[Any]] = {}
    for name, column in zip(map(str, names), columns, strict=True):
        if name in found:
            raise ValueError(f"two columns are called {name!r}")
        if len(column) != n:
            raise ValueError(f"column {name!r} must have {n} values as others, got {len(column)}")
        found[name] = column
    return GivenRows(found, n, sparse=sparse)


def _of_pandas(series: Any) -> list[Any]:
    """Return the values of a Series; at once where its type allows it."""
    kind = getattr(series.dtype, "kind", "O")
    if kind == "M":  # in microseconds and UTC, in place of one Timestamp a value
        series = series if getattr(series.dt, "tz", None) is None else series.dt.tz_convert(None)
        return series.to_numpy("datetime64[us]").tolist()  # type: ignore[no-any-return]
    if isinstance(series.dtype, np.dtype) and kind != "O":
        return _of_array(series.to_numpy())
    return series.to_numpy(object).tolist()  # type: ignore[no-any-return]


def _of_array(column: NDArray[Any]) -> list[Any]:
    for kind, unit in (("M", "datetime64[us]"), ("m", "timedelta64[us]")):
        if column.dtype.kind == kind:  # those in nanoseconds would become integers
            column = column.astype(unit)
    return column.tolist()  # type: ignore[no-any-return]


def _of_arrow(rows: Any, keep: Collection[Any]) -> tuple[NamedRows, dict[str, str]]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            f"rows are of {type(rows).__module__}.{type(rows).__name__}, which needs PyArrow: "
            "pip install 'streamreplay[arrow]'"
        ) from None
    streams = hasattr(rows, "__arrow_c_stream__")
    table = pa.table(rows) if streams else pa.Table.from_batches([pa.record_batch(rows)])
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise ValueError(f"two columns are called {min(twice)!r}")
    reasons = reasons_left_out(table.schema, keep)
    names = [name for name in table.column_names if name not in reasons]
    if not names:
        return GivenRows({}, table.num_rows), reasons
    whole = [table.column(name).combine_chunks() for name in names]
    return ArrowRows(plain_rows("rows", pa.RecordBatch.from_arrays(whole, names))), reasons
