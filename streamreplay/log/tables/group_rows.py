"""The long table of what lines say by group: a row for each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.log.tables.files import CodedColumn, TableFile
from streamreplay.log.tables.flatten import Grouped, group_values

__all__ = ["GROUP_COLUMNS", "GroupRows"]

GROUP_COLUMNS = {
    "kind": "string",
    "position": "int",
    "learner": "string",
    "by": "string",
    "group": "string",
    "field": "string",
    "value": "float",
}

_PART = 200_000  # rows written at a time
_Pattern: TypeAlias = tuple[Any, ...]


class _Codes:
    """Numbers for strings, in order of first sight."""

    def __init__(self) -> None:
        self.names: dict[str | None, int] = {}

    def of(self, names: Sequence[str | None]) -> NDArray[np.int32]:
        known = self.names
        return np.array([known.setdefault(name, len(known)) for name in names], np.int32)


class _Line(NamedTuple):
    """What all rows of a line share."""

    kind: str
    position: int
    learner: str | None
    pattern: _Pattern  # which groups and fields, in order


class GroupRows:
    """Rows on their way to the file.

    Lines mostly have the groups and fields of the line before: which they are is written down once
    for all of a part, as numbers, and of each line only its values.

    Parameters
    ----------
    file : TableFile
        With `GROUP_COLUMNS`.
    """

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self._last: dict[str, _Pattern] = {}  # by kind of line
        self._clear()

    def _clear(self) -> None:
        self._lines: list[_Line] = []
        self._values: list[float | None] = []

    def add(self, line: Mapping[str, Any], groups: Sequence[Grouped]) -> None:
        """Take in what a line says by group."""
        pattern: list[Any] = []
        for by, field, entries in groups:
            pattern.append(by)
            for group, entry in entries.items():
                values = group_values(entry, field)
                pattern.append((group, tuple(values)))
                self._values += values.values()
        kind, found = str(line["kind"]), tuple(pattern)
        if (last := self._last.get(kind)) == found and last is not None:
            found = last  # one object for all, told by its id: hashing it takes far longer
        self._last[kind] = found
        self._lines.append(_Line(kind, int(line["position"]), line.get("learner"), found))
        if len(self._values) >= _PART:
            self.flush()

    def flush(self) -> None:
        """Write what was taken in."""
        if not self._values:
            return
        columns = {name: _Codes() for name in ("kind", "learner", "by", "group", "field")}
        patterns = {id(line.pattern): line.pattern for line in self._lines}
        coded = {key: _code(pattern, columns) for key, pattern in patterns.items()}
        parts = [coded[id(line.pattern)] for line in self._lines]
        counts = [part.shape[1] for part in parts]
        codes = dict(zip(("by", "group", "field"), np.concatenate(parts, axis=1), strict=True))
        for name in ("kind", "learner"):
            each = columns[name].of([getattr(line, name) for line in self._lines])
            codes[name] = np.repeat(each, counts)
        self._file.write(
            {
                "position": np.repeat([line.position for line in self._lines], counts),
                "value": self._values,
                **{name: CodedColumn(codes[name], [*columns[name].names]) for name in columns},
            }
        )
        self._clear()


def _code(pattern: _Pattern, columns: Mapping[str, _Codes]) -> NDArray[np.int32]:
    """Write a pattern out as numbers: by, group and field of each row, int32[3, n]."""
    by, rows = "", []
    for part in pattern:
        if isinstance(part, tuple):
            group, fields = part
            rows += [(by, group, field) for field in fields]
        else:
            by = part
    names = zip(*rows, strict=True) if rows else ((), (), ())
    return np.stack(
        [columns[name].of(each) for name, each in zip(("by", "group", "field"), names, strict=True)]
    )
