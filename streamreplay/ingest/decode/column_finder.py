"""Find the columns that a job names in the first line of a CSV stream."""

from __future__ import annotations

import re
from collections.abc import Sequence

from streamreplay.errors import ConfigError
from streamreplay.ingest.decode.absent_columns import not_a_column, set_with
from streamreplay.ingest.decode.options import FieldNames


class ColumnFinder:
    """Finds the columns that a job names in the first line of a CSV stream.

    Parameters
    ----------
    source : str
        What messages call the stream.
    cells : list of str
        Of the first line.
    header : bool
        It is a header.
    """

    def __init__(self, source: str, cells: list[str], *, header: bool) -> None:
        self.source = source
        self.header = header
        self.said = [cell.strip() for cell in cells]
        self.names = column_names(cells) if header else [str(i) for i in range(len(cells))]

    def __call__(self, what: str, column: str | int) -> int:
        """Return the position of a column; raise `ConfigError` if there is none.

        ``what`` is what the message calls it.
        """
        if isinstance(column, str) and (self.header or not re.fullmatch(r"-?\d+", column)):
            return self._by_name(what, column)
        position, n = int(column), len(self.names)
        if not -n <= position < n:
            raise ConfigError(
                f"{self.source}: {what} is column {position}, but there are {n}, counted from 0; "
                f"{set_with(what)}"
            )
        return position % n

    def label(self, fields: FieldNames) -> int | None:
        """Return the column of the label; None if there is none."""
        if fields.label == "":
            return None
        usual = "y" if self.header else len(self.names) - 1
        return self("label", usual if fields.label is None else fields.label)

    def others(self, fields: FieldNames, learned: list[int]) -> dict[str, int]:
        """Return the other columns that are asked for, or may have a role by their names."""
        given = {key: self(key, field) for key, field in fields.others().items()}
        taken = [self.names[i] for i in (*learned, *given.values())]
        by_name = fields.by_name(record=False, features=taken) if self.header else {}
        return given | {key: self(key, name) for key, name in by_name.items() if name in self.names}

    def _by_name(self, what: str, name: str) -> int:
        if not self.header:
            raise ConfigError(
                f"{self.source}: {what} is column {name!r}, but there is no header: "
                f"give its position, 0 to {len(self.names) - 1}, or -1 for the last; "
                f"{set_with(what)}; is source.header right?"
            )
        if self.said.count(name) > 1:
            raise ConfigError(f"{self.source}: two columns are called {name!r}")
        if name in self.names:
            return self.names.index(name)
        raise ConfigError(f"{self.source}: {not_a_column(what, name, self.names, is_csv=True)}")


def column_names(cells: Sequence[str]) -> list[str]:
    """Return names of columns that all differ, as pandas makes them.

    Examples
    --------
    >>> column_names(["", "a ", "b", "a"])
    ['Unnamed: 0', 'a', 'b', 'a.1']
    """
    given = [cell.strip() or f"Unnamed: {i}" for i, cell in enumerate(cells)]
    names: dict[str, None] = {}
    for name in given:
        unique, count = name, 0
        while unique in names or (count and unique in given):
            count += 1
            unique = f"{name}.{count}"
        names[unique] = None
    return list(names)
