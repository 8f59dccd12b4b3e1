"""Decode targets in place of classes: numbers, or which labels a row has."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.ingest.decode.values import BadRecord, check_finite, float32s, label_name, shown
from streamreplay.labels import Name
from streamreplay.state import State

Values = Sequence[Any]
"""The values of a target's fields in a record, in order; None where a field is missing."""

_INDICATORS: dict[float, float] = {0: 0.0, 1: 1.0}  # equal to False and True, 0.0 and 1.0
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class TargetFields:
    """The outputs of a stream, and the fields that hold them.

    Attributes
    ----------
    outputs : tuple of str or int
        What the d outputs are called.
    labels : bool
        They are labels, any number of which a row may have; otherwise numbers.
    field : str or None
        The one field with a list of the labels that a row has; None: each output is a field, with a
        number, or 0 or 1.
    """

    outputs: tuple[Name, ...]
    labels: bool = False
    field: str | None = None

    @property
    def fields(self) -> tuple[Name, ...]:
        """The fields to read."""
        return self.outputs if self.field is None else (self.field,)

    @property
    def names(self) -> list[str]:
        """What the outputs are called."""
        return [str(name) for name in self.outputs]

    def row(self, values: Values) -> list[float]:
        """Return the d numbers of a record; all NaN if it has none of them.

        Examples
        --------
        >>> TargetFields(("a", "b", "c"), labels=True, field="topics").row([["c", "a"]])
        [1.0, 0.0, 1.0]
        >>> TargetFields(("width", "height")).row([2, 3.5])
        [2.0, 3.5]
        """
        if all(value is None for value in values):
            return [math.nan] * len(self.outputs)
        if self.field is not None:
            return self._listed(values[0])
        if None in values:
            name = self.outputs[list(values).index(None)]
            raise BadRecord(f"target {name!r} is missing, but others are present")
        read = _indicator if self.labels else _number
        return [read(name, value) for name, value in zip(self.outputs, values, strict=True)]

    def rows(self, values: Sequence[Values]) -> NDArray[np.float64]:
        """Apply `row` to a column of records: float64[n, d]."""
        width = len(self.outputs)
        if not self.labels:
            flat = [value for row in values for value in row]
            try:
                raw = struct.pack(f"{len(flat)}d", *flat)  # see values.pack
            except (struct.error, TypeError, OverflowError):
                raw = b""
            found = np.frombuffer(raw, np.float64)
            if raw and np.isfinite(float32s(found)).all():
                return found.reshape(-1, width)
        return np.array([self.row(row) for row in values], np.float64).reshape(-1, width)

    def columns(self, target: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return ``y`` and ``target`` of a `Batch` for rows as `rows` makes them."""
        unknown = np.isnan(target[:, 0])
        y = -unknown.astype(np.int64)
        return y, (target > 0 if self.labels else target)  # NaN > 0 is false

    def as_state(self) -> State:
        """Return everything as a tree for a checkpoint."""
        return {"outputs": list(self.outputs), "labels": self.labels, "field": self.field}

    def _listed(self, value: Any) -> list[float]:
        if not isinstance(value, list):
            raise BadRecord(f"{self.field} is not a list of labels: {shown(value)}")
        found = [0.0] * len(self.outputs)
        for each in value:
            name = label_name(each)
            if name not in self.outputs:
                raise BadRecord(f"label {shown(each)} is not in the declared labels")
            found[self.outputs.index(name)] = 1.0
        return found


def targets_of(
    target: Name | Sequence[Name] | None, multilabel: Sequence[Name] | None, field: str | None
) -> TargetFields | None:
    """Return the targets that ``target``, ``multilabel`` and ``label`` name; None for classes.

    Raises
    ------
    ValueError
        Both are given, or a list is empty or names an output twice.
    """
    if target is None and multilabel is None:
        return None
    if target is not None and multilabel is not None:
        raise ValueError(
            "target (numbers) and multilabel (labels) cannot both be given, "
            f"got {target!r} and {multilabel!r}"
        )
    if target is not None and field is not None:
        raise ValueError(f"target goes without a label, got {field!r} as label")
    if multilabel is not None:
        return TargetFields(_different("multilabel", multilabel), labels=True, field=field)
    return TargetFields(_different("target", target))


def _different(key: str, given: Name | Sequence[Name] | None) -> tuple[Name, ...]:
    """Return the names that a key gives, which must be different."""
    outputs = (given,) if isinstance(given, str | int) else tuple(given or ())
    if not 1 <= len(set(map(str, outputs))) == len(outputs) <= _MOST:
        raise ValueError(f"{key} must be different names, 1 to {_MOST:,}, got {given}")
    return outputs


def row_weight(value: Any) -> float:
    """Return a row's weight, at least 0; 1 for None.

    Examples
    --------
    >>> row_weight(2), row_weight(None)
    (2.0, 1.0)
    """
    if value is None:
        return 1.0
    if type(value) not in (int, float):
        raise BadRecord(f"weight is not a number: {shown(value)}")
    if value < 0:
        raise BadRecord(f"weight must be at least 0: {value}")
    return check_finite("weight", _as_float("weight", value))


def row_weights(values: Sequence[Any]) -> NDArray[np.float32]:
    """Apply `row_weight` to a column."""
    return np.array([row_weight(value) for value in values], np.float32)


def _number(name: Name, value: Any) -> float:
    if type(value) not in (int, float, bool):
        raise BadRecord(f"target {name!r} is not a number: {shown(value)}")
    what = f"target {name!r}"
    return check_finite(what, _as_float(what, value))


def _as_float(what: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadRecord(f"{what} is not finite in float64: {shown(value)}") from None


def _indicator(name: Name, value: Any) -> float:
    found = _INDICATORS.get(value) if isinstance(value, int | float) else None
    if found is None:
        raise BadRecord(f"label {name!r} must be 0 or 1: {shown(value)}")
    return found
