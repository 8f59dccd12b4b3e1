"""Lines of metrics.jsonl about the stream and the buffer."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Bytes, Id, LogLine, Record, Rows, Share, absent

__all__ = ["Ages", "BufferRecord", "DriftRecord", "Replays", "Stored"]


class DriftRecord(Record):
    """A detector has fired."""

    kind: Literal["drift"]
    experience: Id
    """Experience of the row that fired."""
    level: Literal["warning", "drift"]
    """How sure the detector is."""
    name: str
    """Name of the monitor in the job."""
    detector: str
    """Kind of the detector, such as ADWIN."""
    on: str
    """What it watches: error, loss, feature:NAME or label:NAME."""
    value: float | None
    """Last value that it was given."""
    actions: list[str]
    """What was done about it, as written in the job."""


class Stored(LogLine):
    """Stored rows of one class, task or experience."""

    rows: Rows
    """How many are stored."""
    median_age: float
    """Median of their ages, in rows."""
    replayed: int
    """How often they were rehearsed, all together."""


class Ages(LogLine):
    """How long ago stored rows came, in rows of the stream; 0 for the last one."""

    newest: Rows
    """Age of the newest."""
    q25: Rows
    """Age that a quarter of them do not exceed."""
    median: Rows
    """Age that half of them do not exceed."""
    q75: Rows
    """Age that three quarters of them do not exceed."""
    oldest: Rows
    """Age of the oldest."""
    edges: list[int]
    """Bounds of the bins of a histogram: bin i is from edges[i] to below edges[i + 1]."""
    counts: list[int]
    """Stored rows in each bin."""


class Replays(LogLine):
    """How often rows that are stored now were rehearsed."""

    total: int
    """Of all of them together."""
    mean: float
    """Of one on average."""
    most: int
    """Of the one rehearsed most often."""
    never: Rows
    """How many were never rehearsed."""
    at_least: list[int]
    """Lower bounds of the bins of a histogram; the last has no upper one."""
    counts: list[int]
    """Stored rows in each bin."""


class BufferRecord(Record):
    """What is stored, behind the prequential lines of a report."""

    kind: Literal["buffer"]
    rows: Rows
    """Rows stored."""
    max_size: Rows
    """Rows there is room for."""
    seen: Rows
    """Labelled rows offered so far."""
    acceptance: Share | None
    """Chance that the next row is stored; null where it is not known."""
    uniform_since: Rows
    """From which row on, of those offered, stored rows are a fair sample."""
    nbytes: Bytes
    """Bytes allocated for rows and what is kept beside them."""
    by_class: dict[str, Stored] = absent()
    """Stored rows of each class, by its name; absent where no classes are predicted."""
    by_task: dict[str, Stored] = absent()
    """The same by task; absent while the only task is 0."""
    by_experience: dict[str, Stored] = absent()
    """The same by experience; absent while the only experience is 0."""
    ages: Ages | None
    """How long ago stored rows came; null where nothing is stored."""
    replays: Replays | None
    """How often they were rehearsed; null where nothing is stored."""
