"""Open the files to predict, and read them with the columns of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from streamreplay.batch import Batch
from streamreplay.config.building.formats import find_inputs
from streamreplay.config.building.sources import make_schema, open_inputs
from streamreplay.config.job import Job, SourceSection
from streamreplay.config.parsing.inputs import Inputs
from streamreplay.errors import ConfigError
from streamreplay.features.changes import describe_change
from streamreplay.features.schema import Schema
from streamreplay.ingest.connect.arrays import ArraySource
from streamreplay.ingest.connect.arrow import ArrowSource, Streamed
from streamreplay.ingest.connect.csv import CsvSource
from streamreplay.ingest.connect.files import source_names
from streamreplay.ingest.decode.targets import targets_of
from streamreplay.ingest.formats import FORMATS
from streamreplay.predicting.array_files import kept_arrays, open_arrays
from streamreplay.predicting.columns import RunColumns
from streamreplay.put_aside import PutAside

Kept: TypeAlias = Mapping[str, Sequence[Any]]
"""Values of some columns as the input has them, by name."""

_ROLES = ("weight", "task", "experience", "id", "time")


class Input(Protocol):
    """Rows to predict."""

    name: str
    """What messages call it."""
    schema: Schema | None
    """What packs the rows of a table."""

    @property
    def put_aside(self) -> PutAside:
        """The records that could not be read, so far."""

    def __iter__(self) -> Iterator[tuple[Batch, Kept]]:
        """Yield batches, each with the values of the kept columns."""

    def take_notices(self) -> list[str]:
        """Return what is new to say about the columns since the last call."""


def open_input(
    job: Job,
    columns: RunColumns,
    files: Sequence[str],
    *,
    format: str | None = None,
    keep: Sequence[str] = (),
    on_dead: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Input:
    """Open files whose rows are to be predicted.

    Parameters
    ----------
    job : Job
        Of the run.
    columns : RunColumns
    files : sequence of str
        Paths, folders and patterns; ``-`` is standard input.
    format : str, optional
        Their format; by default what their content shows, else that of the run.
    keep : sequence of str
        Columns whose values are wanted as they are.
    on_dead : callable, optional
        Called with each record that cannot be read.
    stop : callable, optional
        An input that waits for rows ends once this returns True.

    Raises
    ------
    ConfigError
        A file cannot be read with the columns of the run, or lacks one that is kept.
    SourceError
        A file cannot be opened.
    """
    if format not in (None, *FORMATS):
        raise ConfigError(f"--input-format: must be one of {', '.join(FORMATS)}, got {format!r}")
    changes: dict[str, Any] = dict.fromkeys((*_ROLES, "features", "split", "labels_path"))
    changes |= {"path": list(files), "format": format or "auto"}
    if job.source.objective == "classes":
        changes["label"] = columns.label
    settings = job.source.model_copy(update=changes)
    inputs = find_inputs(settings, stop)
    if not FORMATS[inputs.format].streams:
        return _ArrayInput(job, columns, inputs, keep)
    source, _ = open_inputs(
        settings,
        None,
        job.features,
        inputs=inputs,
        limit=None,
        strict=False,
        on_dead=on_dead,
        stop=stop,
    )
    if isinstance(source, ArraySource):
        raise TypeError(f"{inputs.format}: rows are read as they come, got an ArraySource")
    return _StreamedInput(source, settings, columns, keep, inputs.notices)


class _StreamedInput:
    """Rows that are read as they come."""

    def __init__(
        self,
        source: Streamed,
        settings: SourceSection,
        columns: RunColumns,
        keep: Sequence[str],
        notices: list[str],
    ) -> None:
        self._notices = notices
        self.name = source_names(source.path)
        self._source = source
        self.schema = None if columns.schema is None else source.schema
        kind = "arrow" if isinstance(source, ArrowSource) else "jsonl"
        kind = "csv" if isinstance(source, CsvSource) else kind
        if columns.schema is None and kind == "csv":
            raise ConfigError(
                f"{self.name}: a CSV has columns, and the run has learned from arrays, "
                f"{columns.array} of {columns.described}: give JSONL, Parquet or .npz"
            )
        goal = targets_of(settings.target, settings.multilabel, str(settings.label or "") or None)
        fields = () if goal is None else tuple(map(str, goal.fields))
        labels = {"labels": {"names": columns.labels}}
        source.load_state_dict({**source.state_dict(), **columns.decisions(kind, fields), **labels})
        source.predict_only(keep)
        source.schema.misfits = {}
        self._columns = columns

    @property
    def put_aside(self) -> PutAside:
        return self._source.put_aside

    def __iter__(self) -> Iterator[tuple[Batch, Kept]]:
        for batch in self._source:
            x = batch.x if self.schema is not None else self._columns.as_learned(self.name, batch.x)
            yield replace(batch, x=x), self._source.kept

    def take_notices(self) -> list[str]:
        notices, self._notices = self._notices, []
        return [*notices, *map(describe_change, self._source.schema.changes.take())]


class _ArrayInput:
    """Rows of arrays in a file."""

    def __init__(self, job: Job, columns: RunColumns, inputs: Inputs, keep: Sequence[str]) -> None:
        (path,) = inputs.files
        self.name = Path(path).name
        self._source = open_arrays(path, inputs.format, job.source, columns)
        self._kept = kept_arrays(path, inputs.format, keep, len(self._source))
        self._notices = inputs.notices
        self._columns = columns
        self.schema: Schema | None = None
        if columns.schema is not None:
            self.schema = make_schema(job.features)
            self.schema.load_state_dict(columns.schema)
            self.schema.on_change, self.schema.misfits = "ignore", {}

    @property
    def put_aside(self) -> PutAside:
        return self._source.put_aside

    def __iter__(self) -> Iterator[tuple[Batch, Kept]]:
        for batch in self._source:
            end = self._source.position
            rows = slice(end - len(batch), end)
            x = self._columns.as_learned(self.name, batch.x, batch.schema, self.schema)
            kept = {name: values[rows] for name, values in self._kept.items()}
            yield replace(batch, x=x, schema=self.schema or batch.schema), kept

    def take_notices(self) -> list[str]:
        notices, self._notices = self._notices, []
        return notices
