"""Lines of the other logs: predictions, records that could not be read, timings."""

from __future__ import annotations

from streamreplay.log.schema.base import (
    Bytes,
    LogLine,
    Milliseconds,
    Name,
    Rows,
    Seconds,
    Share,
    absent,
)


class Prediction(LogLine):
    """Fields of every line of predictions.jsonl."""

    learner: str = absent()
    """Name of the learner; absent where the job has one [learner]."""
    position: Rows
    """Position of the row in the stream, 0 for the first."""
    id: str | None
    """The name that the stream gives to the row, as text; null if it has none."""
    withheld: bool = absent()
    """True if the probe keeps the row out of learning; absent otherwise."""
    event: Rows = absent()
    """Where labels come late, and this line is of a label: the position of its event, whose
    prediction is repeated here. Absent otherwise."""


class ClassPrediction(Prediction):
    """A prediction of one of several classes."""

    prediction: Name | None
    """Name of the predicted class; null while none is known."""
    probability: Share | None
    """The model's probability of it; null while none is known."""
    label: Name | None
    """Name of the true class; null if the row has no label."""
    correct: bool | None
    """Whether the two are equal; null if the row has no label."""


class NumberPrediction(Prediction):
    """A prediction of numbers; if a row has several, objects by name."""

    prediction: float | dict[str, float | None] | None
    """The predicted number, on the target's own scale; null before the first target."""
    target: float | dict[str, float] | None
    """The true number; null if the row has none."""
    absolute_error: float | None
    """Distance of the two, the mean if there are several; null if either is missing."""


class LabelPrediction(Prediction):
    """A prediction of any number of labels."""

    prediction: list[str]
    """The labels predicted."""
    probability: dict[str, Share | None]
    """The model's probability of each label, by name."""
    label: list[str] | None
    """The labels that the row has; null if they are not known."""
    correct: bool | None
    """Whether the two are equal; null if the true labels are not known."""


class DeadLetter(LogLine):
    """A record that could not be read, or a label without an event."""

    line: int = absent()
    """Line of the source, 1 for the first; in Parquet and Arrow its row. Absent for a label without
    an event."""
    position: Rows = absent()
    """Of a label without an event: its position in the stream, 0 for the first record."""
    byte: Bytes = absent()
    """Where the record begins, in bytes after decompression. Absent for Parquet and Arrow."""
    source: str
    """Name of the file it was read from, `standard input` for a pipe."""
    reason: str
    """Why it could not be read."""
    raw: str = absent()
    """The text of the record, cut at 4,096 characters; invalid UTF-8 is written as \\xNN. Absent
    once the log has 64 MiB of dead letters."""
    raw_cut: bool = absent()
    """True if `raw` was cut; absent otherwise."""
    raw_bytes: Bytes = absent()
    """Length of the record if `raw` was cut; absent otherwise."""


class Latency(LogLine):
    """Time of a batch from its arrival to its report."""

    p50: Milliseconds
    """Median."""
    p99: Milliseconds
    """99th percentile."""


class Shares(LogLine):
    """Shares of the interval's time."""

    source: float
    """Waiting for and decoding the source."""
    stages: float
    """All stages."""


class StageTime(LogLine):
    """A stage's own time, without the time it waits for other stages."""

    p50_ms: Milliseconds
    """Median over the interval's batches."""
    p99_ms: Milliseconds
    """99th percentile."""
    share: float
    """Share of the interval's time, 0 to 1."""


class Timing(LogLine):
    """Timings of the interval since the line before.

    There is a line whenever metrics.jsonl has new ones, unless no batch came in between.
    """

    position: Rows
    """Rows of the stream so far."""
    time: Seconds
    """Since 1970."""
    elapsed_s: Seconds
    """Since this process started the run."""
    rows_per_s: float
    """Rows of the stream a second, over the interval."""
    latency_ms: Latency
    """Time of a batch from its arrival to its report."""
    share: Shares
    """Shares of the interval's time."""
    stages: dict[str, StageTime]
    """Own time for a batch of each stage by name (NAME.STAGE with several learners) and of
    `source`, without what it waits for."""
    replayed: Rows
    """Memory rows learned from in the interval, over all passes, by all learners."""
    throttled: Rows
    """Memory rows drawn in the interval and left out to keep to `learner.replay_budget` or
    `learner.replay_rows_per_second`, by all learners."""
    resident_bytes: Bytes
    """Memory of the process."""
