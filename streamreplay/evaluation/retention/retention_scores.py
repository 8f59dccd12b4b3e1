"""Scores on held-out rows, round by round: accuracy, forgetting, transfer, the stability gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Objective, Sample
from streamreplay.evaluation.retention.round_scores import ClassRoundScores, SumRoundScores
from streamreplay.evaluation.sums.by_group import KEPT, drop_oldest
from streamreplay.evaluation.sums.means import mean_of
from streamreplay.records import Scored
from streamreplay.state import PART, Fields, Kind, State

_LEAST = 20  # rows of a class or experience in a probe before it is compared: few rows are luck


def _save_scores(scores: Mapping[int, float]) -> State:
    return {
        "ids": np.array(list(scores), np.int64),
        "values": np.array(list(scores.values()), np.float64),
    }


def _load_scores(_name: str, _live: object, saved: State) -> dict[int, float]:
    return dict(zip(saved["ids"].tolist(), saved["values"].tolist(), strict=True))


SCORES = Kind(_save_scores, _load_scores)
"""The kind of a field that has scores by id."""


class StabilityTracker:
    """Follow the scores of the experiences that have ended from round to round.

    After a boundary between experiences these scores often drop and then come back: the *stability
    gap*. It is seen only if a round comes soon after the boundary.

    Parameters
    ----------
    sign : int
        1 if more of a score is better, -1 if less is.

    References
    ----------
    M. De Lange, G. M. van de Ven, T. Tuytelaars, "Continual evaluation for lifelong learning:
    identifying the stability gap", ICLR 2023, sections 3 and 4.

    Examples
    --------
    >>> stability = StabilityTracker(1)
    >>> _ = stability.update(1_000, 0, {0: 0.9}, end=True)
    >>> _ = stability.update(1_100, 1, {0: 0.4, 1: 0.5}, end=False)
    >>> worst, gap = stability.update(1_500, 1, {0: 0.9, 1: 0.7}, end=False)
    >>> worst, gap
    (0.4, {'since': 1000, 'before': 0.9, 'depth': 0.5, 'recovered_after': 500})
    """

    STATE = Fields(
        _since=int | None,
        _before=SCORES,
        _worst=SCORES,
        _lowest=float | None,
        _recovered=int | None,
    )

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._since: int | None = None  # position of the last boundary
        # skill (sign * score) of each experience that had ended by then
        self._before: dict[int, float] = {}
        self._worst: dict[int, float] = {}  # the least skill of each since it ended
        self._lowest: float | None = None  # least mean skill of the older ones since the boundary
        self._recovered: int | None = None

    def update(
        self, position: int, experience: int | None, scores: Mapping[int, float], *, end: bool
    ) -> tuple[float | None, dict[str, Any] | None]:
        """Add a round; return the mean of the worst scores, and the gap.

        Parameters
        ----------
        position : int
            Rows of the stream so far.
        experience : int or None
            Experience of the last row: the older ones are all others that have ended.
        scores : mapping of int to float
            By experience.
        end : bool
            Whether the experience has ended.
        """
        skill = {j: self._sign * score for j, score in scores.items()}
        old = [j for j in self._before if j != experience and j in skill]
        worst, gap = self._worst_of(old, skill), self._gap(position, old, skill)
        if end and experience is not None:
            self._begin(position, experience, skill)
        return worst, gap

    def _worst_of(self, old: list[int], skill: Mapping[int, float]) -> float | None:
        """Return the mean of each old experience's worst score."""
        for j in old:
            self._worst[j] = min(self._worst.get(j, skill[j]), skill[j])
        worst = mean_of([self._worst[j] for j in old])
        return None if worst is None else self._sign * worst

    def _gap(
        self, position: int, old: list[int], skill: Mapping[int, float]
    ) -> dict[str, Any] | None:
        if not old:
            return None
        before = sum(self._before[j] for j in old) / len(old)
        now = sum(skill[j] for j in old) / len(old)
        self._lowest = now if self._lowest is None else min(now, self._lowest)
        if self._recovered is None and self._lowest < before <= now:
            self._recovered = position - (self._since or 0)
        return {
            "since": self._since,
            "before": self._sign * before,
            "depth": max(before - self._lowest, 0.0),
            "recovered_after": self._recovered,
        }

    def _begin(self, position: int, ended: int, skill: Mapping[int, float]) -> None:
        """Start to follow what comes after a boundary."""
        self._since, self._lowest, self._recovered = position, None, None
        self._before = {j: skill[j] for j in (*self._before, ended) if j in skill}
        # the lowest score of the experience that ended is searched from here on
        self._worst = {j: self._worst[j] for j in self._before if j in self._worst and j != ended}


class AreaUnderCurve:
    """Compute the mean of a curve that is given point by point: its area over its width.

    Examples
    --------
    >>> curve = AreaUnderCurve()
    >>> [curve.add(x, y) for x, y in ((100, 1.0), (200, 0.5), (300, 0.5))]
    [1.0, 0.75, 0.625]
    """

    STATE = Fields(_first=int | None, _last=tuple, _area=float)

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = (0, 0.0)
        self._area = 0.0

    def add(self, x: int, y: float) -> float:
        """Add a point to the right of the others, and return the mean."""
        if self._first is None:
            self._first = x
        else:
            self._area += (x - self._last[0]) * (y + self._last[1]) / 2  # a trapezoid
        self._last = (x, y)
        width = x - self._first
        return self._area / width if width else y


def _save_matrix(matrix: Mapping[int, Mapping[int, float]]) -> State:
    columns = sorted({j for row in matrix.values() for j in row})
    values = [[row.get(j, nan) for j in columns] for row in matrix.values()]
    return {
        "rows": np.array(list(matrix), np.int64),
        "columns": np.array(columns, np.int64),
        "values": np.array(values, np.float64).reshape(len(values), len(columns)),
    }


def _load_matrix(_name: str, _live: object, saved: State) -> dict[int, dict[int, float]]:
    rows, columns, values = (saved[name].tolist() for name in ("rows", "columns", "values"))
    return {
        i: {j: value for j, value in zip(columns, row, strict=True) if not isnan(value)}
        for i, row in zip(rows, values, strict=True)
    }


_MATRIX = Kind(_save_matrix, _load_matrix)


class RetentionScores:
    """Score rounds over held-out rows, and compare each with the rounds before it.

    R[i, j] is the accuracy on the held-out rows of experience j when experience i has just ended;
    the mean absolute error of numbers, and F1 of labels. Ids are any integers. An experience counts
    as learned from its first end on; if it comes again, its next end replaces its row of R.

    Parameters
    ----------
    sample : {"test", "probe"}
        Where the rows are from. Rows of a probe have an age, and belong to experiences that have
        begun.
    objective : {"classes", "numbers", "labels"}
    outputs : int
        Number of numbers or labels.
    """

    STATE = Fields(
        _round=PART,
        _row=int,
        _probed=int,
        _matrix=_MATRIX,
        _ended=SCORES,
        _best=SCORES,
        _class_best=SCORES,
        _ahead=SCORES,
        _stability=PART,
        _curve=PART,
    )

    def __init__(
        self, sample: Sample = "test", objective: Objective = "classes", outputs: int = 1
    ) -> None:
        self.sample = sample
        self._least = _LEAST if sample == "probe" else 1  # rows that make a score comparable
        self._round = (
            ClassRoundScores() if objective == "classes" else SumRoundScores(objective, outputs)
        )
        self._row = -1  # t of the last row of the round
        self._probed = 0  # rows ever predicted
        self._matrix: dict[int, dict[int, float]] = {}  # R, the last rows, in order of first end
        self._ended: dict[int, float] = {}  # R[j, j] of all that have ended, in that order
        self._best: dict[int, float] = {}  # by test experience, over all ends so far: sign * score
        self._class_best: dict[int, float] = {}  # by class, over all rounds since it was seen
        self._ahead: dict[int, float] = {}  # by experience: its score before it began
        self._stability = StabilityTracker(self._round.sign)
        self._curve = AreaUnderCurve()

    @property
    def open(self) -> bool:
        """Whether there are held-out rows without a record."""
        return self._round.open

    @property
    def matrix(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """R: experience ids int64[i] in order of first end, test ids int64[j], float64[i, j]."""
        found = _save_matrix(self._matrix)
        return found["rows"], found["columns"], found["values"]

    def add(self, scored: Scored, position: int) -> None:
        """Add held-out rows that were predicted after ``position`` rows of the stream.

        ``t`` ascends within a round: rows that do not come after the last ones restart the round.
        """
        batch = scored.incoming
        if not len(batch):
            return
        if batch.t.item(0) <= self._row:
            self._round.clear()
        self._row = batch.t.item(len(batch) - 1)
        self._probed += len(batch)
        self._round.add(scored, position - batch.t if self.sample == "probe" else None)

    def close(
        self,
        position: int,
        experience: int | None,
        *,
        end: bool,
        seen: Callable[[int], bool],
        entry: Mapping[int, float] | None = None,
    ) -> dict[str, Any]:
        """End the round and return its record.

        Parameters
        ----------
        position : int
            Rows of the stream so far.
        experience : int or None
            Experience of the last row of the stream; None before the first row.
        end : bool
            Whether this experience has ended.
        seen : callable
            Returns whether the stream has shown a class.
        entry : mapping of int to float, optional
            The score of each experience's first rows, for a sample without rows of experiences
            that have not begun.
        """
        name, sign = self._round.name, self._round.sign
        scores, total = self._round.by_experience(self._least), self._round.total()
        details = self._round.details(seen)
        worst, gap = self._stability.update(position, experience, scores, end=end)
        learned = self._learn(experience, scores) if end and experience is not None else {}
        self._round.clear()
        self._row = -1
        by_class = details.get("by_class")
        balanced, lost = ({}, {}) if by_class is None else self._of_classes(by_class)
        height = balanced.get("balanced_accuracy", total[name])
        return {
            "kind": "retention",
            "position": position,
            "after_experience": experience,
            "experience_end": end,
            "sample": self.sample,
            **total,
            **balanced,
            f"average_{name}": learned.get("average"),
            "forgetting": learned.get("forgetting"),
            "backward_transfer": learned.get("backward_transfer"),
            "forward_transfer": self._forward_transfer(self._ahead if entry is None else entry),
            f"{'min' if sign > 0 else 'max'}_{name}": worst,
            "stability_gap": gap,
            "area": None if height is None else self._curve.add(position, height),
            **lost,
            **({"probed": self._probed} if self.sample == "probe" else {}),
            **details,
        }

    def _learn(self, i: int, scores: dict[int, float]) -> dict[str, float | None]:
        """Add the row of an experience that has ended to R; return what the row shows."""
        skill = {j: self._round.sign * score for j, score in scores.items()}  # more is better
        self._matrix[i] = scores
        self._ended[i] = scores.get(i, nan)
        drop_oldest(self._matrix)
        drop_oldest(self._ended, KEPT)
        means = self._compare(i, scores, skill)
        # until an experience ends, its latest score at the end of another is that before it began
        self._ahead |= {j: score for j, score in scores.items() if j not in self._ended}
        _raise_to(self._best, skill)
        drop_oldest(self._best, KEPT)
        drop_oldest(self._ahead, KEPT)
        return means

    def _compare(
        self, i: int, scores: dict[int, float], skill: dict[int, float]
    ) -> dict[str, float | None]:
        """Compare the scores at the end of experience i with those at earlier ends."""
        best, ended, sign = self._best, self._ended, self._round.sign
        learned = [j for j in scores if j in ended]
        earlier = [j for j in learned if j != i]
        return {
            "average": mean_of([scores[j] for j in learned]),
            "forgetting": mean_of([best[j] - skill[j] for j in earlier if j in best]),
            "backward_transfer": mean_of(
                [skill[j] - sign * ended[j] for j in earlier if not isnan(ended[j])]
            ),
        }

    def _forward_transfer(self, ahead: Mapping[int, float]) -> float | None:
        """Return the mean score of all experiences but the first, before each was learned."""
        return mean_of([ahead[j] for j in list(self._ended)[1:] if j in ahead])

    def _of_classes(
        self, by_class: dict[int, dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields balanced_accuracy and class_forgetting."""
        balanced = mean_of([each["accuracy"] for each in by_class.values()])
        enough = {y: each for y, each in by_class.items() if each["rows"] >= self._least}
        accuracy = {y: each["accuracy"] for y, each in enough.items()}
        lost = [self._class_best[y] - accuracy[y] for y in accuracy if y in self._class_best]
        _raise_to(self._class_best, accuracy)
        return {"balanced_accuracy": balanced}, {"class_forgetting": mean_of(lost)}


def _raise_to(best: dict[int, float], values: dict[int, float]) -> None:
    for key, value in values.items():
        best[key] = max(value, best.get(key, value))
