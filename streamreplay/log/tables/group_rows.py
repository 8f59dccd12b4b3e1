"""The long table of scores by group: a row for each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.log.tables.files import CodedColumn, TableFile
from streamreplay.log.tables.flatten import Grouped, group_values

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
    """Assigns numbers to strings in the order in which they first occur."""

    def __init__(self) -> None:
        self.names: dict[str | None, int] = {}

    def of(self, names: Sequence[str | None]) -> NDArray[np.int32]:
        known = self.names
        return np.array([known.setdefault(name, len(known)) for name in names], np.int32)


class _Line(NamedTuple):
    """What the rows of one line have in common."""

    kind: str
    position: int
    learner: str | None
    pattern: _Pattern  # groups and fields in their order


class GroupRows:
    """Collects rows and writes them to the file in parts.

    Most lines have the same groups and fields as the line before. These are encoded as numbers once
    for each part; for each line only its values are kept.

    Parameters
    ----------
    file : TableFile
        Its columns are `GROUP_COLUMNS`.
    """

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self._last: dict[str, _Pattern] = {}  # by kind of line
        self._clear()

    def _clear(self) -> None:
        self._lines: list[_Line] = []
        self._values: list[float | None] = []

    def add(self, line: Mapping[str, Any], groups: Sequence[Grouped]) -> None:
        """Add the groups of a line."""
        pattern: list[Any] = []
        for by, field, entries in groups:
            pattern.append(by)
            for group, entry in entries.items():
                values = group_values(entry, field)
                pattern.append((group, tuple(values)))
                self._values += values.values()
        kind, found = str(line["kind"]), tuple(pattern)
        if (last := self._last.get(kind)) == found and last is not None:
            found = last  # one object for all, identified by its id, since hashing it is slow
        self._last[kind] = found
        self._lines.append(_Line(kind, int(line["position"]), line.get("learner"), found))
        if len(self._values) >= _PART:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows."""
        if not self._values:
            return
        names = {name: _Codes() for name in ("kind", "learner", "by", "group", "field")}
        codes, counts = self._encode(names)
        self._file.write(
            {
                "position": np.repeat([line.position for line in self._lines], counts),
                "value": self._values,
                **{name: CodedColumn(codes[name], [*own.names]) for name, own in names.items()},
            }
        )
        self._clear()

    def _encode(
        self, names: Mapping[str, _Codes]
    ) -> tuple[dict[str, NDArray[np.int32]], list[int]]:
        """Return the codes of each column, and the number of rows of each line."""
        patterns = {id(line.pattern): line.pattern for line in self._lines}
        coded = {key: _code(pattern, names) for key, pattern in patterns.items()}
        parts = [coded[id(line.pattern)] for line in self._lines]
        counts = [part.shape[1] for part in parts]
        codes = dict(zip(("by", "group", "field"), np.concatenate(parts, axis=1), strict=True))
        for name in ("kind", "learner"):
            each = names[name].of([getattr(line, name) for line in self._lines])
            codes[name] = np.repeat(each, counts)
        return codes, counts


def _code(pattern: _Pattern, columns: Mapping[str, _Codes]) -> NDArray[np.int32]:
    """Return the codes of by, group and field of each row of a pattern, int32[3, n]."""
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
