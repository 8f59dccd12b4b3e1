"""Parquet and CSV files that are written in parts."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import ConfigError


class CodedColumn(NamedTuple):
    """A column with few different strings.

    Attributes
    ----------
    codes : int32[n]
        The index of each row's string in `names`.
    names : list of str or None
    """

    codes: NDArray[np.int32]
    names: list[str | None]


Part: TypeAlias = Mapping[str, Sequence[Any] | NDArray[Any] | CodedColumn]
"""Rows by column; None for a missing value."""


class TableFile(Protocol):
    """A file that gets its name when it is complete."""

    rows: int

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None: ...

    def write(self, part: Part) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file and give it its name."""

    def discard(self) -> None:
        """Delete the unfinished file."""


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
        self._path, self._temporary = path, _temporary(path)
        self._schema = pa.schema(
            [
                (name, pa.list_(types[kind[1:-1]]) if kind.startswith("[") else types[kind])
                for name, kind in columns.items()
            ]
        )
        self._writer = parquet.ParquetWriter(
            self._temporary,
            self._schema,
            compression="zstd",
            store_schema=False,  # otherwise strings would be read back as categories
        )
        self.rows = 0

    def write(self, part: Part) -> None:
        """Append rows."""
        arrays = [self._array(part[field.name], field.type) for field in self._schema]
        table = self._pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(table)
        self.rows += table.num_rows

    def _array(self, values: Sequence[Any] | NDArray[Any] | CodedColumn, kind: Any) -> Any:
        if isinstance(values, CodedColumn):
            return self._pa.array(values.names, kind).take(self._pa.array(values.codes))
        return self._pa.array(values, kind)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._writer.close()
        self._temporary.replace(self._path)

    def discard(self) -> None:
        """Delete the unfinished file."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)


class CsvFile:
    """A CSV file. Missing values are empty, lists are JSON, booleans are true and false.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str
        The type of each; see `Shapes.columns`.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._path, self._temporary = path, _temporary(path)
        self._columns = columns
        self._file = self._temporary.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)
        self.rows = 0

    def write(self, part: Part) -> None:
        """Append rows."""
        columns = [_cells(part[name], kind) for name, kind in self._columns.items()]
        self._writer.writerows(zip(*columns, strict=True))
        self.rows += len(columns[0])

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._file.close()
        self._temporary.replace(self._path)

    def discard(self) -> None:
        """Delete the unfinished file."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


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


def _temporary(path: Path) -> Path:
    return path.with_name(f".tmp-{os.getpid()}-{path.name}")


def _cells(values: Sequence[Any] | NDArray[Any] | CodedColumn, kind: str) -> Sequence[Any]:
    if isinstance(values, CodedColumn):
        return [values.names[code] for code in values.codes.tolist()]
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if kind in ("int", "float", "string"):
        return values
    return [None if each is None else json.dumps(each, ensure_ascii=False) for each in values]
