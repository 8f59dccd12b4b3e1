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

__all__ = [
    "ClassPrediction",
    "DeadLetter",
    "LabelPrediction",
    "Latency",
    "NumberPrediction",
    "Prediction",
    "Shares",
    "StageTime",
    "Timing",
]


class Prediction(LogLine):
    """What every line of predictions.jsonl has."""

    learner: str = absent()
    """Name of the learner; absent where the job has one [learner]."""
    position: Rows
    """Position of the row in the stream, 0 for the first."""
    id: Name | None
    """The stream's own name of the row; null where it has none."""
    withheld: bool = absent()
    """True, and there only, if the row was kept from being learned as one of the probe."""


class ClassPrediction(Prediction):
    """Where one of several classes is predicted."""

    prediction: Name | None
    """Name of the predicted class; null while none is known."""
    probability: Share | None
    """The model's probability of it; null while none is known."""
    label: Name | None
    """Name of the true class; null where there is no label."""
    correct: bool | None
    """Whether the two agree; null where there is no label."""


class NumberPrediction(Prediction):
    """Where numbers are predicted; an object by name where there are several a row."""

    prediction: float | dict[str, float | None] | None
    """The predicted number, on the target's own scale; null before the first target."""
    target: float | dict[str, float] | None
    """The true one; null where there is none."""
    absolute_error: float | None
    """Their distance, the mean of all where there are several; null where either is missing."""


class LabelPrediction(Prediction):
    """Where each row has any number of labels."""

    prediction: list[str]
    """The labels predicted."""
    probability: dict[str, Share | None]
    """The model's probability of each label, by name."""
    label: list[str] | None
    """The labels that the row has; null where that is not known."""
    correct: bool | None
    """Whether the two are the same; null where that is not known."""


class DeadLetter(LogLine):
    """A record that could not be read."""

    line: int
    """Line of the source, 1 for the first."""
    byte: Bytes
    """Where the record begins, in bytes after decompression."""
    source: str
    """Name of the file it was read from, `standard input` for a pipe."""
    reason: str
    """Why it could not be read."""
    raw: str
    """Its text, cut at 4,096 characters; bytes that are no UTF-8 as \\xNN."""
    raw_cut: bool = absent()
    """Only where `raw` was cut: true."""
    raw_bytes: Bytes = absent()
    """Only where `raw` was cut: the record's length."""


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
    """A stage's own time, without what it waits for."""

    p50_ms: Milliseconds
    """Median over the interval's batches."""
    p99_ms: Milliseconds
    """99th percentile."""
    share: float
    """Share of the interval's time, 0 to 1."""


class Timing(LogLine):
    """A moment at which the clock was read."""

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
    """Own time of each stage by name, LEARNER.STAGE with several learners, and of the source."""
    replayed: Rows
    """Memory rows learned from in the interval, over all passes, by all learners."""
    throttled: Rows
    """Memory rows drawn and left out in the interval to keep to a replay budget."""
    resident_bytes: Bytes
    """What the process holds in memory."""
