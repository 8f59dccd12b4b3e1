"""The figures that sum a trace up, which words and tables are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamreplay.reading.report.columns import Columns, GroupColumns
from streamreplay.reading.report.trace import Rounds, Trace
from streamreplay.reading.scores import SCORES, Score

__all__ = ["LearnerSummary", "Lost", "RetentionSummary", "facts_of"]


@dataclass(frozen=True)
class Lost:
    """A class, or an experience, of which less is known than once was.

    Attributes
    ----------
    name : str
    best, now : float
        Accuracy in the best round, and in the last.
    """

    name: str
    best: float
    now: float


@dataclass(frozen=True)
class RetentionSummary:
    """What was still known in the last round over rows kept out of learning.

    Attributes
    ----------
    sample : str
        ``test`` or ``probe``.
    rows : int
    score : float or None
        Over all of the rows.
    known : float or None
        Mean over the classes that the stream has shown; for other targets as `score`.
    forgetting : float or None
        Over experiences, or where there is one only, over classes.
    lost : list of Lost
        Worst first.
    last : dict
        The record.
    """

    sample: str
    rows: int
    score: float | None
    known: float | None
    forgetting: float | None
    lost: list[Lost] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LearnerSummary:
    """A trace, summed up at its end.

    Attributes
    ----------
    score : Score
        The score that the others are of.
    position : int
        Rows of the stream.
    rows : int
        Labelled rows.
    overall, window : float or None
    window_rows : int
        Labelled rows that the window has.
    baselines : dict of str to float
        The same score of each baseline, by its title.
    retained : list of Retained
        Of a test set first, then of the probe.
    replayed : float
        Memory rows learned from for each row of the stream.
    rows_per_s, p99_ms, resident : float or None
        Mean throughput, median of the latencies' 99th percentiles, most memory in bytes.
    """

    score: Score
    position: int
    rows: int
    overall: float | None
    window: float | None
    window_rows: int
    baselines: dict[str, float]
    retained: list[RetentionSummary]
    replayed: float
    rows_per_s: float | None
    p99_ms: float | None
    resident: float | None

    @property
    def best_baseline(self) -> str:
        """The baseline with the best score."""
        sign = 1 if self.score.share else -1
        return max(self.baselines, key=lambda name: sign * self.baselines[name])


def facts_of(trace: Trace) -> LearnerSummary:
    """Sum a trace up."""
    score, last = SCORES[trace.objective], trace.last
    position = int(last["position"])
    found = {title: last.get(key, {}).get(score.name) for key, title in score.baselines.items()}
    rows = int(last.get("rows", position))
    window = trace.job.get("evaluator", {}).get("window", 1000)
    return LearnerSummary(
        score=score,
        position=position,
        rows=rows,
        overall=last.get(score.name),
        window=last.get(f"{score.name}_window"),
        window_rows=min(rows, window),
        baselines={title: value for title, value in found.items() if value is not None},
        retained=[_retained(rounds, score) for rounds in reversed(trace.rounds)],
        replayed=last.get("replayed", 0) / max(position, 1),
        rows_per_s=_throughput(trace.timings),
        p99_ms=_middle(trace.timings, "latency_ms.p99"),
        resident=_most(trace.timings, "resident_bytes"),
    )


def _retained(rounds: Rounds, score: Score) -> RetentionSummary:
    last = rounds.last
    total = last.get(score.retained)
    known = total
    if rounds.by_class is not None:
        known = last.get("balanced_accuracy")
    forgetting = last.get("forgetting")
    if forgetting is None:
        forgetting = last.get("class_forgetting")
    lost = _lost(rounds.by_class, "accuracy")
    return RetentionSummary(rounds.sample, int(last["rows"]), total, known, forgetting, lost, last)


def _lost(groups: GroupColumns | None, name: str) -> list[Lost]:
    if groups is None or name not in groups.fields:
        return []
    last, most = groups.fields[name][-1], groups.most[name]
    found = [
        Lost(group, float(best), float(now))
        for group, best, now in zip(groups.ids, most, last, strict=True)
        if np.isfinite(now) and best > now
    ]
    return sorted(found, key=lambda each: each.now - each.best)


def _throughput(timings: Columns) -> float | None:
    if "#seconds" not in timings or not timings["#seconds"].sum():
        return None
    return float(timings["#rows"].sum() / timings["#seconds"].sum())


def _middle(columns: Columns, name: str) -> float | None:
    known = _finite(columns, name)
    return float(np.median(known)) if len(known) else None


def _most(columns: Columns, name: str) -> float | None:
    known = _finite(columns, name)
    return float(known.max()) if len(known) else None


def _finite(columns: Columns, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = columns.get(name, np.empty(0))
    return values[np.isfinite(values)]
