"""Read records of JSON, and convert arrays and unusual numbers in them."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from streamreplay.ingest.decode.values import BadRecord, number, pack, refuse_utf16, shown


def json_record(line: bytes) -> dict[str, Any]:
    """Return the object of a line, in which NaN and Infinity may be numbers.

    Raises
    ------
    BadRecord
        It is not UTF-8, not JSON or not an object.
    """
    refuse_utf16(line)
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(f"not UTF-8 at byte {error.start} of the line") from None
    try:
        record = _loads(line.removeprefix(BOM_UTF8))
    except json.JSONDecodeError as error:  # orjson's is one as well
        raise BadRecord(f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadRecord(f"not a JSON object: {shown(record)}")
    return record


def json_records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the objects of those lines that can be read."""
    for line in lines:
        with suppress(BadRecord):
            yield json_record(line)


def _loads(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        if b"NaN" in line or b"Infinity" in line:
            return _loads_with_nan(line)
        raise


def objects(lines: list[bytes]) -> list[dict[str, Any]]:
    """Return the objects of lines, quickly.

    Raises
    ------
    ValueError
        At least one line needs a closer look.
    """
    found = list(map(orjson.loads, lines))
    if set(map(type, found)) != {dict}:
        raise ValueError("a line is not a JSON object")
    return found


def by_field(records: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of fields, None where a record lacks one."""
    if len(names) > 1:
        try:
            columns = zip(*map(itemgetter(*names), records), strict=True)
            return dict(zip(names, map(list, columns), strict=True))
        except KeyError:
            pass
    return {name: [record.get(name) for record in records] for name in names}


def flatten(name: str, value: Any) -> tuple[list[float], tuple[int, ...]]:
    """Return the numbers of a nested array, and its shape.

    Examples
    --------
    >>> flatten("x", [[1, 2], [3, 4]])
    ([1.0, 2.0, 3.0, 4.0], (2, 2))
    """
    if value is None:
        raise BadRecord(f"{name} is missing")
    if not isinstance(value, list):
        raise BadRecord(f"{name} is not an array: {shown(value)}")
    level: list[Any] = [value]
    shape: list[int] = []
    while level and isinstance(level[0], list):
        sizes = {len(part) if isinstance(part, list) else -1 for part in level}
        if len(sizes) > 1:
            raise BadRecord(f"{name} is ragged: its parts differ in length")
        shape.append(sizes.pop())
        level = list(chain.from_iterable(level))
    if not level:
        raise BadRecord(f"{name} is empty")
    numbers = [number(f"{name}{_place(i, shape)}", part) for i, part in enumerate(level)]
    return numbers, tuple(shape)


def pack_arrays(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return arrays of one shape: float32[n, *shape].

    Raises
    ------
    BadRecord
        At least one needs a closer look; so does ``ValueError``.
    """
    level = values
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise BadRecord(f"an array has another shape than {list(shape)}")
        level = list(chain.from_iterable(level))
    return pack(level, shape)


def _place(flat: int, shape: list[int]) -> str:
    return "".join(f"[{i}]" for i in np.unravel_index(flat, shape))


def check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise unless an array has the shape of those before it."""
    if shape == expected:
        return
    if len(shape) == len(expected) == 1:
        raise BadRecord(f"{name} has {shape[0]} numbers, expected {expected[0]}")
    raise BadRecord(f"{name} has shape {list(shape)}, expected {list(expected)}")


def _loads_with_nan(line: bytes) -> Any:
    """Read JSON in which NaN and Infinity are numbers."""
    record = json.loads(line.decode(), parse_int=_int_or_float)
    # unlike orjson, json lets half a surrogate pair pass, which no text file can hold
    json.dumps(record, ensure_ascii=False).encode()
    return record


def _int_or_float(digits: str) -> float:
    return int(digits) if len(digits) <= 20 else float(digits)
