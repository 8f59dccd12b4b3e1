"""Logs as Parquet or CSV tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from streamreplay.errors import RunFolderError, writing
from streamreplay.log.checked import read_record
from streamreplay.log.folder_format import check_format
from streamreplay.log.lines import each_line, open_log, open_segment, segments
from streamreplay.log.schema import KINDS, LOGS
from streamreplay.log.tables.files import FORMATS, TableFile, check_parquet
from streamreplay.log.tables.flatten import (
    Grouped,
    Shapes,
    declared_types,
    flatten_line,
    group_values,
)
from streamreplay.regular_files import check_folder

_MOST_TABLES = 100
_PART, _GROUP_PART = 50_000, 200_000  # rows written at a time
_GROUP_COLUMNS = {
    "kind": "string",
    "position": "int",
    "learner": "string",
    "by": "string",
    "group": "string",
    "field": "string",
    "value": "float",
}


def export_logs(
    run: Path, to: Path | None = None, format: Literal["parquet", "csv"] = "parquet"
) -> dict[Path, int]:
    """Write the logs of a run as tables; return the number of rows of each file.

    There is one file for each kind of line in metrics.jsonl (``prequential.parquet``, ...), one for
    each other log, and ``groups.parquet`` with a row for each number by class, task, experience and
    so on. Nested fields have dotted names. The logs are read twice, in parts, as they were at the
    start; the run may go on in the meantime.

    Parameters
    ----------
    run : Path
        A run folder.
    to : Path, optional
        The folder to write to, created if necessary; by default ``export`` in the run folder. Files
        of the same names are replaced.
    format : {"parquet", "csv"}

    Raises
    ------
    RunFolderError
        There are no logs, or a line is damaged or of a later version.
    ConfigError
        PyArrow is missing.
    """
    if format == "parquet":
        check_parquet()
    if not any(segments(run, name) for name in LOGS):
        raise RunFolderError(f"{run}: is no run folder: there are no logs here")
    check_format(run)
    to = to or _own_folder(run)
    to.mkdir(parents=True, exist_ok=True)
    written: dict[Path, int] = {}
    for name in LOGS:
        with ExitStack() as stack:
            log = _Snapshot(stack, run, name)
            written |= _export(log, name, to, format)
    return written


def _own_folder(run: Path) -> Path:
    folder = run / "export"
    try:
        check_folder(folder)
    except OSError as error:
        raise RunFolderError(f"{folder}: {error.strerror}") from None
    return folder


def _export(log: _Snapshot, name: str, to: Path, format: str) -> dict[Path, int]:
    """Write the tables of one log."""
    shapes = _read_shapes(log, name)
    with _TableFiles(to, format) as tables:
        writers = {
            table: _Rows(tables.open(table, shape.columns()), shape)
            for table, shape in shapes.items()
        }
        grouped = any(shape.grouped for shape in shapes.values())
        groups_of = _GroupRows(tables.open("groups", _GROUP_COLUMNS)) if grouped else None
        for line in log:
            flat, groups = flatten_line(line)
            writers[_table_of(line, name)].add(flat)
            if groups_of is not None and groups:
                groups_of.add(line, groups)
        for writer in writers.values():
            writer.flush()
        if groups_of is not None:
            groups_of.flush()
    return tables.written


def _table_of(line: dict[str, Any], name: str) -> str:
    """Return the name of the table for a line of a log."""
    return str(line["kind"]) if name == "metrics" else name


def _read_shapes(log: _Snapshot, name: str) -> dict[str, Shapes]:
    """Return the columns of each table of a log."""
    shapes: dict[str, Shapes] = {}
    for line in log:
        table = _table_of(line, name)
        if table not in shapes:
            if len(shapes) == _MOST_TABLES:
                raise RunFolderError(f"{log.path}: has records of more than {_MOST_TABLES} kinds")
            declared = declared_types(KINDS.get(table, LOGS[name]))
            shapes[table] = Shapes(named=name == "predictions", declared=declared)
        shapes[table].add(line)
    return shapes


class _Snapshot:
    """The whole lines of a log at one moment; they can be read several times."""

    def __init__(self, stack: ExitStack, run: Path, name: str) -> None:
        self._name, self.path = name, run / f"{name}.jsonl"
        self._files: list[tuple[Path, BinaryIO, int]] = []
        full, active = open_log(run, name)
        if active is not None:
            stack.enter_context(active)
        for path in full:
            file = open_segment(path)
            if file is not None:
                self._add(path, stack.enter_context(file))
        if active is not None:
            self._add(run / f"{name}.jsonl", active)

    def _add(self, path: Path, file: BinaryIO) -> None:
        self._files.append((path, file, file.seek(0, 2)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for path, file, size in self._files:
            file.seek(0)
            left = size
            for number, line in enumerate(each_line(file, path), 1):
                left -= len(line)
                if left < 0 or not line.endswith(b"\n"):
                    break  # not finished at that moment
                yield read_record(line, path, number, self._name)


class _TableFiles:
    """Table files, which get their names when all are written; none after an error."""

    def __init__(self, folder: Path, format: str) -> None:
        self._folder, self._format = folder, format
        self._open: list[tuple[Path, Path, TableFile]] = []
        self.written: dict[Path, int] = {}

    def open(self, table: str, columns: dict[str, str]) -> TableFile:
        path = self._folder / f"{table}.{self._format}"
        temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        file = FORMATS[self._format](temporary, columns)
        self._open.append((path, temporary, file))
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with ExitStack() as stack:
            for _path, temporary, file in self._open:
                stack.callback(temporary.unlink, missing_ok=True)
                stack.callback(_close, file)  # has no effect unless another could not be closed
            for path, _temporary, file in self._open:
                with writing(path) if kind is None else suppress(OSError):
                    file.close()
            for path, temporary, file in self._open if kind is None else ():
                temporary.replace(path)
                self.written[path] = file.rows


def _close(file: TableFile) -> None:
    with suppress(OSError):
        file.close()


class _Rows:
    """Collects rows of one table and writes them to its file in parts."""

    def __init__(self, file: TableFile, shapes: Shapes) -> None:
        self._file, self._shapes = file, shapes
        self._columns = shapes.columns()
        self._rows: list[dict[str, Any]] = []

    def add(self, flat: dict[str, Any]) -> None:
        self._rows.append(flat)
        if len(self._rows) == _PART:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        part = {name: [row.get(name) for row in self._rows] for name in self._columns}
        for name, kind in self._columns.items():
            if kind == "string":
                part[name] = [self._shapes.text(name, value) for value in part[name]]
        self._file.write(part)
        self._rows.clear()


class _GroupRows:
    """Collects a row for each number of a group, by column, and writes them in parts."""

    def __init__(self, file: TableFile) -> None:
        self._file = file
        self._part: dict[str, list[Any]] = {name: [] for name in _GROUP_COLUMNS}

    def add(self, line: Mapping[str, Any], groups: Sequence[Grouped]) -> None:
        part, before = self._part, len(self._part["value"])
        for by, field, entries in groups:
            for group, entry in entries.items():
                values = group_values(entry, field)
                part["by"] += [by] * len(values)
                part["group"] += [group] * len(values)
                part["field"] += values
                part["value"] += values.values()
        added = len(part["value"]) - before
        for name in ("kind", "position", "learner"):
            part[name] += [line.get(name)] * added
        if len(part["value"]) >= _GROUP_PART:
            self.flush()

    def flush(self) -> None:
        if self._part["value"]:
            self._file.write(self._part)
            self._part = {name: [] for name in _GROUP_COLUMNS}
