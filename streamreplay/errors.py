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


class DivergenceError(StreamReplayError):
    """The loss or the weights are no longer finite."""


class RunFolderError(StreamReplayError):
    """A run folder is in use by another process, or is not a run folder."""
