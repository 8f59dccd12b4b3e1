"""Convert Arrow columns to values as JSON has them.

A column is first made *plain*: of one of a few types, whatever type it was stored in. All functions
but `left_out`, `reasons_left_out` and `plain` expect plain columns. PyArrow is an extra: only
functions import it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.errors import SourceError
from streamreplay.ingest.decode.python_values import role_value
from streamreplay.ingest.decode.values import float32s

_TEXTS = ("string", "large_string", "string_view")
_BYTES = ("binary", "large_binary", "binary_view", "fixed_size_binary")

Array: TypeAlias = Any
"""A ``pyarrow.Array``."""


def is_list(kind: Any) -> bool:
    """Return whether a column of an Arrow type may hold arrays of numbers, one in each row."""
    from pyarrow import types  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    kind = _stored(kind)
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def left_out(kind: Any) -> str:
    """Return why a column of an Arrow type cannot be learned from; "" if it can be."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    kind = _stored(kind)
    if types.is_dictionary(kind):
        return left_out(kind.value_type)
    if types.is_nested(kind):
        return "nested"
    if _is_bytes(kind):
        return "bytes"
    return "" if plain_type(kind) is not None else str(kind)


def reasons_left_out(schema: Any, keep: Collection[Any]) -> dict[str, str]:
    """Return why columns of an Arrow schema cannot be learned from, but for those to keep."""
    reasons = {field.name: left_out(field.type) for field in schema}
    return {name: why for name, why in reasons.items() if why and name not in keep}


def plain_type(kind: Any) -> Any:
    """Return the type that a column is made, by the type it has; None if there is none."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import types  # noqa: PLC0415

    as_it_is = (types.is_integer, types.is_boolean, types.is_null, types.is_decimal, is_list)
    if any(test(kind) for test in as_it_is):
        return kind
    made = {
        types.is_floating: pa.float64(),
        types.is_duration: pa.float64(),
        types.is_date: pa.date32(),
        types.is_timestamp: pa.timestamp("us"),
        types.is_time: pa.large_string(),
        _is_text: pa.large_string(),
        _is_bytes: pa.large_binary(),
    }
    return next((plain for test, plain in made.items() if test(kind)), None)


def plain(column: Array) -> Array:
    """Return a column with its values in their plain type.

    Dictionaries become their values; times of the day become text; durations become seconds. A
    timestamp is in microseconds since 1970 in UTC, whatever its zone.
    """
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import compute, types  # noqa: PLC0415

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if types.is_dictionary(column.type):
        return plain(column.dictionary_decode())
    kind, wanted = column.type, plain_type(column.type)
    if wanted is None or kind == wanted:
        return column
    if types.is_time(kind):
        return pa.array([v and v.isoformat() for v in _objects(column)], wanted)
    if types.is_duration(kind):
        seconds = column.cast(pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.float64())
        return compute.divide(seconds, 1e6)
    if types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    return column.cast(wanted, safe=False)


def errors_of_arrow() -> tuple[type[Exception], ...]:
    """Return what PyArrow raises where data are broken."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    return (pa.ArrowException, OSError, UnicodeDecodeError)


def plain_rows(source: str, rows: Any) -> Any:
    """Return a record batch with plain columns, all of whose values were checked.

    Raises
    ------
    SourceError
        A column is broken, or cannot be converted.
    """
    import pyarrow as pa  # noqa: PLC0415 - an extra

    broken = errors_of_arrow()
    names, columns = rows.schema.names, []
    for name, column in zip(names, rows.columns, strict=True):
        try:
            column.validate(full=True)  # offsets out of range would end the process
            columns.append(plain(column))
        except broken as error:
            raise SourceError(f"{source}: column {name!r} cannot be read: {error}") from None
    return pa.RecordBatch.from_arrays(columns, names) if columns else rows


def values(column: Array) -> list[Any]:
    """Return the values of a feature: numbers, strings, booleans, dates, datetimes, None.

    A number that is missing may be NaN.
    """
    from pyarrow import types  # noqa: PLC0415 - an extra

    kind = column.type
    if types.is_decimal(kind):
        return [None if value is None else float(value) for value in column.to_pylist()]
    if types.is_null(kind) or (types.is_integer(kind) and column.null_count):
        return column.to_pylist()  # type: ignore[no-any-return]
    return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]


def role_values(role: str, column: Array) -> list[Any]:
    """Return the values of a column that is no feature, as JSON would have them.

    Dates become text in ISO 8601, but for the role ``time`` seconds since 1970.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from decimal import Decimal
    >>> role_values("id", pa.array([Decimal(7), None])), role_values("label", pa.array([b"a"]))
    (['7', None], ['a'])
    """
    return [role_value(role, value) for value in _objects(column)]


def numbers_of(column: Array) -> NDArray[np.float32] | None:
    """Return the arrays of numbers in a column of lists: float32[n, *shape].

    Return None if they are of different shapes, or not all are finite numbers: each row has to be
    looked at by itself.
    """
    from pyarrow import compute, types  # noqa: PLC0415 - an extra

    shape = [len(column)]
    while is_list(column.type):
        lengths = set(compute.list_value_length(column).unique().to_pylist())
        if len(lengths) != 1 or not next(iter(lengths)):
            return None
        shape.append(lengths.pop())
        column = compute.list_flatten(column)
    kind = column.type
    if column.null_count or not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    found = float32s(column.to_numpy(zero_copy_only=False).astype(np.float64)).reshape(shape)
    return found if np.isfinite(found).all() else None


def _objects(column: Array) -> list[Any]:
    """Return all values as Python's own objects; those in lists too."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    if types.is_timestamp(column.type) or types.is_date(column.type):
        return column.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _stored(kind: Any) -> Any:
    """Return the type in which the values of an extension type are stored."""
    return getattr(kind, "storage_type", kind)


def _is_text(kind: Any) -> bool:
    return str(kind) in _TEXTS


def _is_bytes(kind: Any) -> bool:
    return str(kind).partition("[")[0] in _BYTES


class ArrowRows:
    """The rows of a record batch of plain columns, as `NamedRows`.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = ArrowRows(pa.record_batch({"size": [1.5, None], "y": [b"cat", b"dog"]}))
    >>> len(rows), rows.names, rows.values("size"), rows.role_values("label", "y")
    (2, ['size', 'y'], [1.5, nan], ['cat', 'dog'])
    """

    sparse = False
    """All rows have the same columns."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    @property
    def names(self) -> list[str]:
        """The columns, in order."""
        return self._rows.schema.names  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def values(self, name: str) -> list[Any]:
        """Return the values of a feature."""
        return values(self._rows.column(name))

    def role_values(self, role: str, name: str) -> list[Any]:
        """Return the values of a column that is no feature, as JSON would have them."""
        return role_values(role, self._rows.column(name))

    def holds_arrays(self, name: str) -> bool:
        """Return whether a column may have a list of numbers in each row."""
        return is_list(self._rows.schema.field(name).type)

    def arrays(self, name: str) -> list[Any]:
        """Return the values of a column of lists of numbers."""
        return self._rows.column(name).to_pylist()  # type: ignore[no-any-return]

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """Return a column of lists of numbers as one array; see `numbers_of`."""
        return numbers_of(self._rows.column(name))

    def text(self) -> bytes:
        """Return the first row as JSON, for people."""
        return orjson.dumps(self._rows.slice(0, 1).to_pylist()[0], default=str)
