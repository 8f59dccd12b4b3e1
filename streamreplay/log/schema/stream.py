"""Lines of metrics.jsonl about the stream, its rows and the buffer."""

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
    before: float | None = absent()
    """Mean of the watched number before the change, over at most 1,000 rows. The change is where
    two means fit the recent numbers best: those since the change of the drift before. null if there
    are fewer than 20. Absent, as the two fields below, in logs of older versions."""
    after: float | None = absent()
    """Mean of the watched number from the change up to this row."""
    after_rows: Rows | None = absent()
    """How many numbers `after` is the mean of."""
    actions: list[str]
    """The actions that were carried out before the next batch, as written in the job."""


class ColumnRecord(Record):
    """A column of the table came, vanished, came back, or changed its kind.

    It has the place of its position among other records; `position` is the number of rows up to and
    including the row that shows it. A source that is read into memory first (`source.split`,
    `test.share`) has no such records: its changes are warnings at the start.
    """

    kind: Literal["column"]
    change: Literal["new", "vanished", "back", "widened"]
    """new: the column was not there before, or has its first value. vanished: a header lacks it; or
    it had no value in 1,000 rows in a row, and in ten times as many as ever before. Rows without a
    value in any column do not count. back: it has a value again. widened: a column of numbers,
    booleans or times is a category from now on."""
    column: str
    """Name of the column."""
    learned_as: Literal["number", "boolean", "category", "text", "time", "ignored"]
    """The kind that it is learned as; `ignored` if it is not."""
    since: Rows
    """The first row of the change, 1 for the first of the stream."""
    count: Rows
    """How many changes of this sort there were, with this one. The first 50 of each sort have a
    record; records of kind `rows` count all."""


class RowsRecord(Record):
    """What became of every row that came: `rows_in` is the sum of the six fields after it.

    Written after the prequential records of a report, and at the end of the stream. Each row counts
    once, by what became of it last. Blank lines, headers, held-out rows of a test set and replayed
    rows do not count, nor do rows behind `run.limit`. The whole batch in which a prequential record
    fell due is counted, so `position` is up to a batch further than its. A source that is read
    into memory first (`source.split`, `test.share`) has put aside all its bad lines from the start.
    """

    kind: Literal["rows"]
    rows_in: Rows
    """Rows that came."""
    learned: Rows
    """Rows with a label that were predicted and then learned. With several learners: by one or
    more of them."""
    predicted_only: Rows
    """Rows without a label: predicted, not learned."""
    withheld: Rows
    """Rows with a label that were predicted and scored, and that the probe keeps from learning."""
    pending: Rows
    """Rows without a fate so far: they are held until their label comes (`labels.late`,
    `labels.delay`), or a stage keeps them back."""
    put_aside: Rows
    """Records that could not be read, and labels without an event; each has a line in
    dead_letters.jsonl."""
    skipped: Rows
    """Rows with a label that were predicted and not learned, since the loss was not finite in any
    of their training passes (`learner.on_divergence = "skip"`)."""
    put_aside_share: Share
    """Share of `rows_in` that was put aside."""
    label_records: Rows = absent()
    """Records that bring the label of an earlier row (`labels.late`): the sum of `joined`,
    `repeated` and `without_event`. They are no rows of their own; those without event count in
    `put_aside`. Absent, as the four fields below, where labels come in time."""
    joined: Rows = absent()
    """Labels that found their event, which was learned."""
    repeated: Rows = absent()
    """Labels of events that had one already, which are not learned."""
    without_event: Rows = absent()
    """Labels whose event never came, or was given up; they are not learned."""
    given_up: Rows = absent()
    """Events that were given up before their label came (`labels.max_pending`, `labels.max_age`, or
    a new event with the same id). They count in `predicted_only`."""
    put_aside_worst: Rows = absent()
    """Most records put aside among any 10,000 in a row; absent, as the fields below, while none
    was put aside."""
    first_line: int = absent()
    """Line of the source, 1 for the first, of the first record put aside."""
    put_aside_by_reason: dict[str, Rows] = absent()
    """Records put aside by reason, the most frequent first: reasons that differ only in values or
    numbers are one, with N or … in their place. At most 100; all others are `other reasons`."""
    misfits: dict[str, Rows] = absent()
    """Values so far that did not fit the kind of their column and count as missing, by column;
    absent while all did. Their rows are counted above like all others."""
    column_changes: dict[str, int] = absent()
    """Changes of columns so far by sort, as in records of kind `column`, also of rows that were
    read into memory first; absent while there was none. `refused_values` counts the values of
    columns beyond the first 10,000, which are not kept."""


class LatenessFields(LogLine):
    """How late labels came."""

    mean: float
    """Mean over all labels that found their event."""
    median_window: float
    """Median over the last 1,000 of them."""
    q90_window: float
    """What nine tenths of the last 1,000 do not exceed."""
    max: float
    """Largest of all."""


class LabelsRecord(Record):
    """How late labels came (`labels.late`), written after the prequential records of a report.

    The whole batch in which these fell due has been taken in by then.
    """

    kind: Literal["labels"]
    pending: Rows
    """Events whose label may still come."""
    latency_rows: LatenessFields = absent()
    """Verification latency in rows: records from the event up to its label. Absent before the first
    label."""
    latency_seconds: LatenessFields = absent()
    """Verification latency in seconds of event time; absent where events or labels have no time."""
    estimated_accuracy: Share = absent()
    """Share of pending events whose prediction is likely to be right: the mean, over them, of how
    often predictions with a like probability were right (15 bins of all rows whose label has come;
    the probability itself where a bin is empty). Absent for numbers and several labels, and while
    nothing is pending."""
    estimated_rows: Rows = absent()
    """How many events that is the mean of."""


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
    """Stored rows of the 200 classes with the most rows, by name; absent where no classes are
    predicted."""
    classes_not_listed: Rows = absent()
    """How many other classes have stored rows; absent if all are listed."""
    by_task: dict[str, Stored] = absent()
    """The same by task, of the 20 with the most rows; absent while the only task is 0."""
    tasks_not_listed: Rows = absent()
    """How many other tasks have stored rows; absent if all are listed."""
    by_experience: dict[str, Stored] = absent()
    """The same by experience, of the 20 with the most rows; absent while the only experience is
    0."""
    experiences_not_listed: Rows = absent()
    """How many other experiences have stored rows; absent if all are listed."""
    ages: Ages | None
    """Ages of stored rows; null if nothing is stored."""
    replays: Replays | None
    """How often stored rows were rehearsed; null if nothing is stored."""
