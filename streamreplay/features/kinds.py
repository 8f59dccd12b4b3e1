"""Infer from a column's first values what kind it is of."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from streamreplay.features.values import (
    MISSING,
    NO_TIME,
    Values,
    as_numbers,
    as_texts,
    as_times,
    is_missing,
)

__all__ = [
    "BLOCKS",
    "FITTING",
    "KINDS",
    "Block",
    "Column",
    "ColumnKind",
    "Inferred",
    "OnChange",
    "infer",
]

ColumnKind: TypeAlias = Literal["number", "boolean", "category", "text", "time", "ignored"]
OnChange: TypeAlias = Literal["evolve", "freeze", "ignore"]
Block: TypeAlias = Literal["number", "time", "category", "text"]
KINDS: tuple[ColumnKind, ...] = ("number", "boolean", "category", "text", "time", "ignored")

BLOCKS: dict[ColumnKind, Block] = {
    "number": "number",
    "boolean": "number",
    "time": "time",
    "category": "category",
    "text": "text",
}
"""The field of a packed row that a column of each kind is in."""

FITTING = 0.9  # share of the values that must fit, for a few typing errors not to decide
_NEW = 0.95  # share of different values from which on a column of single words tells nothing
_SEVERAL = 0.5  # share of different values from which on a column of several words is text
_ENOUGH = 20  # values from which on such shares mean something
_SINCE, _UNTIL = 315_532_800, 4_102_444_800  # 1980 and 2100 in seconds since 1970
_TIME_NAME = re.compile(r"(?i)(time|date|stamp|epoch|(^|_)(ts|at)$)")
_LARGEST = float(np.finfo(np.float32).max)
_FAR = 1 << 16  # magnitude over spread from which on float32 needs an anchor


def check_kinds(kinds: Mapping[str, str]) -> None:
    """Raise ValueError if a declared kind is none."""
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise ValueError(f"kind of {name!r} must be one of {', '.join(KINDS)}, got {kind!r}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    kind : ColumnKind
    place : int
        Its place among the columns of a block of `Schema`; -1 if it is ignored.
    anchor : float
        What is subtracted from its numbers before they are rounded to float32, so that numbers
        that lie close together far from 0, such as seconds since 1970, stay different.
    reason : str
        Why it is ignored, for people.
    """

    name: str
    kind: ColumnKind
    place: int = -1
    anchor: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the first values of a column show."""

    kind: ColumnKind
    anchor: float = 0.0
    reason: str = ""


def infer(
    name: str, values: Values, missing: Collection[str] = MISSING, decimal: str = "."
) -> Inferred:
    """Infer the kind of a column.

    Parameters
    ----------
    name : str
        It decides nothing by itself; whole numbers in the range of times since 1980 are times only
        if the name speaks of time or they never fall.
    values : Values
        At least one. Values that are missing decide nothing.
    missing : collection of str
        Texts that count as missing.
    decimal : str
        The decimal mark of numbers that are text.

    Examples
    --------
    >>> infer("size", ["1", "2.5", "NA"]).kind, infer("ok", ["true", "false"]).kind
    ('number', 'boolean')
    >>> infer("colour", ["red", "blue", "red"]).kind, infer("empty", ["", "NA"])
    ('category', Inferred(kind='ignored', anchor=0.0, reason='no value yet'))
    """
    there = [value for value in _listed(values) if not is_missing(value, missing)]
    if not there:
        return Inferred("ignored", reason="no value yet")
    if any(isinstance(value, dict | list) for value in there):
        return Inferred("ignored", reason="nested")
    if _all_booleans(there):
        return Inferred("boolean")
    numbers = as_numbers(there, missing, decimal)
    numeric = np.abs(numbers) <= _LARGEST  # NaN is not
    if numeric.mean() >= FITTING:
        return _numeric(name, numbers[numeric])
    times = as_times(there, missing)
    if (times != NO_TIME).mean() >= FITTING:
        return Inferred("time")
    return _textual([text for text in as_texts(there, missing) if text is not None])


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _all_booleans(values: list[Any]) -> bool:
    return all(
        isinstance(value, bool)
        or (isinstance(value, str) and value.strip().lower() in ("true", "false"))
        for value in values
    )


def _numeric(name: str, numbers: Any) -> Inferred:
    if _look_like_times(name, numbers):
        return Inferred("time")
    middle = float(np.median(numbers))
    spread = float(np.median(np.abs(numbers - middle))) or float(np.ptp(numbers)) or 1.0
    return Inferred("number", middle if abs(middle) > _FAR * spread else 0.0)


def _look_like_times(name: str, numbers: Any) -> bool:
    if not (numbers == np.round(numbers)).all():
        return False
    seconds = numbers / 1000 if numbers.min() >= 1000.0 * _SINCE else numbers
    if not ((seconds >= _SINCE) & (seconds < _UNTIL)).all():
        return False
    rising = len(numbers) >= _ENOUGH and bool((np.diff(numbers) >= 0).all())
    return rising or bool(_TIME_NAME.search(name))


def _textual(texts: list[str]) -> Inferred:
    different = len(set(texts)) / len(texts)
    words = sum(len(text.split()) for text in texts) / len(texts)
    if len(texts) < _ENOUGH:
        return Inferred("text" if words >= 4 else "category")
    if words >= 2 and different > _SEVERAL:
        return Inferred("text")
    if different > _NEW:
        return Inferred("ignored", reason="every value is new")
    return Inferred("category")
