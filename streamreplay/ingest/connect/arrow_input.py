"""Read rows of Arrow data ahead of a position, and compare those before it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.arrow_files import ArrowReader, open_reader
from streamreplay.ingest.connect.arrow_messages import ChooseColumns, MessageReader, write_messages
from streamreplay.ingest.connect.arrow_queue import LearnedRows, RowCheck, RowQueue
from streamreplay.ingest.connect.byte_stream import source_name
from streamreplay.ingest.connect.came import Came
from streamreplay.ingest.connect.files import Paths, files_of
from streamreplay.ingest.connect.line_reader import POLL
from streamreplay.ingest.dead_letters import Fault, row_letter
from streamreplay.ingest.decode.arrow_columns import ArrowRows, plain_rows
from streamreplay.ingest.decode.options import SourceOptions
from streamreplay.state import State, whole

_ANY = 1 << 62
_NOTHING = np.empty(0, np.uint8)


class ArrowInput:
    """The rows of files and pipes from a position on, with plain columns.

    Files are read from their starts, and the rows before the position are compared.

    Parameters
    ----------
    paths : str or Path, or sequence of str or Path
        ``-`` is standard input.
    options : SourceOptions
    choose : ChooseColumns
        Called for each part with a schema of its own.

    Attributes
    ----------
    continues : bool
        A pipe brings what comes after the position, and not the same rows again.
    queue : RowQueue
        The rows that were read and are not consumed.
    rows : int
        Rows yielded so far.
    taken : int
        Rows consumed so far, with those that cannot be used.
    """

    def __init__(self, paths: Paths, options: SourceOptions, choose: ChooseColumns) -> None:
        self.files = files_of(paths)
        self._options = options
        self._choose = choose
        self.continues = False
        self._learned = LearnedRows()
        self._carry: NDArray[np.uint8] = _NOTHING  # rows that a pipe will not bring again
        self._reader: ArrowReader | None = None
        self.rows = self.taken = 0
        self._restart()

    def _restart(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self.queue = RowQueue()
        self._start = self._learned.values()
        self._end: list[tuple[int, int]] = []
        self._file = -1  # that is open
        self._pipe: int | None = None  # the file that is a pipe which was read from
        self._skip: RowCheck | None = None
        self._check: RowCheck | None = None
        self._failure: SourceError | None = None
        self._ended = False

    def state_dict(self) -> State:
        """Return which rows were consumed, and those that were read ahead of a pipe."""
        own = {"rows": self.rows, "taken": self.taken}
        return {**own, **self._learned.state_dict(), "carry": self._read_ahead()}

    def load_state_dict(self, state: State) -> None:
        """Load a state; the files are opened again when rows are needed."""
        self._learned.load_state_dict(state)
        self._carry = np.array(state["carry"], np.uint8)
        self.rows, self.taken = (whole(name, state[name]) for name in ("rows", "taken"))
        self._restart()

    def compare_up_to(self, end: State) -> None:
        """Compare files, when they are opened, with those read to another state."""
        self._end = [(int(file["rows"]), int(file["crc"])) for file in end["files"]]

    def name(self, row: int) -> str:
        """Return what messages call the file of a row that is not consumed."""
        ((_, file),) = self.queue.peek_with_files(row - self.taken, 1)
        return source_name(self.files[file])

    def number(self, record: int) -> int:
        """Return the number of a row, from 1."""
        return record + 1

    def where(self, record: int) -> str:
        """Return the file and the number of a row, for messages."""
        return f"{self.name(record)}: row {record + 1}"

    def report(self, faults: Sequence[Fault]) -> None:
        """Describe rows that cannot be used, and are not consumed, to who takes dead letters."""
        if (take := self._options.on_dead) is None:
            return
        for fault in faults:
            (row,) = self.queue.peek(fault.line - self.taken, 1)
            take(row_letter(self.name(fault.line), fault, ArrowRows(row).text()))

    @property
    def reopens(self) -> bool:
        """Whether a file is open that can be read again from its start."""
        return self._reader is not None and self._reader.reopens

    @property
    def waits(self) -> bool:
        """Whether a pipe is open, for which reading may have to wait."""
        return self._reader is not None and not self._reader.regular

    def consume(self, n: int) -> None:
        """Move the position past n rows."""
        for rows, file in self.queue.consume(n):
            self._learned.add(rows, file)
        self.taken += n

    def fill(self, rows: int) -> Came:
        """Read until so many rows are in the queue."""
        while len(self.queue) < rows:
            if self._ended and self._file == len(self.files) - 1:
                return Came.ENDED
            if self._reader is not None and not self._ended and not self._reader.regular:
                came = self._wait(self._reader)
                if came is not Came.ENOUGH:
                    return came
            if not self._advance():
                return Came.BROKEN
        return Came.ENOUGH

    def _wait(self, reader: ArrowReader) -> Came:
        """Wait for bytes, as long as the first row may wait."""
        deadline = float("inf")
        if len(self.queue):
            deadline = self.queue.arrival + self._options.patience
        while True:
            if self._options.stop is not None and self._options.stop():
                return Came.STOPPED
            left = deadline - time.monotonic()
            if reader.ready(min(left, POLL)):
                return Came.ENOUGH
            if left <= 0:
                return Came.LATE

    def _advance(self) -> bool:
        """Read once, or open the next file; return False at an error that rows come before."""
        try:
            if self._failure is not None:
                raise self._failure
            if self._reader is None or self._ended:
                self._open(self._file + 1)
            else:
                self._read(self._reader)
        except SourceError as error:
            self._failure = error
            if len(self.queue):
                return False
            raise
        return True

    def _open(self, file: int) -> None:
        if len(self._start) > len(self.files):
            raise SourceError(
                f"{len(self._start)} files were learned from, and there are {len(self.files)}"
            )
        if self._reader is not None:
            self._reader.close()
        path, last = self.files[file], file == len(self.files) - 1
        gone = path == "-" and not last  # a pipe that has ended
        self._reader = open_reader(os.devnull if gone else path, self._choose)
        self._file, self._ended = file, False
        if gone or (self.continues and not self._reader.reopens):
            self._pipe = file
            if file == max(0, len(self._start) - 1):
                self._feed_carried(file)
            return
        if not self._reader.reopens:
            self._pipe = file
        name = source_name(path)
        self._skip = RowCheck(name, *self._start[file]) if file < len(self._start) else None
        self._check = RowCheck(name, *self._end[file]) if file < len(self._end) else None

    def _feed_carried(self, file: int) -> None:
        name = source_name(self.files[file])
        for rows in MessageReader(name, self._choose).feed(self._carry.tobytes()):
            self.queue.feed(plain_rows(name, rows), file, time.monotonic())

    def _read(self, reader: ArrowReader) -> None:
        found = reader.read()
        for rows in found or ():
            self._take(rows)
        if found is None:
            self._ended = True
            for check in (self._skip, self._check):
                if check is not None:
                    check.end()

    def _take(self, rows: Any) -> None:
        name = source_name(self.files[self._file])
        rows = plain_rows(name, rows)
        if self._check is not None:
            self._check.over(rows)
        if self._skip is not None:
            rows = self._skip.over(rows)
            self._skip = None if self._skip.done else self._skip
        if rows.num_rows and self._file < len(self._start) - 1:
            raise SourceError(f"{name}: has grown since it was learned from to its end")
        self.queue.feed(rows, self._file, time.monotonic())

    def _read_ahead(self) -> NDArray[np.uint8]:
        behind = self._file >= len(self._start) - 1 and self._skip is None
        if self._reader is None or not behind:
            return self._carry
        parts = self.queue.peek_with_files(0, _ANY)
        unread = [rows for rows, file in parts if file == self._pipe]
        return np.frombuffer(write_messages(unread), np.uint8)
