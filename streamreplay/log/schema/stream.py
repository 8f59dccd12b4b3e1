"""Lines of metrics.jsonl about the stream and the buffer."""

from __future__ import annotations

from typing import Literal

from streamreplay.log.schema.base import Bytes, Id, LogLine, Record, Rows, Share, absent


class DriftRecord(Record):
    """A detector has fired."""

    kind: Literal["drift"]
    experience: Id
    """Experience of the row at which the detector fired; `position` is the number of rows up to
    and including it."""
    level: Literal["warning", "drift"]
    """Whether it is a drift or a warning."""
    name: str
    """Name of the monitor in the job; if it has none, the detector in lower case and `on`, as
    `adwin-error`."""
    detector: str
    """River's name of the detector, such as ADWIN."""
    on: str
    """What it watches: error, loss, feature:NAME or label:NAME, also where the monitor has a
    detector for each feature or label."""
    value: float | None
    """The last number that the detector was given: that of this row."""
    actions: list[str]
    """The actions that were carried out before the next batch, as written in the job."""


class Stored(LogLine):
    """Stored rows of one class, task or experience."""

    rows: Rows
    """How many are stored."""
    median_age: float
    """Median age of the stored rows, in rows of the stream."""
    replayed: int
    """How often the stored rows were rehearsed, summed over all of them."""


class Ages(LogLine):
    """Ages of stored rows, in rows of the stream; 0 for the last row.

    Of more than 16,384 rows, median ages and quartiles are counted in bins: 8,192 up to the oldest
    age, shared by the groups, and at least 32 for each. All else is exact.
    """

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
    """Times that all of them together were rehearsed."""
    mean: float
    """Times that one of them was rehearsed, on average."""
    most: int
    """Times that the one rehearsed most often was rehearsed."""
    never: Rows
    """Stored rows that were never rehearsed."""
    at_least: list[int]
    """Lower bounds of the bins of a histogram; the last bin has no upper bound."""
    counts: list[int]
    """A histogram: `counts[i]` rows were rehearsed `at_least[i]` times or more, but less often
    than the next bin says."""


class BufferRecord(Record):
    """The contents of the buffer, written after the prequential records of a report.

    The whole batch in which these fell due is stored by then, so `position` is up to a batch
    further than theirs.
    """

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
    """From which row on, of those offered, stored rows are a fair sample; 0: from the first."""
    nbytes: Bytes
    """Bytes allocated for rows and for what is kept with them."""
    by_class: dict[str, Stored] = absent()
    """Stored rows of each class, by its name; absent where no classes are predicted."""
    by_task: dict[str, Stored] = absent()
    """The same by task, of the 200 with the most rows; absent while the only task is 0."""
    by_experience: dict[str, Stored] = absent()
    """The same by experience, of the 200 with the most rows; absent while the only experience is
    0."""
    ages: Ages | None
    """Ages of stored rows; null if nothing is stored."""
    replays: Replays | None
    """How often stored rows were rehearsed; null if nothing is stored."""
