"""A job: commands that run in a folder of their own, and what they have to leave there."""

from __future__ import annotations

import signal
from dataclasses import dataclass

INPUTS, OLD = "{inputs}", "{old}"
"""Stand for folders in arguments, job files and copies, until these are used."""
CLOCK = ("timings*", "events.log", ".lock")
"""Files of a run folder that the stream alone does not determine."""


@dataclass(frozen=True)
class Call:
    """A command, run in this process."""

    argv: tuple[str, ...]
    stdin: str = ""
    """An input that comes through a pipe."""
    code: int = 0
    """The exit code that is expected."""


@dataclass(frozen=True)
class Broken:
    """A command in a process of its own, which receives a signal in the middle of its stream."""

    argv: tuple[str, ...]
    at: int
    """The signal is sent once the log has a record of this row."""
    stdin: str = ""
    """An input whose rows up to there come through a pipe that stays open."""
    header: int = 0
    """Lines of the input before the first row."""
    signal: int = signal.SIGKILL


@dataclass(frozen=True)
class Copy:
    """A copy of a run folder, made between two commands."""

    source: str
    to: str


@dataclass(frozen=True)
class Same:
    """Two run folders of a job that must have the same files."""

    one: str
    other: str
    files: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = CLOCK


@dataclass(frozen=True)
class Job:
    """Commands in a folder of their own, one after the other."""

    name: str
    steps: tuple[Call | Broken | Copy, ...]
    reads: tuple[Call, ...] = ()
    """Commands that read the run folders, after `clock.steady` has replaced times in them."""
    same: tuple[Same, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """Job files to write first: name and text."""
    timed: bool = True
    """Whether the number of lines in timings.jsonl follows from the job."""
