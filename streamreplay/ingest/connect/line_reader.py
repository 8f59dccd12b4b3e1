"""Read lines from files and pipes, in order, behind what was learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.byte_stream import ByteStream
from streamreplay.ingest.connect.came import Came
from streamreplay.ingest.connect.file_follower import FileFollower
from streamreplay.ingest.connect.files import Paths, SourceFiles, positions
from streamreplay.ingest.connect.text import LINES, TextDecoder
from streamreplay.ingest.connect.text_stream import TextStream
from streamreplay.ingest.dead_letters import Fault, dead_letter
from streamreplay.ingest.decode.lines import LineBuffer, Position
from streamreplay.ingest.decode.options import SourceOptions
from streamreplay.state import State

POLL = 0.2
SETTLED = 1.0  # seconds without a write after which a file's last line counts as whole
READ = ("carry", "text", "files", "names", "rotated")
"""The keys of a reader's state."""

_NOTHING = np.empty(0, np.uint8)


class LineReader:
    """Reads the lines of a source's files into a buffer.

    Parameters
    ----------
    paths : str or Path, or sequence of str or Path
    new_text : callable
        Returns what turns bytes into text.
    buffer : LineBuffer
    options : SourceOptions
    begin_part : callable
        Called with the number of the line at which a pipe goes on, None if it is inside a line.

    Attributes
    ----------
    continue_from_here, whole_batches, follow : bool
        As in `LineSource`.
    on_notice : callable
        As in `LineSource`.
    """

    def __init__(
        self,
        paths: Paths,
        new_text: Callable[[], TextDecoder],
        buffer: LineBuffer,
        options: SourceOptions,
        begin_part: Callable[[int | None], None],
    ) -> None:
        self.buffer = buffer
        self.files = SourceFiles(paths, new_text)
        self.continue_from_here = self.whole_batches = self.follow = False
        self.options = options
        self._begin_part = begin_part
        self._stream: TextStream | None = None
        self._file = 0  # that it is of
        self._pipe: int | None = None  # the file that is a pipe which was read from
        self._carry: NDArray[np.uint8] = _NOTHING  # read ahead of the position by a run before
        self._text: State = {}  # of what decoded that; see `TextDecoder.state_dict`
        self._follower = FileFollower()
        self._learned: list[str] = []  # the names of the files before that of the state loaded

    @property
    def reopens(self) -> bool:
        """Whether a file is open that can be read again from its start."""
        return self._stream is not None and self._stream.bytes.reopens

    @property
    def regular(self) -> bool:
        """Whether what is read is a file, for which nobody waits."""
        return self._stream is None or self._stream.bytes.regular

    @property
    def on_notice(self) -> Callable[[str], None]:
        """What is called with what happens to a followed file."""
        return self._follower.notice

    @on_notice.setter
    def on_notice(self, notice: Callable[[str], None]) -> None:
        self._follower.notice = notice

    @property
    def ended(self) -> bool:
        """Whether the stream was read to its end."""
        return self._stream is not None and self._stream.ended

    def close(self) -> None:
        """Close the open file."""
        if self._stream is not None:
            self._stream.bytes.close()

    def name(self, line: int) -> str:
        """Return what messages call the file that a line is in."""
        return self.files.name(self.buffer.file_of(line))

    @property
    def rows(self) -> int:
        """Rows yielded so far."""
        return self.buffer.position.rows

    @rows.setter
    def rows(self, rows: int) -> None:
        self.buffer.position.rows = rows

    @property
    def taken(self) -> int:
        """Lines consumed so far."""
        return self.buffer.position.lines

    def consume(self, n: int) -> None:
        """Move the position past n lines."""
        self.buffer.consume(n)

    def number(self, record: int) -> int:
        """Return where a line begins in its file, from 1."""
        return self.buffer.number(record)

    def where(self, record: int) -> str:
        """Return the file and the number of a line, for messages."""
        return f"{self.name(record)}:{self.number(record)}"

    def report(self, faults: Sequence[Fault]) -> None:
        """Describe lines that cannot be read, and are not consumed, to who takes dead letters."""
        take = self.options.on_dead
        if take is not None:
            for letter in self._letters(faults):
                take(letter)

    def _letters(self, faults: Sequence[Fault]) -> Iterator[dict[str, Any]]:
        spans = self.buffer.starts([fault.line for fault in faults])
        for fault, (start, length) in zip(faults, spans, strict=True):
            (line,) = self.buffer.take([fault.line])
            in_file = Fault(self.buffer.number(fault.line) - 1, fault.reason)
            kept = line[: self.buffer.longest + 1]  # as much as of a line that came in pieces
            yield dead_letter(self.name(fault.line), in_file, kept, start, length)

    def state_dict(self) -> State:
        """Return what was read ahead of a pipe, and which files were read to their ends."""
        return {
            "carry": self._read_ahead(),
            "text": self._read_text(),
            "files": [each.as_dict() for each in self.buffer.ends],
            "names": [self.files.name(file) for file in range(len(self.buffer.ends))],
            "rotated": [[place, path] for place, path in self.files.rotated.items()],
        }

    def load_state_dict(self, state: State) -> None:
        """Load a state, before anything was read."""
        self.buffer.position, self.buffer.ends = Position.of(state), positions(state["files"])
        self._learned = list(map(str, state["names"]))
        self.files.restore(state["rotated"])
        self._carry, self._text = np.array(state["carry"], np.uint8), dict(state["text"])

    def gather(self, lines: int) -> Came:
        """Read until so many lines are there that are not consumed."""
        while len(self.buffer) < lines:
            came, stream = Came.ENOUGH, self._stream
            if stream is None:
                self._connect()
            elif stream.ended and self._file < len(self.files) - 1:
                came = Came.ENOUGH if self._open_next() else Came.BROKEN
            else:
                came = self._read_more(stream)
            if came is not Came.ENOUGH:
                return came
        return Came.ENOUGH

    def _read_more(self, stream: TextStream) -> Came:
        """Read once, and wait for it if the file is a pipe."""
        if stream.ended and not self.whole_batches:
            self.buffer.finish()
        if stream.ended and len(self.buffer):
            return Came.ENDED
        before, late = len(self.buffer), False
        if not stream.bytes.regular:
            came, late = self._wait(stream.bytes)
            if came is not Came.ENOUGH:
                return came
        came = self._read(stream)
        nothing = late and came is Came.ENOUGH and len(self.buffer) == before
        return Came.LATE if nothing else came

    def _wait(self, stream: ByteStream) -> tuple[Came, bool]:
        """Wait for bytes. Late rows go out only if none come: a full pipe would be slow."""
        deadline = float("inf")
        if len(self.buffer):
            deadline = self.buffer.arrival() + self.options.patience
        while True:
            if self.options.stop is not None and self.options.stop():
                return Came.STOPPED, False
            left = deadline - time.monotonic()
            if stream.ready(min(left, POLL)):
                return Came.ENOUGH, left <= 0
            if left <= 0:
                return Came.LATE, True

    def _read(self, stream: TextStream) -> Came:
        """Read once."""
        follows = self.follow and stream.bytes.reopens
        try:
            # what was written anew is no continuation of what was read
            over = follows and stream.bytes.was_rewritten()
            block = None if over else stream.bytes.read()
        except SourceError:
            if len(self.buffer):
                return Came.BROKEN
            raise
        if block is None and follows:
            return self._wait_for_more(stream)
        if block is None and self.buffer.partial and not stream.bytes.settled(SETTLED):
            time.sleep(POLL / 4)
            stopped = self.options.stop is not None and self.options.stop()
            return Came.STOPPED if stopped else Came.ENOUGH
        text = stream.decode(block)
        if text:
            self.buffer.feed(text, time.monotonic())
        if stream.ended and not self.whole_batches:
            self.buffer.finish()
        last = self._file == len(self.files) - 1
        return Came.ENDED if stream.ended and last else Came.ENOUGH

    def _wait_for_more(self, stream: TextStream) -> Came:
        """Wait for the last file to grow, for a next one, or for another one with its name."""
        try:
            over = self._follower.is_over(self.files, stream, self._file)
        except SourceError:
            if len(self.buffer):
                return Came.BROKEN
            raise
        if over:
            self.buffer.feed(stream.decode(None), time.monotonic())
            return Came.ENOUGH
        if self.options.stop is not None and self.options.stop():
            return Came.STOPPED
        if len(self.buffer) and time.monotonic() - self.buffer.arrival() >= self.options.patience:
            return Came.LATE
        time.sleep(POLL / 2)
        return Came.ENOUGH

    def _connect(self) -> None:
        """Open the file that the position is in."""
        at = self.buffer.position
        self.files.check_before(at, self.buffer.ends, self._learned)
        self._open(at.file, at)

    def _open_next(self) -> bool:
        """Open the next file; return whether it can be, or rows before it have to go out first."""
        self.buffer.finish()
        try:
            self._open(self._file + 1, Position())
        except SourceError:
            if len(self.buffer):
                return False
            raise
        return True

    def _open(self, file: int, at: Position) -> None:
        ended = self.files.has_ended(file)
        try:
            stream = self.files.open_unread(file)
            goes_on = not stream.bytes.reopens and (ended or self.continue_from_here)
            if not goes_on:
                self.files.go_to(stream, file, at)
        except SourceError:
            found = self._follower.find(self.files, file, at) if self.follow and at.bytes else None
            if found is None:
                raise
            stream, goes_on = found, False
        if self._stream is not None:
            self._stream.bytes.close()
            self.buffer.begin_file()
        self._stream, self._file = stream, file
        if goes_on:
            text = stream.go_on(self._text, self._carry.tobytes())
            self.buffer.feed(text, time.monotonic())
        if goes_on and not ended:
            self._begin_part(self.buffer.next_line())
        if not stream.bytes.reopens:
            self._pipe = file
        elif file == len(self.files) - 1:
            self._carry, self._text = _NOTHING, {}

    def _read_ahead(self) -> NDArray[np.uint8]:
        stream, pipe = self._stream, self._pipe
        if stream is None or pipe is None or not stream.behind_start:
            return self._carry
        if self.buffer.position.file > pipe:
            return _NOTHING
        # a pipe's end is the end of its last line
        unread = self.buffer.unread(pipe, end_line=stream.ended)
        held = stream.held if pipe == self._file else b""
        return np.concatenate([unread, np.frombuffer(held, np.uint8)])

    def _read_text(self) -> State:
        stream, pipe = self._stream, self._pipe
        if stream is None or pipe is None or not stream.behind_start:
            return self._text
        return stream.decoder_state() if pipe == self._file else LINES
