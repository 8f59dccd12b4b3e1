"""Every error this package raises on purpose.

::

    StreamReplayError
    ├── ConfigError          a job file, an option or a stage's arguments do not fit together
    ├── RecordError          a record cannot be read, and the job is strict
    ├── SourceError          a source cannot be opened, read or rewound
    │   └── NoUsableRowError   the first records of a stream are all put aside
    ├── CheckpointError      a checkpoint cannot be written, read or does not fit the pipeline
    │   └── CorruptCheckpointError   its files are damaged or incomplete
    ├── DivergenceError      the loss or the weights are no longer finite
    └── RunFolderError       a run folder is in use, or is not one

A caller's mistake in a direct call (a negative size, a wrong shape) is a plain ``ValueError`` or
``TypeError``, as everywhere in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from traceback import extract_tb
from types import TracebackType

__all__ = [
    "CheckpointError",
    "ConfigError",
    "CorruptCheckpointError",
    "DivergenceError",
    "NoUsableRowError",
    "RecordError",
    "RunFolderError",
    "SourceError",
    "StreamReplayError",
]


class StreamReplayError(Exception):
    """The base of all errors that the command line reports in one line."""

    exit_code = 1
    """What the command line exits with."""


@contextmanager
def writing(path: PathLike[str]) -> Iterator[None]:
    """Name the file in errors of the disk inside the block."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StreamReplayError(f"{path}: cannot be written: {reason}") from error


class ConfigError(StreamReplayError):
    """A job file, an option or a stage's arguments do not fit together."""


class RecordError(StreamReplayError):
    """A record cannot be read, and the job is strict."""


class SourceError(StreamReplayError):
    """A source cannot be opened, read or rewound."""


class NoUsableRowError(SourceError):
    """The first 1,000 records of a stream, or all that came, give not one usable row."""

    exit_code = 3


class CheckpointError(StreamReplayError):
    """A checkpoint cannot be written or read, or does not fit the pipeline."""


class CorruptCheckpointError(CheckpointError):
    """A checkpoint's files are damaged or incomplete."""


@contextmanager
def fitting(what: str, kind: type[StreamReplayError] | None = None) -> Iterator[None]:
    """Turn whatever data that do not fit raise inside the block into an error in words.

    A state or a log may come from somebody else, and be anything. Errors of this package, the disk
    and the memory pass as they are.

    Parameters
    ----------
    what : str
        What does not fit, for the message, which ends with the error and where it was raised.
    kind : type
        Of the error; by default `CheckpointError`.
    """
    try:
        yield
    except (StreamReplayError, OSError, MemoryError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:_MOST_SAID]
        place = _place(error.__traceback__)
        message = f"{what}: {said} ({place})" if place else f"{what}: {said}"
        raise (kind or CheckpointError)(message) from error


_MOST_SAID = 300  # characters of an error that is not ours


def _place(raised: TracebackType | None) -> str:
    """Return the last line of this package that an error came by."""
    here = Path(__file__).parent
    frames = [frame for frame in extract_tb(raised) if here in Path(frame.filename).parents]
    inner = [frame for frame in frames if frame.filename != __file__]
    return f"{Path(inner[-1].filename).relative_to(here)}:{inner[-1].lineno}" if inner else ""


class DivergenceError(StreamReplayError):
    """The loss or the weights are no longer finite."""


class RunFolderError(StreamReplayError):
    """A run folder is in use by another process, or is not a run folder."""
