"""The figures that sum up a learner, from which sentences and tables are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreplay.reading.columns import Columns, Floats, GroupColumns
from streamreplay.reading.report.curves import LearnerCurves, RetentionCurves
from streamreplay.reading.scores import Score


@dataclass(frozen=True)
class ForgottenClass:
    """A class on which the accuracy has fallen.

    Attributes
    ----------
    name : str
    best, now : float
        Accuracy in the best round and in the last round.
    """

    name: str
    best: float
    now: float


@dataclass(frozen=True)
class RetentionSummary:
    """The last test round over rows that were kept out of learning.

    Attributes
    ----------
    sample : str
        ``test`` or ``probe``.
    rows : int
    score : float or None
        Over all of the rows.
    known : float or None
        Mean accuracy over the classes that the stream has shown; for other targets, `score`.
    forgetting : float or None
        Over experiences; over classes if there is one experience.
    forgotten : list of ForgottenClass
        Most forgotten first. Of a probe, whose rows change from round to round, those that fell by
        more than two standard errors.
    last : dict
        The record.
    """

    sample: str
    rows: int
    score: float | None
    known: float | None
    forgetting: float | None
    forgotten: list[ForgottenClass]
    last: dict[str, Any]


@dataclass(frozen=True)
class LearnerSummary:
    """The scores of a learner at the end of its log.

    Attributes
    ----------
    score : Score
        The score that `overall`, `window` and `baselines` are values of.
    position : int
        Rows of the stream.
    rows : int
        Labelled rows.
    overall, window : float or None
    window_rows : int
        Labelled rows in the window.
    baselines, window_baselines : dict of str to float
        The same score of each baseline, over all rows and over the window.
    by_class, window_by_class : float or None
        Mean accuracy over the classes of all rows, and over those of the last rows, about a window.
    retained : list of RetentionSummary
        That of the test set before that of the probe.
    replayed : float
        Memory rows learned for each row of the stream.
    rows_per_s, p99_ms, resident : float or None
        Mean throughput, median of the latencies' 99th percentiles, largest memory in bytes.
    """

    score: Score
    position: int
    rows: int
    overall: float | None
    window: float | None
    window_rows: int
    baselines: dict[str, float]
    window_baselines: dict[str, float]
    by_class: float | None
    window_by_class: float | None
    retained: list[RetentionSummary]
    replayed: float
    rows_per_s: float | None
    p99_ms: float | None
    resident: float | None

    @property
    def best_baseline(self) -> str:
        """The baseline with the best score over all rows."""
        return self.best(self.baselines)

    def best(self, values: Mapping[str, float]) -> str:
        """Return the name of the best value of the score."""
        sign = 1 if self.score.share else -1
        return max(values, key=lambda name: sign * values[name])

    @property
    def window_differs(self) -> bool:
        """Whether the window is shorter than the rows so far."""
        return self.window is not None and self.window_rows < self.rows


def summarize(learner: LearnerCurves) -> LearnerSummary:
    """Return the figures at the end of a learner's log."""
    score, last, timings = learner.score, learner.prequential, learner.run.timings
    position = int(last["position"])
    rows = int(last.get("rows", position))
    window = learner.settings.get("evaluator.window", 1000)
    return LearnerSummary(
        score=score,
        position=position,
        rows=rows,
        overall=last.get(score.name),
        window=last.get(f"{score.name}_window"),
        window_rows=min(rows, window),
        baselines=_baselines(score, last, score.name),
        window_baselines=_baselines(score, last, f"{score.name}_window"),
        by_class=_class_mean(learner.by_class, position),
        window_by_class=_class_mean(learner.by_class, window),
        retained=[_retained(each, score) for each in reversed(learner.retention_curves)],
        replayed=last.get("replayed", 0) / max(position, 1),
        rows_per_s=learner.run.rows_per_s,
        p99_ms=_finite(np.median, timings, "latency_ms.p99"),
        resident=_finite(np.max, timings, "resident_bytes"),
    )


def _baselines(score: Score, last: Mapping[str, Any], field: str) -> dict[str, float]:
    """Return a score of each baseline that has it, by what the baseline predicts."""
    found = {title: last[key].get(field) for key, title in score.baselines_of(last).items()}
    return {title: value for title, value in found.items() if value is not None}


def _class_mean(classes: GroupColumns | None, last: int) -> float | None:
    """Return the mean accuracy over the classes that had rows among about so many last ones."""
    if classes is None or not {"rows", "accuracy"} <= classes.fields.keys():
        return None
    rows = np.nan_to_num(classes.fields["rows"])
    hits = rows * np.nan_to_num(classes.fields["accuracy"])
    before = np.flatnonzero(classes.position <= classes.position[-1] - last)
    new, right = rows[-1], hits[-1]
    if len(before):
        new, right = new - rows[before[-1]], right - hits[before[-1]]
    came = new > 0
    return float((right[came] / new[came]).mean()) if came.any() else None


def _retained(curves: RetentionCurves, score: Score) -> RetentionSummary:
    last = curves.last
    total, forgetting = last.get(score.retained), last.get("forgetting")
    return RetentionSummary(
        sample=curves.sample,
        rows=int(last["rows"]),
        score=total,
        known=total if curves.by_class is None else last.get("balanced_accuracy"),
        forgetting=last.get("class_forgetting") if forgetting is None else forgetting,
        forgotten=_forgotten(curves),
        last=last,
    )


def _forgotten(curves: RetentionCurves) -> list[ForgottenClass]:
    classes = curves.by_class
    if classes is None or "accuracy" not in classes.fields:
        return []
    last, most = classes.fields["accuracy"][-1], classes.most["accuracy"]
    chance = np.zeros(len(most)) if curves.sample == "test" else _chance(classes)
    found = [
        ForgottenClass(name, float(best), float(now))
        for name, best, now, least in zip(classes.ids, most, last, chance, strict=True)
        if np.isfinite(now) and best - now > least
    ]
    return sorted(found, key=lambda each: each.now - each.best)


def _chance(classes: GroupColumns) -> Floats:
    """Return for each class two standard errors of the fall from its best round to the last."""
    accuracy = classes.fields["accuracy"]
    rows = classes.fields.get("rows", np.full(accuracy.shape, np.inf))
    each = np.arange(accuracy.shape[1])
    best = np.where(np.isfinite(accuracy), accuracy, -1.0).argmax(axis=0)
    then, now = np.nan_to_num(rows[best, each]), np.nan_to_num(rows[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        right = then * accuracy[best, each] + now * accuracy[-1]
        share = np.where(np.isfinite(right), right / (then + now), 0.0)
        error: Floats = np.sqrt(share * (1 - share) * (1 / then + 1 / now))
    return np.nan_to_num(2 * error, posinf=np.inf)


def _finite(reduce: Callable[[Floats], Any], columns: Columns, name: str) -> float | None:
    """Return the median or the like of the values that are known."""
    values = columns.get(name, np.empty(0))
    known = values[np.isfinite(values)]
    return float(reduce(known)) if len(known) else None
