"""Streams of rows from Parquet files, Arrow files and Arrow streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias, final

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.features.schema import Schema
from streamreplay.ingest.connect.arrow_files import check_pyarrow, count_rows
from streamreplay.ingest.connect.arrow_input import ArrowInput
from streamreplay.ingest.connect.came import Came
from streamreplay.ingest.connect.files import Paths, source_names
from streamreplay.ingest.connect.line_source import LineSource
from streamreplay.ingest.connect.row_batches import RowBatches
from streamreplay.ingest.dead_letters import (
    DeadLetters,
)
from streamreplay.ingest.decode.arrow_columns import ArrowRows
from streamreplay.ingest.decode.given_batch import given_batch
from streamreplay.ingest.decode.named_fields import ArrowParts, NamedFields
from streamreplay.ingest.decode.options import (
    FieldNames,
    SourceOptions,
    check_features,
    check_names,
    label_field,
    label_or_usual,
    labels_or_new,
)
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.rows import Columns
from streamreplay.ingest.decode.targets import targets_of
from streamreplay.labels import Labels, Name
from streamreplay.put_aside import PutAside
from streamreplay.state import State

_AT_ONCE = 256  # rows to decode


@final
class ArrowSource:
    r"""Rows from a Parquet file, an Arrow file or an Arrow stream, told by their first bytes.

    Columns are matched by name. Values are learned as if they stood in a CSV or in JSON: numbers,
    booleans, text (also as dictionaries), dates and timestamps in any zone, decimals as numbers,
    durations as seconds, times of the day as text. A column ``x`` of lists of numbers is an array.
    Other nested columns, and bytes, are left out. It needs PyArrow (extra ``arrow``).

    Resuming reads the stream from its start and compares the rows that were learned from: it may
    have become longer, or be stored in another way. A pipe that goes on behind them
    (``continue_from_here``) begins with a schema, and may have its columns in another order.

    Parameters
    ----------
    path : str or Path, or sequence of str or Path
        Files, folders and glob patterns, read in order; ``-`` is standard input. From there, and
        from other pipes, an Arrow stream can be read, also compressed; Parquet and Arrow files have
        their index at the end.
    features : sequence of str, optional
        The columns to learn from, or one column of lists of numbers. Left out: ``x`` if that is
        such a column, else all columns that are nothing else.
    label : str or False, optional
        The column with the label; false or "" if there is none. Left out, it is ``y``, or none with
        a target.
    target, multilabel, weight, task, experience, id, time
        As in `JsonlSource`.
    batch_size, max_wait, limit, strict, schema, on_dead, stop, labels
        As in `JsonlSource`.

    Raises
    ------
    ConfigError
        PyArrow is missing. While iterating: a column that was asked for is not there.
    SourceError
        The file cannot be read, or is something else. While iterating also: it is cut short, or
        its rows are not those learned from.
    RecordError
        While iterating, if strict.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> from pyarrow import feather
    >>> path = Path(tempfile.mkdtemp()) / "rows.arrow"
    >>> feather.write_feather(pa.table({"size": [1.5, None], "y": ["cat", "dog"]}), path)
    >>> source = ArrowSource(path)
    >>> for batch in source:
    ...     print(batch.x["number"].tolist(), batch.y.tolist())
    [[1.5], [nan]] [0, 1]
    >>> source.feature_names, source.rows_total
    (['size'], 2)
    """

    def __init__(  # noqa: PLR0913 - keywords, each an option of its own
        self,
        path: Paths,
        *,
        features: Sequence[str] | None = None,
        label: str | bool | None = None,
        target: str | Sequence[str] | None = None,
        multilabel: Sequence[Name] | None = None,
        weight: str | None = None,
        task: str | None = None,
        experience: str | None = None,
        id: str | None = None,
        time: str | None = None,
        batch_size: int = 32,
        max_wait: float | None = 0.5,
        limit: int | None = None,
        strict: bool = False,
        schema: Schema | None = None,
        on_dead: DeadLetters | None = None,
        stop: Callable[[], bool] | None = None,
        labels: Labels | None = None,
    ) -> None:
        check_pyarrow()
        self.path = path
        self.options = SourceOptions(batch_size, max_wait, limit, strict, 1, on_dead, stop)
        named = label_field(label)
        goal = targets_of(target, multilabel, named)
        usual = label_or_usual(label, goal)
        fields = FieldNames(usual, task, experience, id, time, weight, goal)
        if features is not None:
            check_features(features, fields)
        if goal is not None:
            check_names(goal, "Arrow columns")
        self.schema = Schema() if schema is None else schema
        """The columns of a table, for rows with named fields."""
        asked = None if features is None else list(features)
        self.name = source_names(path)
        self._fields = NamedFields("arrow", self.name, fields, asked, self.schema)
        self._parts = ArrowParts(self._fields)
        self.labels = labels_or_new(labels, None if goal is None else goal.names)
        self.whole_batches = False
        self.kept: Mapping[str, Sequence[Any]] = {}
        """The values in the batch yielded last of columns that `predict_only` keeps."""
        self._input = ArrowInput(path, self.options, self._parts.take)
        totals = list(map(count_rows, self._input.files))
        self.rows_total = None if None in totals else sum(n or 0 for n in totals)
        self._batches = RowBatches(self._input, self.options, self.labels, self.schema, goal)
        self._prepared = False  # decisions are part of the state before the first row is

    @property
    def continue_from_here(self) -> bool:
        """Whether a pipe brings what comes after the learned rows, and not the same rows again."""
        return self._input.continues

    @continue_from_here.setter
    def continue_from_here(self, continues: bool) -> None:
        self._input.continues = continues

    @property
    def position(self) -> int:
        """Rows yielded so far."""
        return self._input.rows

    @property
    def target_names(self) -> list[str] | None:
        """What the numbers or labels to be predicted are called; None for classes."""
        goal = self._fields.fields.goal
        return None if goal is None else goal.names

    @property
    def feature_names(self) -> list[str] | None:
        """The columns learned from; None until the first row."""
        return self._fields.feature_names

    @property
    def feature_shape(self) -> tuple[int, ...] | None:
        """The shape of a row's features; None until the first row."""
        names, choice = self.feature_names, self._fields.choice
        if choice is None or names is None:
            return None
        return self._fields.shape if choice.array else (len(names),)

    @property
    def left_out(self) -> list[str]:
        """The columns that are not used."""
        return self._fields.left_out

    @property
    def put_aside(self) -> PutAside:
        """The rows so far that could not be used."""
        return self._batches.put_aside

    @property
    def dead(self) -> int:
        """Rows so far that could not be used."""
        return self.put_aside.count

    def describe(self) -> FieldsInUse | None:
        """Return what each column is used for; None until the first row."""
        return self._fields.describe()

    def __iter__(self) -> Iterator[Batch]:
        yield from self._batches.over(self._next, self.name)

    def close(self) -> None:
        """Close the file, if there is one; iterating again opens it, and goes on."""
        if self._input.reopens:
            self.load_state_dict(self.state_dict())

    def state_dict(self) -> State:
        """Return the position, the labels, and what was decided about the columns."""
        return {
            **self._batches.state_dict(),
            **self._input.state_dict(),
            **self._fields.decisions(known=self._input.taken > 0 or self._prepared),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the stream is opened again at the next iteration.

        Raises
        ------
        CheckpointError
            The state is of a source with other settings, or of something else.
        """
        for key in ("rows", "taken", "labels", "put_aside", "crc", "files", "carry"):
            if key not in state:
                raise CheckpointError(f"{key}: not saved, but a source of Arrow data has it")
        self._fields.load(state)
        self._batches.load_state_dict(state)
        self._input.load_state_dict(state)
        self._prepared = self._fields.choice is not None

    def compare_up_to(self, end: State) -> None:
        """Compare the stream, when it is opened, with one that was read to another state.

        Parameters
        ----------
        end : State
            Such a state, in which the position lies behind that of the last one loaded.
        """
        self._input.compare_up_to(end)

    def predict_only(self, keep: Sequence[str] = ()) -> None:
        """Read rows to be predicted alone, as `LineSource.predict_only` does."""
        self._parts.unlabelled, self._parts.keep = True, list(keep)
        self.schema.close()
        self.labels.closed = True

    def batch(self, rows: Any) -> Batch:
        """Return rows that a program has as a batch, as `LineSource.batch` does."""
        return given_batch(self._fields, rows, self.position, self.labels)

    def prepare(self) -> bool:
        """Read ahead until it is known what each column is for, and yield nothing.

        Return whether that depends on how fast the rows came, so that it should be saved before
        the first prediction leaves. The state has it from now on.
        """
        while self._fields.choice is None and self._gather() is Came.ENOUGH:
            pass
        self._prepared = self._fields.choice is not None
        return self._prepared and self._input.waits

    def _next(self) -> Batch | None:
        rows = self._batches.head(self._gather, whole=self.whole_batches)
        return None if rows is None else self._take(rows)

    def _gather(self, _: int = 1) -> Came:
        """Read and decode more rows; return ENOUGH if more may follow."""
        wanted = 1 if self._fields.choice is not None else self.schema.infer_rows
        came = self._input.fill(self._batches.pending.lines + wanted)
        self._batches.stopped = came is Came.STOPPED
        if self._batches.stopped:
            return came
        more = len(self._input.queue) > self._batches.pending.lines
        if more:
            self._decode_next()
        self._batches.drop_unusable(self.name)
        return Came.ENOUGH if more else came

    def _decode_next(self) -> None:
        """Decode some rows."""
        pending, start = self._batches.pending, self._batches.pending.lines
        if self._fields.choice is None:
            ahead = map(ArrowRows, self._input.queue.peek(start, self.schema.infer_rows))
            parts = self._parts
            self._fields.decide([*ahead], parts.columns, parts.array, parts.left_out)
        choice = self._fields.choice
        if choice is None:
            raise ValueError("rows came before it was decided how to read them")
        rows = self._input.queue.peek(start, _AT_ONCE)[0]
        first = self._input.taken + start
        found, faults = self._fields.rows(choice).decode(ArrowRows(rows), first)
        pending.add([b""] * rows.num_rows, first, found, faults)

    def _take(self, rows: Columns) -> Batch:
        if self._batches.names is None:
            self._batches.names = self.feature_names
        if self._parts.keep:
            self._batches.check_strict(rows.line[-1] + 1)
            self.kept = self._kept([line - self._input.taken for line in rows.line])
        return self._batches.take(rows)

    def _kept(self, places: Sequence[int]) -> Mapping[str, Sequence[Any]]:
        """Return the values of columns to keep in rows that are not consumed."""
        parts = [*map(ArrowRows, self._input.queue.peek(0, places[-1] + 1))]
        found: dict[str, list[Any]] = {}
        for name in self._parts.keep:
            values = [*chain.from_iterable(part.role_values("kept", name) for part in parts)]
            found[name] = [values[place] for place in places]
        return found


Streamed: TypeAlias = LineSource | ArrowSource
"""A source that reads rows from a file or a pipe as they are needed."""
