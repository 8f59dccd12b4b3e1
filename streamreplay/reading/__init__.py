"""Reading what runs have written: their logs, from one line to a report."""

from streamreplay.reading.follow import Follower
from streamreplay.reading.log import (
    check_run,
    read_job,
    read_lines,
    read_records,
    segments,
)

__all__ = [
    "Follower",
    "check_run",
    "read_job",
    "read_lines",
    "read_records",
    "segments",
]
