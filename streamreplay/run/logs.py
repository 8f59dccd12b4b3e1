"""What a run writes beside its checkpoints: lines of JSON, events, standard output."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from streamreplay.errors import StreamReplayError

__all__ = [
    "EventLog",
    "OutputClosed",
    "StandardOutput",
    "dump_line",
    "log_lines",
    "log_segments",
    "rotated_files",
]

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dump_line(record: dict[str, Any]) -> bytes:
    """Write a record as one line; NaN becomes null."""
    return orjson.dumps(record, option=_OPTIONS)


def rotated_files(active: Path) -> dict[int, Path]:
    """Return the files that a log has been continued in another one after, by their numbers.

    They are beside it, as ``metrics.000001.jsonl`` is beside ``metrics.jsonl``.
    """
    name = re.compile(rf"{re.escape(active.stem)}\.(\d{{6,}}){re.escape(active.suffix)}")
    found = {
        int(match[1]): path
        for path in active.parent.glob(f"{active.stem}.*{active.suffix}")
        if (match := name.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def log_segments(folder: Path, name: str) -> list[Path]:
    """Return the files of a log of a run folder, the oldest lines first.

    Parameters
    ----------
    folder : Path
    name : str
        Such as ``metrics``.
    """
    active = folder / f"{name}.jsonl"
    return [*rotated_files(active).values(), *([active] if active.exists() else [])]


def log_lines(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the lines of a log, without one at the end that was not finished."""
    for path in log_segments(folder, name):
        with path.open("rb") as lines:
            yield from (line for line in lines if line.endswith(b"\n"))


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
