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
    """The watched value: error, loss, feature:NAME or label:NAME."""
    value: float | None
    """The last value given to the detector."""
    actions: list[str]
    """The actions that were carried out, as written in the job."""


class Stored(LogLine):
    """Stored rows of one class, task or experience."""

    rows: Rows
    """How many are stored."""
    median_age: float
    """Median of their ages, in rows."""
    replayed: int
    """Total number of times they were rehearsed."""


class Ages(LogLine):
    """Ages of stored rows, in rows of the stream; 0 for the last row."""

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
    """Total over all rows."""
    mean: float
    """Mean over rows."""
    most: int
    """Maximum over rows."""
    never: Rows
    """How many were never rehearsed."""
    at_least: list[int]
    """Lower bounds of the bins of a histogram; the last bin has no upper bound."""
    counts: list[int]
    """Stored rows in each bin."""


class BufferRecord(Record):
    """The contents of the buffer, written after the prequential records of a report."""

    kind: Literal["buffer"]
    rows: Rows
    """Rows stored."""
    max_size: Rows
    """Rows there is room for."""
    seen: Rows
    """Labelled rows offered so far."""
    acceptance: Share | None
    """Probability that the next row is stored; null if it is not known."""
    uniform_since: Rows
    """The offered row from which on stored rows are a uniform sample."""
    nbytes: Bytes
    """Bytes allocated for rows and the values stored with them."""
    by_class: dict[str, Stored] = absent()
    """Stored rows of each class, by its name; absent if no classes are predicted."""
    by_task: dict[str, Stored] = absent()
    """The same by task; absent while the only task is 0."""
    by_experience: dict[str, Stored] = absent()
    """The same by experience; absent while the only experience is 0."""
    ages: Ages | None
    """Ages of stored rows; null if nothing is stored."""
    replays: Replays | None
    """How often stored rows were rehearsed; null if nothing is stored."""
