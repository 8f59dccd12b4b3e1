"""Streams of lines of cells."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from streamreplay.errors import SourceError
from streamreplay.features.schema import Schema
from streamreplay.features.table_rows import TableRows, join_tables
from streamreplay.ingest.connect.files import Paths
from streamreplay.ingest.connect.line_source import BOM, LineSource
from streamreplay.ingest.dead_letters import DeadLetters, Fault
from streamreplay.ingest.decode.arrow_cells import CellReader
from streamreplay.ingest.decode.cells import cells_or_none, is_blank, split, table
from streamreplay.ingest.decode.csv_rows import RowReader, cells_of
from streamreplay.ingest.decode.dialect import Dialect
from streamreplay.ingest.decode.header import Layout
from streamreplay.ingest.decode.kept_cells import kept_cells
from streamreplay.ingest.decode.lines import LineBuffer
from streamreplay.ingest.decode.named_fields import NamedFields, columns_by_name
from streamreplay.ingest.decode.options import FieldNames, SourceOptions, label_column
from streamreplay.ingest.decode.records import MOST_LINES, RecordJoiner, is_no_row
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.rows import Columns, Row, merged
from streamreplay.ingest.decode.targets import targets_of
from streamreplay.ingest.decode.values import BadRecord
from streamreplay.labels import Labels
from streamreplay.state import State, expect, within


class CsvSource(LineSource):
    r"""Rows from lines of cells, with or without a header.

    There is a header if no cell of the first line is a number, or if those that are numbers are
    names as pandas writes them; see `HeaderRule`. Columns are matched by name: a later line that
    has all the names, as in files joined by ``cat``, is a header, and gives their new order.
    Features are all columns not named below of which something can be learned; `left_out` lists the
    others. Rows with numbers only are arrays, all others are packed by ``schema``. Quoted cells may
    hold delimiters and line ends; see `RecordJoiner`.

    Parameters
    ----------
    path : str or Path, or sequence of str or Path
        Files, folders and glob patterns, read in order; ``-`` is standard input. Data compressed
        by gzip, zstd, bzip2 or xz are told by their first bytes.
    header : bool, optional
        Whether the first line is a header; found out if left out.
    delimiter : str, optional
        One character. Left out, it is chosen among ``,``, ``;``, tab and ``|`` by the first lines.
    decimal : str, optional
        The decimal mark of numbers, ``.`` or ``,``. Left out, it is a point, and a number such as
        ``1,5`` in the first row of a table with another delimiter is an error.
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
    task, experience, id, time : str or int, optional
        As in `JsonlSource`. Left out: the column ``id``, and ``time`` if its first value is a date
        or is seconds since 1970 of a time after 1980.
    batch_size, max_wait, limit, strict, schema, max_line_bytes, on_dead, stop, labels
        As in `JsonlSource`.

    Raises
    ------
    SourceError
        While iterating: the file cannot be read, is cut short, or is not the one learned from; its
        first line cannot be read; a further part has other columns.
    ConfigError
        While iterating: a column that was asked for is not there, or it is not certain what the
        first lines mean.
    RecordError
        While iterating, if strict.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "rows.csv"
    >>> _ = path.write_text("size,colour,y\n1.5,red,cat\n2,blue,dog\n,red,cat\n")
    >>> source = CsvSource(path)
    >>> for batch in source:
    ...     print(batch.schema.rows(batch.x)[1:], batch.y.tolist())
    [{'colour': 'blue', 'size': 2.0}, {'colour': 'red'}] [0, 1, 0]
    >>> source.feature_names, source.left_out, source.dead
    (['colour', 'size'], [], 0)
    """

    _quotes = True

    def __init__(  # noqa: PLR0913 - keywords, each an option of its own
        self,
        path: Paths,
        *,
        header: bool | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        features: Sequence[str | int] | None = None,
        label: str | int | None = None,
        target: str | int | Sequence[str | int] | None = None,
        multilabel: Sequence[str | int] | None = None,
        weight: str | int | None = None,
        task: str | int | None = None,
        experience: str | int | None = None,
        id: str | int | None = None,
        time: str | int | None = None,
        batch_size: int = 32,
        max_wait: float | None = 0.5,
        limit: int | None = None,
        strict: bool = False,
        schema: Schema | None = None,
        max_line_bytes: int = 1 << 20,
        on_dead: DeadLetters | None = None,
        stop: Callable[[], bool] | None = None,
        labels: Labels | None = None,
    ) -> None:
        options = SourceOptions(batch_size, max_wait, limit, strict, max_line_bytes, on_dead, stop)
        goal = targets_of(target, multilabel, None)
        label = label_column(label, goal)
        fields = FieldNames(label, task, experience, id, time, weight, goal)
        named, usual = fields.given(features or ()), "y" if label is None else None
        self._dialect = Dialect(delimiter, decimal, header=header, named=named, usual=usual)
        self._saved: tuple[str | None, list[int]] = (delimiter, [])  # of the state loaded
        super().__init__(path, options, fields, labels, schema)
        if features is not None and not 1 <= len(set(features)) == len(features):
            raise ValueError(f"features must be different columns, at least one, got {features}")
        self.features = None if features is None else list(features)
        self._layouts: list[tuple[int, Layout]] = []  # each with the line that decided it
        self._loaded: Layout | None = None  # of the state loaded
        self._began: int | None = None  # the first line that is not blank
        self._part: int | None = None  # where a further part of the stream begins
        self._part_began: int | None = None  # the first line of it that is not blank
        self.schema.decimal = self._dialect.point
        self._rows = RowReader(fields.goal, self._dialect.point, self.schema)
        self._arrow = CellReader(self._dialect.point, self.schema)

    @property
    def feature_names(self) -> list[str] | None:
        """The columns learned from; None until the first row."""
        return self.schema.names if self.schema.columns else None

    @property
    def feature_shape(self) -> tuple[int, ...] | None:
        """The shape of a row's features; None until the first row."""
        names = self.feature_names
        return None if names is None else (len(names),)

    @property
    def left_out(self) -> list[str]:
        """The columns that are not used."""
        layout = self._layout
        return [] if layout is None else [*layout.left_out, *self.schema.left_out]

    def describe(self) -> FieldsInUse | None:
        """Return what each column is used for; None until the first row."""
        layout, names = self._layout, self.feature_names
        if layout is None or names is None:
            return None
        goal = self.fields.described()
        if layout.label is not None:
            goal = {"label": layout.names[layout.label]}
        others = {role: layout.names[i] for role, i in layout.others.items()}
        left_out = {**self.schema.left_out, **layout.left_out}
        return FieldsInUse(self.schema.names_by_kind, goal, others, left_out)

    def _named_fields(self) -> NamedFields:
        return columns_by_name(self.name, self._layout, self.fields, self.features, self.schema)

    @property
    def _is_decided(self) -> bool:
        layout = self._layout
        return layout is not None and layout.features is not None

    @property
    def _layout(self) -> Layout | None:
        """The columns of the lines decoded last."""
        return self._layouts[-1][1] if self._layouts else None

    @property
    def _mark(self) -> str:
        """The delimiter, given or found."""
        return self._joiner.delimiter or ","

    def _new_buffer(self) -> LineBuffer:
        longest = self.options.max_line_bytes
        self._joiner = RecordJoiner(longest, self._dialect.settle, *self._saved)
        return LineBuffer(longest, self._joiner)

    def _decisions(self) -> State:
        consumed = [layout for line, layout in self._layouts if self._is_consumed(line)]
        known, done = self._is_consumed(self._began), self._is_consumed(self._part_began)
        return {
            "format": "csv",
            "delimiter": self._joiner.delimiter if known else self._dialect.delimiter,
            "decimal": self._dialect.decimal,
            "widths": self._buffer.widths if known else [],
            "part": None if done or self._buffer.is_ahead(self._part) else self._part,
            "fields": self.fields.as_dict(),
            "layout": consumed[-1].as_state() if consumed else None,
            "schema": self.schema.state_dict() if consumed and consumed[-1].features else None,
        }

    def _decide(self, state: State) -> None:
        expect("format", state.get("format"), "csv")
        if self._dialect.delimiter is not None:
            expect("delimiter", state.get("delimiter"), self._dialect.delimiter)
        expect("decimal", state.get("decimal"), self._dialect.decimal)
        expect("fields", state.get("fields"), self.fields.as_dict())
        saved = state.get("layout")
        layout = None if saved is None else Layout(**saved)
        if layout is not None and layout.features is not None and self.features is not None:
            names = [layout.names[i] for i in layout.features]
            expect("features", names, layout.asked_for(self.features))
        if state.get("schema") is None:
            self.schema.reset()
        else:
            with within("schema"):
                self.schema.load_state_dict(state["schema"])
        self._layouts, self._loaded = [] if layout is None else [(-1, layout)], layout
        self._saved = state.get("delimiter"), list(state.get("widths", []))
        self._began = -1 if self._saved[1] else None
        self._part, self._part_began = state.get("part"), None

    def _begin_part(self, line: int | None) -> None:
        self._part, self._part_began = line, None
        if line is not None:
            self._joiner.begin_part()

    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        layouts = self._layouts
        while layouts and layouts[-1][0] >= first:
            layouts.pop()  # of lines that were decoded before, and dropped
        layout = self._layout
        new_part = self._part is not None and self._part_is_in(lines, first)
        if layout is not None and layout.features is not None and not new_part:
            try:
                found = self._decode_many(lines, first, layout)
                if found is not None:
                    return found
                cells = table(lines, self._mark, len(layout.names))
                if not layout.may_hold_header(cells):
                    line = range(first, first + len(lines))
                    return self._rows.columns(cells, line, layout, layout.features), []
            except (BadRecord, ValueError, csv.Error):
                pass  # at least one line is unusual: look at each of them
        return self._one_by_one(lines, range(first, first + len(lines)))

    def _decode_many(
        self, lines: list[bytes], first: int, layout: Layout
    ) -> tuple[Columns | None, list[Fault]] | None:
        """Decode many lines with pyarrow, and those it is not certain of one by one."""
        cells = self._arrow.read(lines, self._mark, layout, self._joiner.passes)
        if cells is None or layout.may_hold_header(cells):
            return None
        odd = {first + i: lines[i] for i in cells.odd}
        if any(layout.is_header(cells_or_none(line, self._mark)) for line in odd.values()):
            return None
        line = [first + i for i in cells.lines] if odd else range(first, first + len(lines))
        found = self._rows.columns(cells, line, layout, layout.features or [])
        others, faults = self._one_by_one(list(odd.values()), list(odd))
        return found if others is None else merged(found, others), faults

    def _part_is_in(self, lines: list[bytes], first: int) -> bool:
        """Return whether the beginning of a further part is among some lines."""
        if self._part_began is not None and self._part_began >= first:
            self._part_began = None  # it was decoded before, and dropped
        return (
            self._part is not None and self._part_began is None and self._part < first + len(lines)
        )

    def _one_by_one(
        self, lines: list[bytes], at: Sequence[int]
    ) -> tuple[Columns | None, list[Fault]]:
        rows: list[Row] = []
        where: list[int] = []
        faults: list[Fault] = []
        for i, line in zip(at, lines, strict=True):
            begins = self._layout is None or self._part_is_in([b""], i)
            if is_blank(line, self._mark) or (begins and is_no_row(line)):
                continue
            self._began = i if self._began is None else self._began
            try:
                row = self._row(self._split(line, i), i)
            except BadRecord as error:
                faults.append(Fault(i, str(error)))
                continue
            if row is not None:
                rows.append(row)
                where.append(i)
        if not rows:
            return None, faults
        return Row.columns(rows, where, self._features_of(rows)), faults

    def _features_of(self, rows: list[Row]) -> TableRows:
        parts = [list(part) for _, part in groupby(rows, lambda row: row.x.keys())]  # by header
        cells = [{name: [row.x[name] for row in part] for name in part[0].x} for part in parts]
        return join_tables(list(map(self.schema.read, cells, map(len, parts))))

    def _kept(self, lines: list[bytes], at: Sequence[int]) -> Mapping[str, Sequence[str]]:
        rows = zip(at, map(self._split, lines, at), strict=True)
        return kept_cells(self.name, self._keep, self._layouts, rows)

    def _split(self, line: bytes, at: int) -> list[str]:
        """Return the cells of a line; nothing can be read if this fails with the first line."""
        try:
            return split(line.removeprefix(BOM), self._mark)
        except BadRecord as error:
            if self._layout is None and self._dialect.header is not False:
                number = self._buffer.number(at)
                raise SourceError(
                    f"{self.name}:{number}: the first line cannot be read: {error}"
                ) from None
            raise

    def _row(self, cells: list[str], at: int) -> Row | None:
        """Return the row in a line; None for a header."""
        layout = self._layout
        if layout is None:
            layout = self._lay_out(cells, at)
            if layout.header:
                return None
        elif self._part_is_in([b""], at):
            before = (self._unlabelled and self._loaded) or layout
            header = before.continued(self.name, cells, unlabelled=self._unlabelled)
            if self._follow(header, at):
                return None
            if self.schema.numeric_names:
                layout.check_no_header(cells)
            if self._unlabelled:
                layout = before.without_goal(self.name, cells)
                self._set_layout(layout, at)
        cells = layout.fitted(cells)
        if self._follow(layout.reordered(cells), at):
            return None
        layout.check_no_other_header(cells)
        return self._values(cells, layout, at)

    def _follow(self, layout: Layout | None, at: int) -> bool:
        """Return whether a line is a header, and use its order of columns from there on."""
        if self._part_is_in([b""], at):
            self._part_began = at
        if layout is not None and layout != self._layout:
            self._set_layout(layout, at)
        return layout is not None

    def _set_layout(self, layout: Layout, at: int) -> None:
        consumed = [each for each in self._layouts if self._is_consumed(each[0])]
        self._layouts = consumed[-1:] + self._layouts[len(consumed) :]
        self._layouts.append((at, layout))

    def _values(self, cells: list[str], layout: Layout, at: int) -> Row:
        if layout.features is not None:
            return self._rows.row(cells, layout, layout.features)
        if self._dialect.decimal is None and self._mark != ",":
            layout.check_no_comma(self.name, cells)
        layout, columns = self._decided(cells, layout, at)
        row = self._rows.row(cells, layout, layout.features or [])
        self._begin(columns)
        # only a row that is right in every way decides
        self._set_layout(layout, at)
        return row

    def _decided(
        self, cells: list[str], layout: Layout, at: int
    ) -> tuple[Layout, dict[str, list[str]]]:
        """Return the layout with features and roles, and the first values of each feature."""
        most = self.schema.infer_rows - 1
        rows = [cells, *cells_of(self._ahead(at), layout, self._mark, most)]
        if self.fields.time is None:
            layout = layout.with_time(rows)
        asked = None if self.features is None else layout.positions(self.features)
        layout = layout.decided(cells, asked)
        return layout, {layout.names[i]: [row[i] for row in rows] for i in layout.features or ()}

    def _lay_out(self, cells: list[str], at: int) -> Layout:
        header = self._dialect.has_header(self.name, cells, self._next_cells(at))
        layout = Layout.of(
            self.name, cells, header=header, fields=self.fields, features=self.features
        )
        self._set_layout(layout, at)
        return layout

    def _next_cells(self, at: int) -> list[str] | None:
        """Return the cells of the line behind another that is not blank; None if there is none."""
        behind = self._buffer.peek(at + 1 - self._buffer.position.lines, MOST_LINES)
        line = next((line for line in behind if not is_no_row(line)), None)
        return None if line is None else cells_or_none(line, self._mark)
