"""Files of JSON lines that can be cut back to where they were at a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from streamreplay.errors import RunFolderError, StreamReplayError

__all__ = ["EventLog", "JsonLines", "OutputClosed", "StandardOutput", "dump_line"]

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dump_line(record: dict[str, Any]) -> bytes:
    """Write a record as one line; NaN becomes null."""
    return orjson.dumps(record, option=_OPTIONS)


class JsonLines:
    """A log that grows at its end only.

    Parameters
    ----------
    path : Path
        Made if it is not there.

    Raises
    ------
    RunFolderError
        From any method: the disk refuses.

    Attributes
    ----------
    size : int
        Bytes written, be they in the file yet or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._named_errors():
            self._file = path.open("ab")
            self.size = path.stat().st_size

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        with self._named_errors():
            self.size += self._file.write(lines)

    def flush(self) -> None:
        """Show what was written to other processes."""
        with self._named_errors():
            self._file.flush()

    def sync(self) -> int:
        """Bring everything to the disk, and return the size."""
        with self._named_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.size

    def cut(self, size: int) -> None:
        """Drop everything after the first ``size`` bytes.

        Raises
        ------
        RunFolderError
            The log is shorter than that.
        """
        if size > self.size:
            raise RunFolderError(
                f"{self.path}: has {self.size} bytes, the checkpoint was made at {size}"
            )
        with self._named_errors():
            self._file.flush()
            self._file.truncate(size)
        self.size = size

    def close(self) -> None:
        """Flush and close; what a full disk does not take was not promised by a checkpoint."""
        with suppress(OSError):
            self._file.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written: {error.strerror}") from error


class EventLog:
    """What happened when, for people; one line each.

    A disk that takes no more must not hide the error that is being noted: such a line is lost.
    """

    def __init__(self, path: Path) -> None:
        # no buffer, in which a line that was refused would wait and be refused again
        self._file = path.open("ab", buffering=0)

    def write(self, message: str) -> None:
        """Append a line with the time."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with suppress(OSError):
            self._file.write(f"{now} {message}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class OutputClosed(Exception):  # noqa: N818 - no error: it is how a run learns that nobody reads on
    """Nobody reads the standard output any more."""


class StandardOutput:
    """Standard output without a buffer: a line is out when it was written."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def write(self, lines: bytes) -> None:
        """Write whole lines.

        Raises
        ------
        OutputClosed
            The reader has gone.
        StreamReplayError
            It cannot be written: a full disk, or it was closed from the start.
        """
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise StreamReplayError(
                f"standard output: cannot be written: {error.strerror}"
            ) from error
