"""Lines of a log as rows of tables: nested values by dotted names, groups apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

_SCALARS = {bool: "bool", int: "int", float: "float", str: "string"}
_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)
_NAMES = ("prediction", "label")  # columns that hold class names


class Grouped(NamedTuple):
    """An object in a line with an entry for each group.

    Attributes
    ----------
    by : str
        What the groups are: class, task, ...
    field : str
        The name of an entry's value, if it is a number.
    entries : mapping
        Entries by the name of the group.
    """

    by: str
    field: str
    entries: Mapping[str, Any]


def flatten_line(line: Mapping[str, Any]) -> tuple[dict[str, Any], list[Grouped]]:
    """Return the fields of a line by dotted names, and its groups.

    Examples
    --------
    >>> flat, groups = flatten_line(
    ...     {"rows": 3, "mean": {"mae": 1.5}, "by_class": {"cat": {"rows": 2}}}
    ... )
    >>> flat
    {'rows': 3, 'mean.mae': 1.5}
    >>> groups
    [Grouped(by='class', field='value', entries={'cat': {'rows': 2}})]
    """
    flat: dict[str, Any] = {}
    groups: list[Grouped] = []
    for key, value in line.items():
        if type(value) is not dict:
            flat[key] = value
        elif (found := _by(key)) is not None:
            groups.append(Grouped(*found, value))
        else:
            _flatten_into(flat, key, value)
    return flat, groups


def _flatten_into(flat: dict[str, Any], key: str, inner: Mapping[str, Any]) -> None:
    for name, value in inner.items():
        if type(value) is dict:
            _flatten_into(flat, f"{key}.{name}", value)
        else:
            flat[f"{key}.{name}"] = value


@cache
def _by(key: str) -> tuple[str, str] | None:
    """Return what a field like ``accuracy_by_experience`` groups by, and the name of its values."""
    found = re.fullmatch(r"(?:(.+)_)?by_(.+)", key)
    return found and (found[2], found[1] or "value")


def group_values(entry: Any, field: str) -> Mapping[str, Any]:
    """Return the values of one group by dotted names.

    Examples
    --------
    >>> group_values({"rows": 2, "metrics": {"MacroF1": 0.5}}, "value")
    {'rows': 2, 'metrics.MacroF1': 0.5}
    >>> group_values(0.5, "accuracy")
    {'accuracy': 0.5}
    """
    if type(entry) is not dict:
        return {field: entry}
    if dict in map(type, entry.values()):
        flat, _ = flatten_line(entry)
        return flat
    return entry


def declared_types(forms: Iterable[type[BaseModel]], prefix: str = "") -> dict[str, str]:
    """Return the types of the scalar fields of some models of lines, by dotted names.

    Examples
    --------
    >>> from streamreplay.log.schema import KINDS
    >>> types = declared_types(KINDS["prequential"])
    >>> types["position"], types["kappa"], types["no_change.accuracy"]
    ('int', 'float', 'float')
    """
    found: dict[str, str] = {}
    for form in forms:
        for name, field in form.model_fields.items():
            for choice in _choices(field.annotation):
                if isinstance(choice, type) and issubclass(choice, BaseModel):
                    found |= declared_types([choice], f"{prefix}{name}.")
                elif choice in _SCALARS:
                    found.setdefault(prefix + name, _SCALARS[choice])
    return found


def _choices(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union type."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _choices(part)
    else:
        yield annotation


class Shapes:
    """Collects the columns of a table and their types from lines.

    Parameters
    ----------
    named : bool
        Whether ``prediction`` and ``label`` may hold names of classes; they are strings then.
    declared : mapping of str to str, optional
        Types of columns that are empty in all rows; by default string.
    """

    def __init__(self, *, named: bool = False, declared: Mapping[str, str] | None = None) -> None:
        self._named = named
        self._declared = declared or {}
        self.grouped = False
        """Whether there are lines with groups."""
        self._rows: dict[tuple[str, ...], None] = {}  # names and types of each shape
        self._numbers: set[int] = set()  # names of classes that are numbers

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        flat, groups = flatten_line(line)
        self.grouped = self.grouped or bool(groups)
        self._rows[(*flat, *map(_type, flat.values()))] = None
        if self._named:
            self._numbers.update(v for key in _NAMES if type(v := line.get(key)) is int)

    def columns(self) -> dict[str, str]:
        """Return the type of each column: bool, int, float, string, or a list as ``[int]``.

        The order is that of the longest row. A column with values of several types is a string.
        """
        kinds: dict[str, set[str]] = {}
        for row in sorted(self._rows, key=len, reverse=True):
            half = len(row) // 2
            for name, kind in zip(row[:half], row[half:], strict=True):
                kinds.setdefault(name, set()).add(kind)
        objects = {name.rpartition(".")[0] for name in (*kinds, *self._declared)}
        for name, found in list(kinds.items()):
            found.discard("null")
            if not found and name in self._declared:
                found.add(self._declared[name])
            if not found and name in objects:
                del kinds[name]  # an object that is null: its fields are the columns
        return {name: self._merge(name, found) for name, found in kinds.items()}

    def _merge(self, name: str, kinds: set[str]) -> str:
        """Return the one type of a column that has values of some types."""
        if self._named and name in _NAMES and kinds <= {"int", "string"}:
            return "string"
        lists = {kind[1:-1] for kind in kinds if kind.startswith("[")}
        if not lists:
            return _merge_scalars(kinds)
        mixed = any(not kind.startswith("[") for kind in kinds)
        return "string" if mixed else f"[{self._merge('', lists - {''})}]"

    def text(self, name: str, value: Any) -> str | None:
        """Return a value of a string column as text; class names as in the keys of metrics.jsonl.

        If there are classes 1 and "1", the latter is quoted.
        """
        if value is None:
            return None
        if not isinstance(value, str):
            return str(value) if type(value) is int else json.dumps(value)
        clash = self._named and name in _NAMES and _WHOLE.fullmatch(value)
        return json.dumps(value) if clash and int(value) in self._numbers else value


def _merge_scalars(kinds: set[str]) -> str:
    if kinds == {"int", "float"}:
        return "float"
    return next(iter(kinds)) if len(kinds) == 1 else "string"


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        kinds = {_type(each) for each in value} - {"null"}
        kinds = {"float"} if kinds == {"int", "float"} else kinds
        return f"[{'' if not kinds else kinds.pop() if len(kinds) == 1 else 'string'}]"
    return _SCALARS.get(type(value), "string")
