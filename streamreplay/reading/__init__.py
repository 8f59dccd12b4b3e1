"""Reading what runs have written: logs, reports, comparisons and the live view."""

from streamreplay.log.checked import read_records
from streamreplay.log.follower import Follower
from streamreplay.log.lines import check_run, read_lines, segments
from streamreplay.reading.job import read_job

__all__ = [
    "Follower",
    "check_run",
    "read_job",
    "read_lines",
    "read_records",
    "segments",
]
