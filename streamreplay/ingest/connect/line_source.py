"""Read lines from bytes, batches from lines, and keep a position to resume from."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamreplay.batch import Batch
from streamreplay.errors import CheckpointError
from streamreplay.features.schema import Schema
from streamreplay.ingest.connect.came import Came
from streamreplay.ingest.connect.files import Paths
from streamreplay.ingest.connect.line_reader import READ, LineReader
from streamreplay.ingest.connect.row_batches import RowBatches
from streamreplay.ingest.connect.text import TextDecoder
from streamreplay.ingest.dead_letters import FIRST_RECORDS, Fault
from streamreplay.ingest.decode.lines import LineBuffer, Position
from streamreplay.ingest.decode.options import FieldNames, SourceOptions, labels_or_new
from streamreplay.ingest.decode.roles import FieldsInUse
from streamreplay.ingest.decode.rows import Columns
from streamreplay.ingest.decode.values import BadRecord
from streamreplay.labels import Labels
from streamreplay.plain_text import listed
from streamreplay.put_aside import PutAside
from streamreplay.state import State

if TYPE_CHECKING:
    from streamreplay.ingest.decode.named_fields import NamedFields

BOM = b"\xef\xbb\xbf"
CACHE = 1 << 18  # bytes to decode at a time: what they become stays in the processor's cache

_AHEAD = 2  # lines looked at for each row that shows kinds: some are headers, blank, or bad


class LineSource(ABC):
    """A stream of lines, each of which is a record. See `JsonlSource` and `CsvSource`.

    Attributes
    ----------
    name : str
        What messages call this source.
    continue_from_here : bool
        Set this after loading a state if a pipe (or standard input) brings what comes *after* the
        learned rows. If it is false, a pipe must bring the same stream from its start, and its
        learned part is skipped. A file is always the same file.
    whole_batches : bool
        Set this to pause before rows that only the end of the stream or the limit makes a batch,
        and before a last line without a line end. Iterate again without it to get them.
    follow : bool
        Set this to wait at the end of the last file until it grows, or a folder or a pattern has a
        next file. A last line waits for its end. Where the file is rotated or truncated, the rest
        of the old one is read, and then the new one. Iterating ends by ``stop`` alone.
    on_notice : callable
        Called with a sentence where a followed file is rotated or truncated.
    kept : mapping of str to sequence, in the batch yielded last, see `predict_only`

    The others are described in `Source`.
    """

    rows_total: int | None = None
    _unlabelled = False  # rows are only predicted
    _keep: Sequence[str] = ()
    _quotes = False  # a line end between quotes belongs to a record

    def __init__(
        self,
        path: Paths,
        options: SourceOptions,
        fields: FieldNames,
        labels: Labels | None,
        schema: Schema | None,
    ) -> None:
        self.path = path
        self.options = options
        self.fields = fields
        self.schema = Schema() if schema is None else schema
        """The columns of a table, for rows with named fields."""
        self.labels = labels_or_new(labels, None if fields.goal is None else fields.goal.names)
        self.continue_from_here = False
        self.whole_batches = False
        self.follow = False
        self.on_notice: Callable[[str], None] = lambda _: None
        self.kept: Mapping[str, Sequence[Any]] = {}
        self._known_to = 0  # the line up to which decisions are part of the state
        self._buffer = self._new_buffer()
        self._reader = self._new_reader()
        self.name = self._reader.files.name(0)
        goal = fields.goal
        self._batches = RowBatches(self._reader, options, self.labels, self.schema, goal)

    @property
    def position(self) -> int:
        """Rows yielded so far."""
        return self._buffer.position.rows

    @property
    def target_names(self) -> list[str] | None:
        """What the numbers or labels to be predicted are called; None for classes."""
        return None if self.fields.goal is None else self.fields.goal.names

    @property
    @abstractmethod
    def feature_names(self) -> list[str] | None:
        """What the features are called; None until the first row."""

    @property
    @abstractmethod
    def left_out(self) -> Sequence[str]:
        """The fields that are not used."""

    @property
    def put_aside(self) -> PutAside:
        """The lines so far that could not be read."""
        return self._batches.put_aside

    @property
    def dead(self) -> int:
        """Lines so far that could not be read."""
        return self.put_aside.count

    def __iter__(self) -> Iterator[Batch]:
        yield from self._batches.over(self._next, self.name)

    def close(self) -> None:
        """Close the file, if there is one; iterating again opens it, and goes on."""
        if self._reader.reopens:
            self.load_state_dict(self.state_dict())

    def state_dict(self) -> State:
        """Return the position, the labels, and what was decided about the fields."""
        return {
            **self._buffer.position.as_dict(),
            **self._batches.state_dict(),
            **self._reader.state_dict(),
            **self._decisions(),
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state; the stream is opened again at the next iteration.

        Raises
        ------
        CheckpointError
            The state is of a source with other settings, or of something else.
        """
        for key in (*Position().as_dict(), "labels", "put_aside", *READ):
            if key not in state:
                raise CheckpointError(f"{key}: not saved, but a source of lines has it")
        self._decide(state)
        self._batches.load_state_dict(state)
        self._buffer = self._new_buffer()
        self._known_to = 0
        self._reader.close()
        self._reader = self._new_reader()
        self._reader.load_state_dict(state)
        self._batches.input = self._reader

    def compare_up_to(self, end: State) -> None:
        """Compare the stream, when it is opened, with one that was read to another state.

        A run that has ended goes on from an earlier state, and must find again all that it learned
        from. The last line may have gone on since.

        Parameters
        ----------
        end : State
            Such a state, in which the position lies behind that of the last one loaded.
        """
        self._reader.files.compare_up_to(end)

    def predict_only(self, keep: Sequence[str] = ()) -> None:
        """Read rows to be predicted alone: they need no label, and new fields are left out.

        `kept` then has the values of fields to keep. Decisions are loaded before.
        """
        self._unlabelled, self._keep = True, list(keep)
        self.schema.close()
        self.labels.closed = True

    def batch(self, rows: Any) -> Batch:
        """Return rows that a program has as a batch, by the columns of the rows read so far.

        The position does not move: these rows are not of the stream.

        Parameters
        ----------
        rows : list of dict, dict of columns, frame of pandas or polars, or Arrow data

        Raises
        ------
        ValueError
            No row was read.
        RecordError
            A row cannot be used.
        """
        from streamreplay.ingest.decode.given_batch import given_batch  # noqa: PLC0415 - seldom used

        return given_batch(self._named_fields(), rows, self.position, self.labels)

    @abstractmethod
    def _named_fields(self) -> NamedFields:
        """Return what each field is used for, by its name."""

    @abstractmethod
    def _decisions(self) -> State:
        """Return which fields the consumed lines have determined."""

    @abstractmethod
    def _decide(self, state: State) -> None:
        """Load what `_decisions` returned; raise `CheckpointError` if it does not fit."""

    @abstractmethod
    def _decode(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        """Decode lines, the first of which has the number ``first``; blank ones are no fault."""

    def _new_text(self) -> TextDecoder:
        """Return what turns the bytes of a stream into lines."""
        return TextDecoder(quotes=self._quotes)

    def _new_reader(self) -> LineReader:
        return LineReader(self.path, self._new_text, self._buffer, self.options, self._begin_part)

    def _new_buffer(self) -> LineBuffer:
        """Return an empty buffer, for the first lines or those behind the state just loaded."""
        return LineBuffer(self.options.max_line_bytes)

    @property
    @abstractmethod
    def _is_decided(self) -> bool:
        """Whether it is known what each field is used for."""

    def _infers(self) -> bool:
        """Return whether it takes more than the first lines to know what each field is for."""
        return True

    @abstractmethod
    def _kept(self, lines: list[bytes], at: Sequence[int]) -> Mapping[str, Sequence[Any]]:
        """Return the values of fields to keep in lines of these numbers, each a row."""

    @abstractmethod
    def describe(self) -> FieldsInUse | None:
        """Return what each field is used for; None until the first row."""

    def _begin(self, columns: Mapping[str, list[Any]]) -> None:
        """Infer the kinds of columns from their first values.

        Raises
        ------
        BadRecord
            None of them can be learned from.
        """
        schema = self.schema
        schema.reset()
        schema.begin(columns)
        if not schema.names:
            why = listed([f"{name} ({reason})" for name, reason in schema.left_out.items()])
            schema.reset()
            raise BadRecord(f"there is nothing to learn from: {why or 'no other field'}")

    def prepare(self) -> bool:
        """Read ahead until it is known what each field is for, and yield nothing.

        Return whether that depends on how fast the rows came, so that it should be saved before
        the first prediction leaves. The state has it from now on.
        """
        while not self._is_decided and self._gather_rows(1) is Came.ENOUGH:
            pass
        self._known_to = self._buffer.position.lines + self._batches.pending.lines
        return self._is_decided and not self._reader.regular

    def _ahead(self, line: int) -> list[bytes]:
        """Return lines behind one, as far as they were read, to decide what fields are for."""
        buffer = self._buffer
        if self._reader.ended and buffer.partial:
            # it counts whether or not the stream is to pause before it
            buffer = copy.deepcopy(buffer)
            buffer.finish()
        lines: list[bytes] = []
        skip, most = line + 1 - buffer.position.lines, _AHEAD * self.schema.infer_rows
        while part := buffer.peek(skip + len(lines), most - len(lines)):  # of one file each
            lines += part
        return [line for line in lines if len(line) <= buffer.longest]

    def _is_consumed(self, line: int | None) -> bool:
        """Return whether the position is behind a line."""
        return line is not None and line < max(self._buffer.position.lines, self._known_to)

    def _next(self) -> Batch | None:
        self._batches.options = self.options
        rows = self._batches.head(self._gather_rows, whole=self.whole_batches)
        return None if rows is None else self._take(rows)

    def _gather_rows(self, rows: int) -> Came:
        """Read and decode lines for so many rows; ENOUGH if more lines may follow."""
        reader, pending = self._reader, self._batches.pending.lines
        reader.continue_from_here, reader.follow = self.continue_from_here, self.follow
        reader.whole_batches, reader.options = self.whole_batches, self.options
        reader.on_notice = self.on_notice
        came = reader.gather(pending + rows)
        bulk = not self.options.strict  # decode all lines; if strict, none behind the batch
        if came is Came.ENOUGH and not self._is_decided and self._infers():
            # the line that decides has the same lines behind it however they are read
            rows, bulk = 1, False
            came = reader.gather(pending + _AHEAD * self.schema.infer_rows + 1)
        self._batches.stopped = came is Came.STOPPED
        if self._batches.stopped:
            return came
        self._decode_gathered(len(self._buffer) if bulk else rows)
        return Came.ENOUGH if len(self._buffer) > self._batches.pending.lines else came

    def _begin_part(self, line: int | None) -> None:  # noqa: B027 - a CSV has headers
        """Take notice that a further part of the stream begins, if known at which line."""

    def _decode_gathered(self, most: int) -> None:
        """Decode at most so many lines; lines without any row are consumed at once."""
        self._decode_next(most)
        if self.options.strict and self._batches.pending.faults:
            self._refuse_early()
        self._batches.drop_unusable(self.name)

    def _decode_next(self, most: int) -> None:
        pending, buffer = self._batches.pending, self._buffer
        if not self.position and not len(pending):  # one of the first records must be usable
            most = min(most, max(1, FIRST_RECORDS - self.dead))
        lines = buffer.peek(pending.lines, most)
        if not lines:
            return
        del lines[max(1, CACHE // (len(lines[0]) + 1)) :]
        first = buffer.position.lines + pending.lines
        self.name = self._reader.name(first)
        begins = first == buffer.first_of_file(first)
        if begins and first:
            self._begin_part(first)
        if begins and len(lines[0]) <= buffer.longest:
            lines[0] = lines[0].removeprefix(BOM)
        if buffer.may_be_long and max(map(len, lines)) > buffer.longest:
            found, faults = self._decode_short(lines, first)
        else:
            found, faults = self._decode(lines, first)
        pending.add(lines, first, found, faults)

    def _decode_short(self, lines: list[bytes], first: int) -> tuple[Columns | None, list[Fault]]:
        longest = self._buffer.longest
        reason = f"line has more than {longest} bytes"
        long = [Fault(first + i, reason) for i, line in enumerate(lines) if len(line) > longest]
        found, faults = self._decode([b"" if len(s) > longest else s for s in lines], first)
        return found, sorted([*faults, *long], key=lambda fault: fault.line)

    def _refuse_early(self) -> None:
        """Raise for a line that cannot be read without waiting for the rest of its batch."""
        pending = self._batches.pending
        fault, rows = pending.faults[0], pending.head(self.options.batch_size)
        whole = rows is not None and len(rows) < len(pending)
        if rows is None or not whole or rows.line[-1] > fault.line:
            self._batches.refuse(fault)

    def _take(self, rows: Columns) -> Batch:
        if self._batches.names is None:
            self._batches.names = self.feature_names
        if self._keep:
            self._batches.check_strict(rows.line[-1] + 1)
            self.kept = self._kept(self._buffer.take(rows.line), rows.line)
        return self._batches.take(rows)
