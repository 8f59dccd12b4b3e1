"""Describe a file: its format, its columns, what may be its label, and how to run it."""

from __future__ import annotations

import glob
import json
import re
import shlex
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import orjson

from streamreplay.errors import SourceError
from streamreplay.features.kinds import infer
from streamreplay.features.values import MISSING, as_numbers, is_missing
from streamreplay.ingest.connect.arrow_files import (
    check_pyarrow,
    count_rows,
    first_rows,
)
from streamreplay.ingest.connect.byte_stream import source_name
from streamreplay.ingest.connect.files import files_of
from streamreplay.ingest.connect.json_text import JsonText
from streamreplay.ingest.connect.line_reader import LineReader
from streamreplay.ingest.connect.line_source import BOM
from streamreplay.ingest.connect.text import LOOK, TextDecoder
from streamreplay.ingest.decode.arrow_columns import left_out, values
from streamreplay.ingest.decode.cells import as_point, cells_or_none, has_decimal_comma, is_blank
from streamreplay.ingest.decode.column_finder import column_names
from streamreplay.ingest.decode.dialect import Dialect
from streamreplay.ingest.decode.json_records import is_split
from streamreplay.ingest.decode.lines import LineBuffer
from streamreplay.ingest.decode.options import SourceOptions
from streamreplay.ingest.decode.records import RecordJoiner
from streamreplay.ingest.detect import detect
from streamreplay.plain_text import aligned, printable

ROWS = 1000
"""Rows that are looked at."""

_LABELS = ("y", "label", "class", "target")  # usual names, in lower case
_MOST_CLASSES = 50
_EXAMPLES, _WIDTH = 3, 20
_LONGEST = 1 << 20
_PATIENCE = 0.5  # seconds
_FEW = 10  # rows in which values may be different, or the same, by chance
_ID_NAME = re.compile(r"(?:^|[^a-z])(?:id|uuid|guid)$|^id[^a-z]", re.IGNORECASE)
_ID_WORD = re.compile(r"[a-z](?:Id|ID)$")
_SHOWN = {
    "jsonl": "JSONL",
    "csv": "CSV",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "npz": "NumPy .npz",
    "idx": "IDX",
}


@dataclass(frozen=True, slots=True)
class SniffedColumn:
    """A column of a file, as its first rows show it.

    Attributes
    ----------
    name : str
    kind : str
        As `infer` finds it; with the reason if it is ignored.
    missing : float
        The share of the rows without a value.
    distinct : int
        The number of different values.
    examples : list of str
    useless : str
        Why it should be left out, if it should.
    """

    name: str
    kind: str
    missing: float
    distinct: int
    examples: list[str]
    useless: str = ""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file holds.

    Attributes
    ----------
    path : str
    format : str
        A value of ``source.format``.
    details : list of str
        The form of the format.
    columns : list of SniffedColumn
    rows, bad : int
        Rows looked at, and records that could not be read.
    settings : list of str
        Options of ``streamreplay run`` without which the file is read otherwise.
    """

    path: str
    format: str
    details: list[str]
    columns: list[SniffedColumn] = field(default_factory=list)
    rows: int = 0
    bad: int = 0
    settings: list[str] = field(default_factory=list)

    @property
    def label(self) -> SniffedColumn | None:
        """The column that is probably to be predicted; None if none looks like it."""
        by_name = {column.name.lower(): column for column in self.columns}
        usual = next((by_name[name] for name in _LABELS if name in by_name), None)
        last = self.columns[-1] if self.columns else None
        return usual or (last if last is not None and _may_be_label(last) else None)

    @property
    def exclude(self) -> list[SniffedColumn]:
        """The columns that tell nothing: those that look like ids, and those with one value."""
        label = self.label
        return [each for each in self.columns if each.useless and each is not label]

    @property
    def command(self) -> str:
        """The command that learns from the file."""
        label = ["--label", self.label.name] if self.label is not None else []
        path = f"./{self.path}" if self.path.startswith("-") and self.path != "-" else self.path
        exclude = _exclude([each.name for each in self.exclude])
        return shlex.join(["streamreplay", "run", path, *label, *exclude, *self.settings])

    def lines(self, width: int | None = None) -> list[str]:
        """Return everything as lines of text, with a table of at most so many columns."""
        if not self.columns:
            return [self._summary(), f"run: {self.command}"]
        header = ("column", "kind", "missing", "different", "examples")
        facts = [
            (
                printable(column.name),
                column.kind,
                f"{100 * column.missing:.1f} %",
                f"{column.distinct:,}",
            )
            for column in self.columns
        ]
        room = None if width is None else width - len(aligned(header[:-1], facts)[0]) - 2
        rows = [(*f, _examples(each, room)) for f, each in zip(facts, self.columns, strict=True)]
        label = "none found: name it with --label" if self.label is None else self.label.name
        table = [f"  {line}" for line in aligned(header, rows, width)]
        left_out = [f"{printable(each.name)} ({each.useless})" for each in self.exclude]
        exclude = [f"exclude: {', '.join(left_out)}"] if left_out else []
        ends = [f"label: {printable(label)}", *exclude, f"run: {self.command}"]
        return [self._summary(), *table, *ends]

    def _summary(self) -> str:
        """Return the path, the format and the number of rows as a line."""
        shown = ", ".join([_SHOWN[self.format], *self.details])
        bad = f", {self.bad:,} cannot be read" if self.bad else ""
        name = "standard input" if self.path == "-" else self.path
        return f"{name}: {shown}" + (f"; first {self.rows:,} rows{bad}" if self.rows else "")


def _examples(column: SniffedColumn, room: int | None) -> str:
    """Return the values that fit, at least one."""
    examples = [*column.examples]
    while room is not None and len(examples) > 1 and len(", ".join(examples)) > room:
        examples.pop()
    return ", ".join(examples)


def sniff(path: str) -> Sniffed:
    """Describe a file or a pipe by its first rows; of a folder or a pattern, the first file.

    A pipe is read for as many rows as come without a pause of half a second.

    Raises
    ------
    SourceError
        It cannot be read, has no rows, or no format that is known.
    ConfigError
        It is not certain what its first lines mean; the message names the key to set.
    """
    found = detect(files_of(path)[0])
    file = found.path
    if found.format is None:
        raise SourceError(f"{source_name(file)}: holds no rows")
    if found.format in ("parquet", "arrow"):
        return _sniff_arrow(path, file, found.format)
    if found.format == "jsonl":
        text = TextDecoder(quotes=False).decode(found.first[:LOOK]).removeprefix(BOM)
        return _sniff_json(path, file, split=bool(is_split(text)))
    return _sniff_csv(path, file) if found.format == "csv" else Sniffed(path, found.format, [])


def _first_lines(file: str, buffer: LineBuffer, new_text: Any) -> list[bytes]:
    options = SourceOptions(1, _PATIENCE, None, False, _LONGEST, None, None)  # noqa: FBT003
    reader = LineReader(file, new_text, buffer, options, lambda _: None)
    try:
        reader.gather(ROWS + 1)
    finally:
        reader.close()
    return [line.removeprefix(BOM) for line in buffer.peek(0, ROWS + 1)]


def _sniff_json(path: str, file: str, *, split: bool) -> Sniffed:
    lines = _first_lines(file, LineBuffer(_LONGEST), JsonText)
    lines = [line for line in lines if line.strip()][:ROWS]
    records = [record for record in map(_record, lines) if record is not None]
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [_column(name, [record.get(name) for record in records]) for name in names]
    form = "objects in an array or over several lines" if split else "an object a line"
    bad = len(lines) - len(records)
    return Sniffed(path, "jsonl", [form], columns, len(records), bad)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _sniff_arrow(path: str, file: str, kind: str) -> Sniffed:
    reasons: dict[str, str] = {}

    def choose(arrow: Any) -> list[str]:
        reasons.update((field.name, left_out(field.type)) for field in arrow)
        return list(reasons)

    check_pyarrow()
    parts = first_rows(file, choose, ROWS)
    n = sum(rows.num_rows for rows in parts)
    columns = [
        _column(name, list(chain.from_iterable(values(rows.column(name)) for rows in parts)))
        if not reason
        else _unused(name, reason, sum(rows.column(name).null_count for rows in parts), n)
        for name, reason in reasons.items()
    ]
    total = count_rows(file)
    return Sniffed(path, kind, [] if total is None else [f"{total:,} rows"], columns, n)


def _unused(name: str, reason: str, missing: int, n: int) -> SniffedColumn:
    return SniffedColumn(name, f"ignored ({reason})", missing / max(n, 1), 0, [])


def _sniff_csv(path: str, file: str) -> Sniffed:
    dialect = Dialect(None, None, header=None, named=set(), usual="y")
    joiner = RecordJoiner(_LONGEST, dialect.settle)
    lines = _first_lines(file, LineBuffer(_LONGEST, joiner), partial(TextDecoder, quotes=True))
    mark = joiner.delimiter or ","
    read = [cells_or_none(line, mark) for line in lines if not is_blank(line, mark)]
    found = [cells for cells in read if cells is not None]
    if not found:
        raise SourceError(f"{file}: none of its first {len(lines):,} lines can be read")
    header = dialect.has_header(file, found[0], found[1] if len(found) > 1 else None)
    width = len(found[0])
    names = column_names(found[0]) if header else [str(i) for i in range(width)]
    table = [cells[:width] for cells in found[header:] if _fits(cells, width)][:ROWS]
    comma = mark != "," and any(map(has_decimal_comma, table[0] if table else ()))
    columns = [_column(name, _cells(table, i, comma=comma)) for i, name in enumerate(names)]
    details = ["header" if header else "no header", f"delimiter {json.dumps(mark)}"]
    settings = []
    if comma:
        details.append('decimal mark ","')
        settings = ["--set", "source.decimal=,"]
    bad = len(read) - len(found) + sum(not _fits(cells, width) for cells in found[header:])
    return Sniffed(path, "csv", details, columns, len(table), bad, settings)


def _fits(cells: list[str], width: int) -> bool:
    return len(cells) == width or (len(cells) == width + 1 and not cells[-1].strip())


def _cells(table: list[list[str]], column: int, *, comma: bool) -> list[str]:
    cells = [row[column].strip() for row in table]
    return [as_point(cell, ",") for cell in cells] if comma else cells


def _column(name: str, values: list[Any]) -> SniffedColumn:
    there = [value for value in values if not is_missing(value, MISSING)]
    found = infer(name, values) if values else None
    kind: str = "ignored" if found is None else found.kind
    if found is not None and found.reason:
        kind = f"{kind} ({found.reason})"
    texts = list(dict.fromkeys(map(_shown, there)))
    missing = 1 - len(there) / len(values) if values else 1.0
    examples = [_cut(each) for each in texts[:_EXAMPLES]]
    if name == "id":
        return SniffedColumn(name, "id", missing, len(texts), examples)
    useless = _why_useless(name, kind, there, len(texts), gaps=len(there) < len(values))
    return SniffedColumn(name, kind, missing, len(texts), examples, useless)


def _why_useless(name: str, kind: str, there: list[Any], distinct: int, *, gaps: bool) -> str:
    """Return why a column with some values should be left out; nothing if it should not."""
    if len(there) < _FEW or kind.startswith(("ignored (nested", "time")):
        return ""
    if distinct == 1 and not gaps:
        return "one value"
    named = _is_id_name(name)
    if kind == "number":
        is_id = _are_whole(there) and (named or _are_unique(there, distinct))
    else:
        is_id = named and 2 * distinct > len(there)
    return "looks like an id" if is_id else ""


def _is_id_name(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _ID_WORD.search(name))


def _are_whole(values: list[Any]) -> bool:
    numbers = as_numbers(values, MISSING)
    return np.array_equal(numbers, np.round(numbers))


def _are_unique(values: list[Any], distinct: int) -> bool:
    """Return whether numbers differ by more than chance: they are in order, or many."""
    steps = np.diff(as_numbers(values, MISSING))
    in_order = bool((steps > 0).all() or (steps < 0).all())
    return distinct == len(values) and (in_order or len(values) >= ROWS)


def _exclude(names: list[str]) -> list[str]:
    """Return the option that leaves columns out, whose names are no patterns."""
    if not names:
        return []
    patterns = [glob.escape(name) for name in names]
    if all(name.strip() == name and name and "," not in name for name in names):
        return ["--exclude", ",".join(patterns)]
    return ["--set", f"features.exclude={json.dumps(patterns, ensure_ascii=False)}"]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def _cut(text: str) -> str:
    text = " ".join(printable(text).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _may_be_label(column: SniffedColumn) -> bool:
    few = 2 <= column.distinct <= _MOST_CLASSES
    return few and column.kind in ("boolean", "category", "number")
