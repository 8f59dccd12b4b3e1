"""Parquet and CSV files that are written in parts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from streamreplay.errors import ConfigError
from streamreplay.plain_text import unformulated
from streamreplay.regular_files import create

Part: TypeAlias = Mapping[str, Sequence[Any]]
"""Rows by column; None for a missing value."""


class TableFile(Protocol):
    """A file to which rows are appended in parts."""

    rows: int

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None: ...

    def write(self, part: Part) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class ParquetFile:
    """A Parquet file, with a row group for each part.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str
        The type of each; see `Shapes.columns`.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415

        types = {
            "bool": pa.bool_(),
            "int": pa.int64(),
            "float": pa.float64(),
            "string": pa.string(),
        }
        self._pa = pa
        self._schema = pa.schema(
            [
                (name, pa.list_(types[kind[1:-1]]) if kind.startswith("[") else types[kind])
                for name, kind in columns.items()
            ]
        )
        self._file = create(path)
        self._writer = parquet.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            store_schema=False,  # otherwise strings would be read back as categories
        )
        self.rows = 0

    def write(self, part: Part) -> None:
        """Append rows."""
        arrays = [self._pa.array(part[field.name], field.type) for field in self._schema]
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(table)
        self.rows += table.num_rows

    def close(self) -> None:
        """Finish the file."""
        try:
            self._writer.close()
        finally:
            self._file.close()


class CsvFile:
    """A CSV file. Missing values are empty, lists are JSON, booleans are true and false.

    A text that a spreadsheet would take for a formula gets ' in front.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str
        The type of each; see `Shapes.columns`.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._file = io.TextIOWrapper(create(path), encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(map(unformulated, columns))
        self.rows = 0

    def write(self, part: Part) -> None:
        """Append rows."""
        columns = [_cells(part[name], kind) for name, kind in self._columns.items()]
        self._writer.writerows(zip(*columns, strict=True))
        self.rows += len(columns[0])

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


FORMATS: Mapping[str, type[TableFile]] = {"parquet": ParquetFile, "csv": CsvFile}
"""The classes by the suffix of the file name."""


def check_parquet() -> None:
    """Raise `ConfigError` if PyArrow, which writes Parquet, is missing."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigError(
            "--format parquet: needs PyArrow: pip install 'streamreplay[parquet]' (or --format csv)"
        ) from None


def _cells(values: Sequence[Any], kind: str) -> Sequence[Any]:
    if kind in ("int", "float"):
        return values
    if kind == "string":
        return [None if each is None else unformulated(each) for each in values]
    return [None if each is None else json.dumps(each, ensure_ascii=False) for each in values]
