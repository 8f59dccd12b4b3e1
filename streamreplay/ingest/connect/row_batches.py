"""Cut the rows that a source has decoded into batches."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, Protocol, final

from streamreplay.batch import Batch
from streamreplay.errors import NoUsableRowError, RecordError
from streamreplay.features.schema import Schema
from streamreplay.ingest.connect.came import Came
from streamreplay.ingest.dead_letters import FIRST_RECORDS, Fault, no_usable_row
from streamreplay.ingest.decode.options import SourceOptions
from streamreplay.ingest.decode.rows import Columns, PendingRows
from streamreplay.ingest.decode.targets import TargetFields
from streamreplay.ingest.second_pass import SecondPass
from streamreplay.labels import Labels
from streamreplay.put_aside import PutAside
from streamreplay.state import State, within


class RowInput(Protocol):
    """Where the records of a source come from: the lines of files, or Arrow data."""

    rows: int
    """Rows yielded so far."""

    @property
    def taken(self) -> int:
        """Records consumed so far, with those that are no rows."""

    def consume(self, n: int) -> None:
        """Move the position past n records."""

    def number(self, record: int) -> int:
        """Return where a record is in its file, from 1."""

    def where(self, record: int) -> str:
        """Return the file and the place of a record, for messages."""

    def report(self, faults: Sequence[Fault]) -> None:
        """Describe records that cannot be used, and are not consumed, to who takes dead letters."""


@final
class RowBatches:
    """Holds decoded rows until they are a batch, and counts the records that cannot be used.

    Parameters
    ----------
    input : RowInput
    options : SourceOptions
    labels : Labels
    schema : Schema
    goal : TargetFields or None
        What the rows have in place of a label.

    Attributes
    ----------
    pending : PendingRows
        What was decoded and is not part of the position.
    put_aside : PutAside
    names : sequence of str or None
        Of the features, the same object in every batch.
    stopped : bool
        The last pass ended because it was asked to.
    """

    def __init__(
        self,
        input: RowInput,
        options: SourceOptions,
        labels: Labels,
        schema: Schema,
        goal: TargetFields | None,
    ) -> None:
        self.input = input
        self.options = options
        self.labels = labels
        self._schema, self._goal = schema, goal
        self.put_aside = PutAside()
        self.pending = PendingRows()
        self.names: Sequence[str] | None = None
        self.stopped = False
        self._whole = False
        self._passes = SecondPass()

    def state_dict(self) -> State:
        """Return the labels, and what was put aside."""
        return {"labels": self.labels.state_dict(), "put_aside": self.put_aside.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Load a state, and drop what was decoded."""
        with within("labels"):
            self.labels.load_state_dict(state["labels"])
        self.put_aside.load_state_dict(state["put_aside"])
        self.pending, self.names, self._passes.ended = PendingRows(), None, False

    def over(self, next_batch: Callable[[], Batch | None], name: str) -> Iterator[Batch]:
        """Yield the batches of a pass over the source of that name."""
        yield from self._passes.over(iter(next_batch, None), name)
        self._passes.ended = not (self.stopped or self._whole)

    def head(self, gather: Callable[[int], Came], *, whole: bool) -> Columns | None:
        """Return the rows of the next batch; None at the end of the pass.

        Parameters
        ----------
        gather : callable
            Reads and decodes records for so many more rows.
        whole : bool
            End the pass before rows that only the end of the stream, or the limit, makes a batch.
        """
        self._whole, size, came = whole, self.options.batch_size, Came.ENOUGH
        while (room := self._room()) > 0:
            rows = self.pending.head(size)
            if rows is not None and len(rows) <= room and self.pending.is_whole(rows, size):
                return rows
            if rows is not None and len(rows) >= room:  # the limit cuts this batch
                return None if whole else rows.take(slice(0, room))
            if came is Came.STOPPED or (whole and came in (Came.ENDED, Came.BROKEN)):
                return None
            if came is not Came.ENOUGH and rows is not None:
                return rows
            if came is Came.ENDED:
                return None
            came = gather(min(size, room) - len(self.pending))
        return None

    def _room(self) -> int:
        """Return how many rows may be yielded, at least a batch if there is no limit."""
        limit = self.options.limit
        return self.options.batch_size if limit is None else limit - self.input.rows

    def take(self, rows: Columns) -> Batch:
        """Return rows as a batch, and move the position behind them."""
        at, end = self.input, rows.line[-1] + 1
        self.check_strict(end)
        # before the position moves: rows that are refused come again
        batch = rows.batch(at.rows, self.labels, self._goal, self.names, self._schema)
        self._advance(rows.line, end - at.taken)
        at.rows += len(rows)
        return batch

    def drop_unusable(self, name: str) -> None:
        """Consume the records that were decoded, if none of them can be used.

        Raises
        ------
        NoUsableRowError
            They are the first records of the source of that name, and so many that none may follow.
        """
        if len(self.pending):
            return
        self._advance((), self.pending.lines)
        if self.put_aside.count >= FIRST_RECORDS and not self.input.rows:
            raise NoUsableRowError(no_usable_row(name, self.put_aside))

    def _advance(self, rows: Sequence[int], n: int) -> None:
        """Move the position past n records, and report those among them that cannot be used.

        ``rows`` has the numbers of those that can be, ascending.
        """
        self.check_strict(end := self.input.taken + n)
        faults = [fault for fault in self.pending.faults if fault.line < end]
        for fault in faults:
            before = self.input.rows + bisect_left(rows, fault.line) + self.put_aside.count
            number = self.input.number(fault.line)
            self.put_aside.add(fault.reason, record=before, line=number)
        self.input.report(faults)
        self.pending.drop(len(rows), n, end)
        self.input.consume(n)

    def check_strict(self, end: int) -> None:
        """Raise if strict, and a record before record ``end`` cannot be used."""
        for fault in self.pending.faults[:1] if self.options.strict else ():
            if fault.line < end:
                self.refuse(fault)

    def refuse(self, fault: Fault) -> NoReturn:
        """Raise for a record that cannot be used, and drop what was decoded."""
        self.pending = PendingRows()
        raise RecordError(f"{self.input.where(fault.line)}: {fault.reason}")
