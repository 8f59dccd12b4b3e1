"""Write predictions as JSON lines, as CSV or as Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias, final

import numpy as np

from streamreplay.batch import Batch, Objective
from streamreplay.errors import ConfigError, StreamReplayError
from streamreplay.labels import Name
from streamreplay.learners.predictions import Foreseen
from streamreplay.log.lines import dump_line
from streamreplay.log.records import class_names
from streamreplay.plain_text import listed, unformulated
from streamreplay.run.output import StandardOutput

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]
Table: TypeAlias = dict[str, list[Any]]
"""Rows by column."""

_PART = 50_000  # rows of a row group of Parquet


class PredictionWriter(Protocol):
    """Writes rows to standard output."""

    def write(self, rows: Table) -> None:
        """Write rows, all of which have the same columns as those before."""

    def close(self) -> None:
        """Write what is left."""


def make_writer(format: Format) -> PredictionWriter:
    """Return what writes a format.

    Raises
    ------
    ConfigError
        PyArrow is missing, or standard output is a terminal, where Parquet has no use.
    """
    if format == "jsonl":
        return _JsonLines()
    if format == "csv":
        return _CsvLines()
    if os.isatty(1):
        raise ConfigError("--format parquet: standard output is a terminal: write > FILE.parquet")
    return _Parquet()


class PredictionTable:
    """Makes the columns of predictions.

    Parameters
    ----------
    objective : {"classes", "numbers", "labels"}
    names : sequence of str or int
        Of the classes or targets.
    proba : bool
        Add the probability of each class.
    nested : bool
        Several values of a row are one column with a dict; otherwise each is a column.

    Examples
    --------
    >>> PredictionTable("numbers", ["width", "height"], proba=False, nested=False).columns
    ['position', 'prediction.width', 'prediction.height']
    """

    def __init__(
        self, objective: Objective, names: Sequence[Name], *, proba: bool, nested: bool
    ) -> None:
        if proba and objective == "numbers":
            raise ConfigError(f"--proba: the run predicts numbers, {listed(list(map(str, names)))}")
        self._objective, self._proba, self._nested = objective, proba, nested
        self._names = list(names)
        self._keys = list(class_names(dict.fromkeys(range(len(names))), names))

    @property
    def columns(self) -> list[str]:
        """The columns in front of those that are kept."""
        nothing = np.empty((0, len(self._names)))
        return list(self._columns([], nothing, nothing, nothing))

    def rows(self, batch: Batch, foreseen: Foreseen, kept: Mapping[str, Sequence[Any]]) -> Table:
        """Return the columns of a batch, with those that are kept."""
        found = foreseen.predictions
        probabilities = foreseen.probabilities() if self._proba else None
        made = self._columns(batch.t.tolist(), found.prediction, found.probability, probabilities)
        clash = [name for name in kept if name in made]
        if clash:
            raise ConfigError(f"--keep: {clash[0]!r} is the name of a column of predictions")
        return {**made, **{name: list(values) for name, values in kept.items()}}

    def _columns(self, position: list[int], said: Any, sure: Any, all_of_them: Any) -> Table:
        made: Table = {"position": position}
        if self._objective == "numbers":
            if len(self._names) == 1:
                return made | {"prediction": _plain(said[:, 0])}
            return made | self._each("prediction", said)
        if self._objective == "labels":
            made["prediction"] = [_present(self._keys, row) for row in said]
            return made | self._each("probability", sure)
        names = [*self._names, None]  # None is at index -1
        made |= {"prediction": [names[i] for i in np.asarray(said, np.int64).reshape(-1).tolist()]}
        made |= {"probability": _plain(sure)}
        return made if not self._proba else made | self._each("probabilities", all_of_them)

    def _each(self, name: str, values: Any) -> Table:
        """Return a value for each class or target, in one column or in as many."""
        wide = np.zeros((len(values), len(self._keys)), values.dtype)
        width = min(wide.shape[1], values.shape[1])
        wide[:, :width] = values[:, :width]  # a head grows in steps, labels one by one
        columns = [_plain(column) for column in wide.T]
        if not self._nested:
            return {
                f"{name}.{key}": column for key, column in zip(self._keys, columns, strict=True)
            }
        rows = zip(*columns, strict=True)
        return {name: [dict(zip(self._keys, row, strict=True)) for row in rows]}


def _plain(column: Any) -> list[Any]:
    """Return numbers with the shortest digits that stand for them; None for NaN."""
    values = np.asarray(column).reshape(-1)
    if values.dtype == np.float32:
        values = values.astype(np.str_).astype(np.float64)
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124


def _present(keys: Sequence[str], row: Any) -> list[str]:
    return [key for key, there in zip(keys, row, strict=True) if there]


@final
class _JsonLines:
    def __init__(self) -> None:
        self._out = StandardOutput()

    def write(self, rows: Table) -> None:
        self._out.write(b"".join(map(dump_line, _records(rows))))

    def close(self) -> None:
        pass


@final
class _CsvLines:
    """Missing values are empty, lists and dicts are JSON, no text begins as a formula does."""

    def __init__(self) -> None:
        self._out = StandardOutput()
        self._headed = False

    def write(self, rows: Table) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._headed:
            writer.writerow(map(unformulated, rows))
            self._headed = True
        writer.writerows(zip(*(map(_cell, column) for column in rows.values()), strict=True))
        self._out.write(text.getvalue().encode(errors="backslashreplace"))

    def close(self) -> None:
        pass


@final
class _Parquet:
    """A file with a row group for each 50,000 rows; the first of them decide types."""

    def __init__(self) -> None:
        from streamreplay.log.tables.files import check_parquet  # noqa: PLC0415 - an extra

        check_parquet()
        self._parts: list[Table] = []
        self._rows = 0
        self._writer: Any = None

    def write(self, rows: Table) -> None:
        self._parts.append(rows)
        self._rows += len(rows["position"])
        if self._rows >= _PART:
            self._flush()

    def close(self) -> None:
        if self._parts:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415

        names = list(self._parts[0])
        columns = {n: list(chain.from_iterable(part[n] for part in self._parts)) for n in names}
        self._parts, self._rows = [], 0
        if self._writer is None:
            table = pa.table([_typed(columns[name]) for name in names], names)
            self._writer = parquet.ParquetWriter(pa.PythonFile(_Bytes(), "w"), table.schema)
        else:
            table = self._table_like(columns, self._writer.schema)
        self._writer.write_table(table)

    @staticmethod
    def _table_like(columns: Table, schema: Any) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        made = []
        for field in schema:
            values = columns[field.name]
            if pa.types.is_string(field.type):
                values = list(map(_text, values))
            try:
                made.append(pa.array(values, field.type))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise StreamReplayError(
                    f"--format parquet: column {field.name!r} was {field.type} in the first rows, "
                    f"and is not later ({error}): take --format csv or jsonl"
                ) from None
        return pa.table(made, schema=schema)


class _Bytes(io.RawIOBase):
    """Standard output as a file that PyArrow writes to."""

    def __init__(self) -> None:
        self._out, self._at = StandardOutput(), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._out.write(raw)
        self._at += len(raw)
        return len(raw)


def _records(rows: Table) -> Iterator[dict[str, Any]]:
    names = list(rows)
    for values in zip(*rows.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def _cell(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return unformulated(value) if isinstance(value, str) else value


def _typed(values: list[Any]) -> Any:
    """Return a column as an Arrow array: of one type if it has one, else of text."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    kinds = set(map(type, values)) - {type(None)}
    if (len(kinds) == 1 and kinds < {bool, int, float}) or kinds == {int, float}:
        return pa.array(values)
    if kinds == {list} and all(isinstance(each, str) for row in values for each in row or ()):
        return pa.array(values, pa.list_(pa.string()))
    return pa.array(list(map(_text, values)), pa.string())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
