"""Streams of lines of cells."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamreplay.ingest.connect.line_source import BOM, LineSource
from streamreplay.ingest.dead_letters import DeadLetters, Fault
from streamreplay.ingest.decode.cells import (
    goal_cell,
    integer_cell,
    is_blank,
    number_cell,
    numbers,
    split,
    table,
    time_cell,
)
from streamreplay.ingest.decode.header import Layout, is_header
from streamreplay.ingest.decode.options import FieldNames, SourceOptions
from streamreplay.ingest.decode.rows import Columns, Row
from streamreplay.ingest.decode.targets import TargetFields, row_weight, row_weights, targets_of
from streamreplay.ingest.decode.values import (
    BadRecord,
    integer,
    integers,
    label_cell,
    row_id,
    row_ids,
)
from streamreplay.labels import Labels, Name
from streamreplay.state import State, expect

_CACHED = 1 << 16


class CsvSource(LineSource):
    r"""Rows from lines of cells, with or without a header.

    There is a header if no cell of the first line is a number. A line that repeats it is skipped,
    as in files joined by ``cat``. Features are all columns not named below whose first cell is a
    number or empty; `left_out` lists the others. Quoted cells may hold the delimiter, but no line
    end.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input. Data compressed by gzip or zstd are told by their first bytes.
    header : bool, optional
        Whether the first line is a header; found out if left out.
    delimiter : str
        One character.
    features : sequence of str or int, optional
        The columns to learn from, by name or position.
    label : str or int or False, optional
        The column with the label, by name or position (-1 is the last). Left out: ``y`` if there
        is a header, else the last column. False or "" if there is none. A cell that is a
        number in JSON is that number, any other is text (``01``, ``+7``); an empty one is no label.
    target : str or int, or sequence of str or int, optional
        Instead of a label: the columns with the numbers to predict. All of them empty: no target.
    multilabel : sequence of str or int, optional
        Instead of a label: the columns that say with 0 or 1 whether a row has a label, each called
        as its column is.
    weight : str or int, optional
        The column that says how much a row's loss counts, at least 0; 1 where it is empty.
    task, experience, id, time : str or int
        As in `JsonlSource`. Each may be absent if it is called what it is for.
    batch_size, max_wait, limit, strict, allow_nan, max_line_bytes, on_dead, stop, labels
        As in `JsonlSource`.

    Raises
    ------
    SourceError
        While iterating: the file cannot be read, is cut short, or is not the one learned from.
    ConfigError
        While iterating: a column that was asked for is not there.
    RecordError
        While iterating, if strict.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows.csv"
    >>> _ = path.write_text("size,colour,y\n1.5,red,cat\n2,blue,dog\n,red,cat\n")
    >>> source = CsvSource(path)
    >>> for batch in source:
    ...     print(batch.x.tolist(), batch.y.tolist())
    [[1.5], [2.0]] [0, 1]
    >>> source.feature_names, source.left_out, source.dead
    (['size'], ['colour'], 1)
    """

    _quotes = True

    def __init__(  # noqa: PLR0913 - keywords, each an option of its own
        self,
        path: str | Path,
        *,
        header: bool | None = None,
        delimiter: str = ",",
        features: Sequence[str | int] | None = None,
        label: str | int | None = None,
        target: str | int | Sequence[str | int] | None = None,
        multilabel: Sequence[str | int] | None = None,
        weight: str | int | None = None,
        task: str | int = "task",
        experience: str | int = "experience",
        id: str | int = "id",
        time: str | int = "time",
        batch_size: int = 32,
        max_wait: float | None = 0.5,
        limit: int | None = None,
        strict: bool = False,
        allow_nan: bool = False,
        max_line_bytes: int = 1 << 20,
        on_dead: DeadLetters | None = None,
        stop: Callable[[], bool] | None = None,
        labels: Labels | None = None,
    ) -> None:
        options = SourceOptions(
            batch_size, max_wait, limit, strict, allow_nan, max_line_bytes, on_dead, stop
        )
        goal = targets_of(target, multilabel, None)
        label = _label_column(label, goal)
        fields = FieldNames(label, task, experience, id, time, weight, goal)
        super().__init__(path, options, fields, labels)
        if len(delimiter) != 1 or delimiter in '"\r\n\0':
            raise ValueError(f"delimiter must be one character, got {delimiter!r}")
        if features is not None and not 1 <= len(set(features)) == len(features):
            raise ValueError(f"features must be different columns, at least one, got {features}")
        self.features = None if features is None else list(features)
        self.header = header
        self.delimiter = delimiter
        self._layout: Layout | None = None
        self._laid_out_at: int | None = None  # the line that decided the layout
        self._features_at: int | None = None  # the line that decided the features
        self._cells: dict[str, Name | None] = {}  # what label cells stand for: they repeat

    @property
    def feature_names(self) -> list[str] | None:
        """The columns learned from; None until the first row."""
        layout = self._layout
        if layout is None or layout.features is None:
            return None
        return [layout.names[i] for i in layout.features]

    @property
    def feature_shape(self) -> tuple[int, ...] | None:
        """The shape of a row's features; None until the first row."""
        names = self.feature_names
        return None if names is None else (len(names),)

    @property
    def left_out(self) -> list[str]:
        """The columns that are not used."""
        layout = self._layout
        if layout is None or layout.features is None:
            return []
        used = layout.reserved | set(layout.features)
        return [name for i, name in enumerate(layout.names) if i not in used]

    def _decisions(self) -> State:
        layout = self._layout if self._is_consumed(self._laid_out_at) else None
        state = None if layout is None else layout.as_state()
        if state is not None and not self._is_consumed(self._features_at):
            state["features"] = None
        return {
            "format": "csv",
            "delimiter": self.delimiter,
            "fields": self.fields.as_dict(),
            "layout": state,
        }

    def _decide(self, state: State) -> None:
        expect("format", state.get("format"), "csv")
        expect("delimiter", state.get("delimiter"), self.delimiter)
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved = state.get("layout")
        layout = None if saved is None else Layout(**saved)
        if layout is not None and layout.features is not None and self.features is not None:
            names = [layout.names[i] for i in layout.features]
            expect("features", names, layout.asked_for(self.features))
        self._layout = layout
        self._laid_out_at = None if layout is None else -1
        self._features_at = None if layout is None or layout.features is None else -1

    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        layout = self._layout
        if layout is not None and layout.features is not None:
            try:
                cells = table(lines, self.delimiter, len(layout.names))
                line = range(first, first + len(lines))
                return self._columns(cells, line, layout, layout.features), []
            except (BadRecord, ValueError, csv.Error):
                pass  # at least one line is unusual: look at each of them
        return self._one_by_one(lines, first)

    def _columns(
        self, cells: list[str], line: range, layout: Layout, features: list[int]
    ) -> Columns:
        width, n = len(layout.names), len(line)
        others = {key: cells[i::width] for key, i in layout.others.items()}
        flat = [cell for i in features for cell in cells[i::width]]
        x = numbers(flat, (n,), allow_nan=self.options.allow_nan)  # [feature, n]
        label = None if layout.label is None else self._label_names(cells[layout.label :: width])
        return Columns(
            line,
            np.ascontiguousarray(x.T),
            label,
            _integers("task", others),
            _integers("experience", others),
            row_ids([cell.strip() for cell in others.get("id", ())]),
            _times(others.get("time")),
            self._targets([cells[i::width] for i in layout.goal]),
            _weights(others.get("weight")),
        )

    def _targets(self, columns: list[list[str]]) -> NDArray[np.float64] | None:
        goal = self.fields.goal
        if goal is None:
            return None
        return goal.rows(list(zip(*(map(goal_cell, column) for column in columns), strict=True)))

    def _label_names(self, cells: list[str]) -> list[Name | None]:
        known = self._cells
        try:
            return list(map(known.__getitem__, cells))
        except KeyError:
            if len(known) > _CACHED:
                known.clear()
            known.update((cell, label_cell(cell)) for cell in cells if cell not in known)
            return list(map(known.__getitem__, cells))

    def _one_by_one(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        rows: list[Row] = []
        where: list[int] = []
        faults: list[Fault] = []
        for i, line in enumerate(lines, first):
            if is_blank(line, self.delimiter):
                continue
            try:
                row = self._row(split(line.removeprefix(BOM), self.delimiter), i)
            except BadRecord as error:
                faults.append(Fault(i, str(error)))
                continue
            if row is not None:
                rows.append(row)
                where.append(i)
        if not rows:
            return None, faults
        return Row.columns(rows, where, self.feature_shape or ()), faults

    def _row(self, cells: list[str], at: int) -> Row | None:
        """Return the row in a line; None for a header."""
        layout = self._layout
        if layout is None:
            layout = self._lay_out(cells, at)
            if layout.header:
                return None
        if len(cells) != len(layout.names):
            raise BadRecord(f"line has {len(cells)} cells, expected {len(layout.names)}")
        try:
            return self._values(cells, layout, at)
        except BadRecord:
            if layout.is_header(cells):
                return None
            raise

    def _values(self, cells: list[str], layout: Layout, at: int) -> Row:
        features, goal = layout.features, self.fields.goal
        if features is None:
            features = layout.numeric(cells)
            if not features:
                raise BadRecord("there is no number to learn from")
        others = {key: cells[i] for key, i in layout.others.items()}
        row = Row(
            [
                number_cell(
                    f"feature {layout.names[i]!r}", cells[i], allow_nan=self.options.allow_nan
                )
                for i in features
            ],
            None if layout.label is None else label_cell(cells[layout.label]),
            integer("task", integer_cell(others.get("task", ""))),
            integer("experience", integer_cell(others.get("experience", ""))),
            row_id(others.get("id", "").strip()),
            time_cell(others.get("time", "")),
            None if goal is None else goal.row([goal_cell(cells[i]) for i in layout.goal]),
            row_weight(goal_cell(others["weight"])) if "weight" in others else None,
        )
        if layout.features is None:  # only a row that is right in every way decides
            self._layout = layout.with_features(features)
            self._features_at = at
        return row

    def _lay_out(self, cells: list[str], at: int) -> Layout:
        header = self.header
        if header is None:
            header = is_header(cells)
        self._layout = Layout.of(
            self.name, cells, header=header, fields=self.fields, features=self.features
        )
        self._laid_out_at = at
        if self._layout.features is not None:
            self._features_at = at
        return self._layout


def _integers(key: str, cells: dict[str, list[str]]) -> NDArray[np.int64] | None:
    return integers(key, list(map(integer_cell, cells.get(key, ()))))


def _times(cells: list[str] | None) -> NDArray[np.float64] | None:
    return None if cells is None else np.array(list(map(time_cell, cells)), np.float64)


def _weights(cells: list[str] | None) -> NDArray[np.float32] | None:
    return None if cells is None else row_weights(list(map(goal_cell, cells)))


def _label_column(label: str | int | None, goal: TargetFields | None) -> str | int | None:
    """Return the column that is asked for; "" for none, None for the usual one."""
    if label is True:
        raise ValueError(f"label must be a column, or false for none, got {label!r}")
    if goal is not None and label:
        raise ValueError(f"target and multilabel go without a label, got {label!r} as label")
    return "" if label is False or goal is not None else label
