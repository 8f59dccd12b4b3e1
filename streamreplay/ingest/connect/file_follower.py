"""Follow a file through rotation and truncation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, final

from streamreplay.errors import SourceError
from streamreplay.ingest.connect.byte_stream import ByteStream, source_name
from streamreplay.ingest.connect.rotation import rotated_files, written_after
from streamreplay.ingest.connect.text_stream import TextStream
from streamreplay.ingest.decode.lines import Position

if TYPE_CHECKING:
    from streamreplay.ingest.connect.files import SourceFiles

OVER = 1.0
"""Seconds without a write after which the next file may begin."""


@final
class FileFollower:
    """Finds out what is behind the end of a file that is followed.

    Attributes
    ----------
    notice : callable
        Called with what has happened to the file, for people.
    """

    def __init__(self) -> None:
        self.notice: Callable[[str], None] = lambda _: None
        self._before: tuple[str, int] | None = None  # the file that was over last, and its size

    def is_over(self, files: SourceFiles, stream: TextStream, file: int) -> bool:
        """Return whether a file is over that was read to its end: another one is behind it now.

        Raises
        ------
        SourceError
            There are new files that cannot be read behind it.
        """
        self._check_before()
        if file < len(files) - 1:
            return True
        now = stream.bytes
        if now.was_rewritten():
            return self._is_over_truncated(files, stream, file)
        if not now.settled(OVER):  # who writes may not have gone on to the next file yet
            return False
        if now.was_replaced():
            self._turn_over(files, stream, file)
            return True
        more = files.find_more()
        self._before = (files.paths[file], now.offset) if more else self._before
        return more

    def _check_before(self) -> None:
        """Give notice if the file before has grown since it was over: that is not read."""
        if self._before is None:
            return
        (name, size), self._before = self._before, None
        with suppress(OSError):  # it may be compressed, moved or deleted meanwhile
            now = Path(name).stat().st_size
            if now > size:
                self.notice(
                    f"{source_name(name)} has grown by {now - size:,} bytes since reading went on "
                    "in the next file: they are not read"
                )
            else:
                self._before = name, size

    def find(self, files: SourceFiles, file: int, at: Position) -> TextStream | None:
        """Return a file that was rotated since it was read to a position; None if there is none.

        It is at the position then.
        """
        if file < len(files) - 1 and file not in files.rotated:
            return None
        path = files.paths[-1]
        for name in reversed(rotated_files(path)):
            stream = files.open(name)
            if stream.bytes.seekable and _goes_to(files, stream, file, at):
                files.turn_over(file, name, written_after(path, stream.bytes.status()))
                self.notice(
                    f"{source_name(path)} was rotated: reading goes on in {source_name(name)}"
                )
                return stream
            stream.bytes.close()
        return None

    def _turn_over(self, files: SourceFiles, stream: TextStream, file: int) -> None:
        path, status = files.paths[-1], stream.bytes.status()
        behind = written_after(path, status)
        now = _name_now(path, stream.bytes)
        self._before = None if now == path else (now, stream.bytes.offset)
        files.turn_over(file, now, behind)
        between = f", behind {', '.join(map(source_name, behind))}" if behind else ""
        self.notice(
            f"{source_name(path)} was rotated: it was read to its end, and reading goes on in the "
            f"new one{between}"
        )

    def _is_over_truncated(self, files: SourceFiles, stream: TextStream, file: int) -> bool:
        """Go on with what a truncated file was copied to, or else with its new beginning."""
        path, read = files.paths[-1], stream.bytes.offset
        said = f"{source_name(path)} was truncated: {read:,} bytes of it were read"
        for name in reversed(rotated_files(path)):
            copy = ByteStream(name)
            if copy.continues(stream.bytes):
                files.turn_over(file, name, written_after(path, copy.status()))
                copy.seek(read)
                stream.bytes.close()
                stream.bytes = copy
                self.notice(f"{said}, its rest is read from {source_name(name)}")
                return False
            copy.close()
        files.turn_over(file, path, [])
        self.notice(f"{said}, and reading begins at 0; nothing next to it has a rest")
        return True


def _goes_to(files: SourceFiles, stream: TextStream, file: int, at: Position) -> bool:
    """Return whether a file has what was read to a position, and go there."""
    try:
        files.go_to(stream, file, at)
    except SourceError:
        return False
    return stream.behind_start


def _name_now(path: str, stream: ByteStream) -> str:
    """Return the name that a rotated file has now; that which it had if it is not known."""
    return next((name for name in rotated_files(path) if stream.is_at(name)), path)
