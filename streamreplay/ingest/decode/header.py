"""Find the columns of a CSV stream by its header or by position."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from streamreplay.errors import ConfigError
from streamreplay.ingest.decode.options import FieldNames
from streamreplay.state import State

_DEFAULT = FieldNames(None).others()


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a CSV stream.

    Attributes
    ----------
    names : list of str
        As the header has them; the position where it says nothing, or where there is none.
    header : bool
        The first line is a header.
    label : int or None
        The label's column.
    others : dict of str to int
        The columns of task, experience, id, time and weight, of those that are there.
    features : list of int or None
        The columns to learn from; None until the first row has shown which are numbers.
    goal : list of int
        The columns of what is to be predicted in place of a label.
    """

    names: list[str]
    header: bool
    label: int | None
    others: dict[str, int]
    features: list[int] | None
    goal: list[int] = field(default_factory=list)

    @staticmethod
    def of(
        source: str,
        cells: list[str],
        *,
        header: bool,
        fields: FieldNames,
        features: Sequence[str | int] | None,
    ) -> Layout:
        """Lay out the columns by the first line.

        Raises
        ------
        ConfigError
            A column that was asked for is not there, or is to be both predicted and learned from.
        """
        find = _Finder(source, cells, header=header)
        label = find.label(fields)
        learned = None if features is None else [find("feature", name) for name in features]
        target = (
            [] if fields.goal is None else [find("target", name) for name in fields.goal.fields]
        )
        _check_learned(find, label, target, learned or [])
        return Layout(find.names, header, label, find.others(fields), learned, target)

    @property
    def reserved(self) -> set[int]:
        """The columns that are not features."""
        label = set() if self.label is None else {self.label}
        return label | set(self.others.values()) | set(self.goal)

    def numeric(self, cells: list[str]) -> list[int]:
        """Return the columns whose cell may be learned from: a number or nothing, not reserved."""
        reserved = self.reserved
        return [
            i
            for i, cell in enumerate(cells)
            if i not in reserved and (not cell.strip() or _is_number(cell))
        ]

    def is_header(self, cells: list[str]) -> bool:
        """Return whether a line repeats the header."""
        return self.header and self.names == [c.strip() or str(i) for i, c in enumerate(cells)]

    def with_features(self, features: list[int]) -> Layout:
        """Return the layout with the columns to learn from."""
        return replace(self, features=features)

    def asked_for(self, features: Sequence[str | int]) -> list[str]:
        """Return the names of columns that were asked for by name or position."""
        try:
            find = _Finder("", self.names, header=self.header)
            return [self.names[find("feature", name)] for name in features]
        except ConfigError:
            return [str(name) for name in features]

    def as_state(self) -> State:
        """Return everything as a tree for a checkpoint."""
        return asdict(self)


class _Finder:
    def __init__(self, source: str, cells: list[str], *, header: bool) -> None:
        self.source = source
        self.header = header
        stripped = [cell.strip() for cell in cells] if header else [""] * len(cells)
        self.names = [name or str(i) for i, name in enumerate(stripped)]

    def __call__(self, what: str, column: str | int) -> int:
        if isinstance(column, str) and (self.header or not re.fullmatch(r"-?\d+", column)):
            return self._by_name(what, column)
        position, n = int(column), len(self.names)
        if not -n <= position < n:
            raise ConfigError(
                f"{self.source}: {what} is column {position}, but there are {n}, counted from 0"
            )
        return position % n

    def label(self, fields: FieldNames) -> int | None:
        """Return the column of the label; None if there is none."""
        if fields.label == "":
            return None
        usual = "y" if self.header else len(self.names) - 1
        return self("label", usual if fields.label is None else fields.label)

    def others(self, fields: FieldNames) -> dict[str, int]:
        """Return the other columns that are asked for, or are there under their usual names."""
        return {
            key: self(key, field)
            for key, field in fields.others().items()
            if field != _DEFAULT.get(key) or (self.header and field in self.names)
        }

    def _by_name(self, what: str, name: str) -> int:
        if not self.header:
            raise ConfigError(
                f"{self.source}: {what} is column {name!r}, but there is no header: "
                f"give its position, 0 to {len(self.names) - 1}, or -1 for the last"
            )
        if self.names.count(name) == 1:
            return self.names.index(name)
        if name in self.names:
            raise ConfigError(f"{self.source}: two columns are called {name!r}")
        near = difflib.get_close_matches(name, self.names, 1)
        hint = f" (nearest: {near[0]!r})" if near else ""
        raise ConfigError(
            f"{self.source}: {what} {name!r} is not a column{hint}; the columns are "
            f"{', '.join(self.names)}"
        )


def _check_learned(find: _Finder, label: int | None, target: list[int], learned: list[int]) -> None:
    """Check that no column is both predicted and learned from."""
    if label is not None and label in learned:
        raise ConfigError(
            f"{find.source}: column {find.names[label]!r} is the label, and cannot be a feature too"
        )
    both = set(target) & set(learned)
    if both:
        raise ConfigError(
            f"{find.source}: column {find.names[min(both)]!r} is a target, and cannot be a feature "
            "too"
        )


def is_header(cells: Sequence[str]) -> bool:
    """Return whether the first line of a stream is a header: no cell is a number."""
    return not any(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number as Python writes it, without underscores."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
