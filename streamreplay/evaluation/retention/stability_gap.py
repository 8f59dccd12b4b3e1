"""The stability gap: how scores on old experiences drop while a new one is learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamreplay.evaluation.sums.means import mean_of
from streamreplay.state import Fields, Kind, State


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
