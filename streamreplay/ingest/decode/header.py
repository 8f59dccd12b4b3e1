"""Find the columns of a CSV stream by its header or by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from streamreplay.errors import ConfigError, SourceError
from streamreplay.ingest.decode.cells import CellColumns, has_decimal_comma, is_number
from streamreplay.ingest.decode.column_finder import ColumnFinder, column_names
from streamreplay.ingest.decode.detect_header import may_be_names
from streamreplay.ingest.decode.options import FieldNames
from streamreplay.ingest.decode.roles import shows_time
from streamreplay.ingest.decode.values import BadRecord, json_number
from streamreplay.state import State

_UNNAMED = re.compile(r"Unnamed: [0-9]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a CSV stream.

    Attributes
    ----------
    names : list of str
        As the header has them; as pandas calls them where it says nothing (``Unnamed: 3``) or says
        the same again (``a.1``); the position where there is no header.
    header : bool
        The first line is a header.
    label : int or None
        The label's column.
    others : dict of str to int
        The columns of task, experience, id, time and weight, of those that are there.
    features : list of int or None
        The columns to learn from; None until the first row has shown what the columns are for.
    goal : list of int
        The columns of what is to be predicted in place of a label.
    left_out : dict of str to str
        Why each column that is not used is left out, by name.
    """

    names: list[str]
    header: bool
    label: int | None
    others: dict[str, int]
    features: list[int] | None
    goal: list[int] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

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
            A column that was asked for is not there, or is to be both predicted and learned from;
            or the last column, of the label, has no value.
        """
        if not header and fields.label is None and not cells[-1].strip():
            raise ConfigError(
                f"{source}: the last cell of the first line is empty: set source.label to the "
                'position of the label\'s column, or to "" if there is none'
            )
        find = ColumnFinder(source, cells, header=header)
        label = find.label(fields)
        learned = None if features is None else [find("feature", name) for name in features]
        target = (
            [] if fields.goal is None else [find("target", name) for name in fields.goal.fields]
        )
        _check_learned(find, label, target, learned or [])
        return Layout(find.names, header, label, find.others(fields, learned or []), None, target)

    @property
    def reserved(self) -> set[int]:
        """The columns that are not features."""
        label = set() if self.label is None else {self.label}
        return label | set(self.others.values()) | set(self.goal)

    @property
    def _predicted(self) -> list[int]:
        """The columns of what is to be predicted."""
        return self.goal if self.label is None else [*self.goal, self.label]

    def check_no_comma(self, source: str, cells: list[str]) -> None:
        """Raise `ConfigError` if a cell of the first row may be a number with a decimal comma."""
        for i, cell in enumerate(cells):
            if has_decimal_comma(cell) and i not in self.reserved:
                raise ConfigError(
                    f"{source}: column {self.names[i]!r} holds {cell!r}: set "
                    'source.decimal = "," if this is a number, "." if it is text'
                )

    def may_hold_header(self, cells: CellColumns) -> bool:
        """Return whether a line that names the columns may be among rows.

        Where the cells of the first column are numbers, no name may be one.
        """
        if not self.header:
            return False
        label, first = self.label, cells[0]
        if label is not None and self.names[label] in cells[label]:
            return True
        return isinstance(first, list) and not set(self.names).isdisjoint(first)

    def is_header(self, cells: list[str] | None) -> bool:
        """Return whether a line, given its cells if it has any, names the same columns."""
        try:
            return cells is not None and self.reordered(self.fitted(cells)) is not None
        except BadRecord:
            return False

    def reordered(self, cells: list[str]) -> Layout | None:
        """Return the layout behind a line that names the same columns; None for another line.

        Where all names are numbers, only the same line again counts, with three columns or more.
        """
        if not self.header or len(cells) != len(self.names):
            return None
        first = cells[0].strip()
        if first and first not in self.names:
            return None
        names = column_names(cells)
        numbers = all(map(is_number, names))
        if names == self.names:
            return None if numbers and len(names) < 3 else self
        if numbers or sorted(names) != sorted(self.names):
            return None
        to = [names.index(name) for name in self.names]
        return replace(
            self,
            names=names,
            label=None if self.label is None else to[self.label],
            others={key: to[i] for key, i in self.others.items()},
            features=None if self.features is None else [to[i] for i in self.features],
            goal=[to[i] for i in self.goal],
        )

    def in_order_of(self, other: Layout, cells: list[str]) -> list[str]:
        """Return the cells of a row of the same columns in another order, in the order of these."""
        if other.names == self.names:
            return cells
        return [cells[other.names.index(name)] for name in self.names]

    def check_no_other_header(self, cells: list[str]) -> None:
        """Raise `BadRecord` if a line names the label and most columns, though not these."""
        if not self.header or self.label is None or cells[self.label] != self.names[self.label]:
            return
        known = set(cells) & set(self.names)
        if 2 * len(known) <= len(cells) or any(map(is_number, cells)):
            return
        if self.reordered(cells) is None:
            raise BadRecord("line is a header of other columns")

    def check_no_header(self, cells: list[str]) -> None:
        """Raise `BadRecord` if the first line of a further part is a header, but there was none."""
        said = [cell.strip() for cell in cells]
        if not self.header and may_be_names(said) and not any(map(is_number, said)):
            raise BadRecord("line is a header, but the stream began without one")

    def fitted(self, cells: list[str]) -> list[str]:
        """Return the cells of a row, as many as there are columns.

        An empty cell behind the last column is dropped, as is an empty name in the header.

        Raises
        ------
        BadRecord
            There are more or fewer.
        """
        width = len(self.names)
        if len(cells) == width + 1 and not cells[-1].strip():
            return cells[:-1]
        if len(cells) == width - 1 and self.header and self.names[-1] == f"Unnamed: {width - 1}":
            return [*cells, ""]
        if len(cells) != width:
            raise BadRecord(f"line has {len(cells)} cells, expected {width}")
        return cells

    def continued(
        self, source: str, cells: list[str], *, unlabelled: bool = False
    ) -> Layout | None:
        """Return the layout behind the first line of a further part; None if it is no header.

        ``unlabelled`` parts need no column with what is to be predicted.

        Raises
        ------
        SourceError
            It is a header of another stream: without the label, or without any feature.
        """
        same = self.reordered(cells)
        if same is not None or not self.header:
            return same
        names = column_names(cells)
        if not self._like_header(names, [cell.strip() for cell in cells]):
            return None
        lost = self._lost(names, unlabelled=unlabelled)
        if lost:
            raise SourceError(
                f"{source}: {lost}; the columns were {', '.join(self.names)}, and are "
                f"{', '.join(names)} in this part"
            )
        place = {name: i for i, name in enumerate(names)}
        others = {key: self.names[i] for key, i in self.others.items()}
        goal = [place[name] for name in (self.names[i] for i in self.goal) if name in place]
        label = None if self.label is None else place.get(self.names[self.label])
        found = Layout(
            names,
            header=True,
            label=label,
            others={key: place[name] for key, name in others.items() if name in place},
            features=None,
            goal=goal if len(goal) == len(self.goal) else [],
            left_out=self.left_out,
        )
        return replace(found, features=found._learned_of(self))

    def without_goal(self, source: str, cells: list[str]) -> Layout:
        """Return the layout of a part to be predicted that begins with a row, without a header.

        It may lack the columns that are to be predicted.

        Raises
        ------
        SourceError
            Columns have names, and only a header could tell which is which.
        """
        if self.header:
            raise SourceError(
                f"{source}: the first line is no header, but columns are matched by their names: "
                f"{', '.join(self.names)}"
            )
        kept = [i for i in range(len(self.names)) if i not in self._predicted]
        if len(cells) != len(kept):
            return self
        features = [kept.index(i) for i in self.features or ()]
        names = [self.names[i] for i in kept]
        return replace(self, names=names, label=None, others={}, features=features, goal=[])

    def _learned_of(self, before: Layout) -> list[int]:
        """Return the columns to learn from, where another layout has decided about most of them."""
        learned = {before.names[i] for i in before.features or ()}
        only = "not asked for" in before.left_out.values()
        return [
            i
            for i, name in enumerate(self.names)
            if i not in self.reserved
            and name not in self.left_out
            and (name in learned or not only)
        ]

    def with_time(self, rows: Sequence[list[str]]) -> Layout:
        """Return the layout without a column of times if the first value in rows is none."""
        i = self.others.get("time")
        if i is None:
            return self
        values = (cell_value(row[i]) for row in rows)
        if shows_time(next((each for each in values if each is not None), None)):
            return self
        return replace(self, others={key: at for key, at in self.others.items() if key != "time"})

    def decided(self, first: list[str], asked: list[int] | None) -> Layout:
        """Return the layout with the columns that may be learned from.

        Parameters
        ----------
        cells : list of str
            The cells of the first row.
        asked : list of int or None
            The features, if they are given.
        """
        learned: list[int] = []
        left_out: dict[str, str] = {}
        for i, cell in enumerate(first):
            if i in self.reserved or (asked is not None and i in asked):
                continue
            if self.header and i == 0 and _UNNAMED.fullmatch(self.names[i]) and cell.isdecimal():
                left_out[self.names[i]] = "row numbers"  # the index that pandas writes
            elif asked is not None:
                left_out[self.names[i]] = "not asked for"
            else:
                learned.append(i)
        return replace(self, features=learned if asked is None else asked, left_out=left_out)

    def positions(self, features: Sequence[str | int]) -> list[int]:
        """Return the positions of columns that were asked for by name or position."""
        find = ColumnFinder("", self.names, header=self.header)
        return [find("feature", name) for name in features]

    def asked_for(self, features: Sequence[str | int]) -> list[str]:
        """Return the names of columns that were asked for by name or position."""
        try:
            return [self.names[i] for i in self.positions(features)]
        except ConfigError:
            return [str(name) for name in features]

    def as_state(self) -> State:
        """Return everything as a tree for a checkpoint."""
        return asdict(self)

    def _like_header(self, names: list[str], cells: list[str]) -> bool:
        """Return whether a line is a header, though not of these columns."""
        shared = set(names) & set(self.names)
        numbers = {cell for cell in cells if is_number(cell)}
        if not numbers:
            return bool(shared) or may_be_names(cells)
        return (
            may_be_names(cells) and set(cells) - numbers <= shared and 2 * len(shared) >= len(cells)
        )

    def _lost(self, names: list[str], *, unlabelled: bool) -> str:
        """Return what makes a stream with other columns another one; "" if nothing does."""
        for name in () if unlabelled else (self.names[i] for i in self._predicted):
            if name not in names:
                return f"the column {name!r}, to be predicted, is missing"
        if self.features is not None and not {self.names[i] for i in self.features} & set(names):
            return "no feature has its old name"
        return ""


def _check_learned(
    find: ColumnFinder, label: int | None, target: list[int], learned: list[int]
) -> None:
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


def cell_value(cell: str, decimal: str = ".") -> float | str | None:
    """Return what a cell stands for where columns are chosen: a number, text or nothing."""
    cell = cell.strip()
    if cell and is_number(cell, decimal):
        return json_number(cell) or 0.0
    return cell or None
