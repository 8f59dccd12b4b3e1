"""How well a model still knows what it was taught: scores on rows held out of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Objective, Sample
from streamreplay.evaluation.recent_groups import KEPT, drop_oldest
from streamreplay.evaluation.retention.round_scores import make_round_scores
from streamreplay.evaluation.retention.stability_gap import SCORES, AreaUnderCurve, StabilityTracker
from streamreplay.evaluation.sums.means import mean_of
from streamreplay.records import Scored
from streamreplay.state import PART, Fields, Kind, State

__all__ = ["RetentionScores"]

_LEAST = 20  # rows of a class or experience in a probe before it is compared: few rows are luck


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
    """Tallies rounds over held-out rows, and compares each with those before it.

    R[i, j] is the accuracy on the held-out rows of experience j when experience i has just ended;
    of numbers it is the mean absolute error, and of labels F1. Ids are any integers. An experience
    counts as learned from its first end on; where it comes again, its next end replaces its row of
    R.

    Parameters
    ----------
    sample : {"test", "probe"}
        Whose rows they are. Those of a probe have an age, and none of an experience that is yet to
        come.
    objective : {"classes", "numbers", "labels"}
    outputs : int
        How many numbers or labels.
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
        self._least = _LEAST if sample == "probe" else 1  # rows of what is compared
        self._round = make_round_scores(objective, outputs)
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
        """Whether there are held-out rows that no record was made of."""
        return self._round.open

    @property
    def matrix(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """R: experience ids int64[i] in order of first end, test ids int64[j], float64[i, j]."""
        found = _save_matrix(self._matrix)
        return found["rows"], found["columns"], found["values"]

    def add(self, scored: Scored, position: int) -> None:
        """Tally some held-out rows, at so many rows of the stream.

        ``t`` ascends within a round: a row that is no later than the one before it starts it anew.
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
            The last one of the stream; None if nothing came yet.
        end : bool
            Whether it has ended.
        seen : callable
            Whether a class has been seen in the stream.
        entry : mapping of int to float, optional
            Of experiences that have begun: the score of their first rows, for a sample that has
            none of their rows before.
        """
        name = self._round.name
        scores, total = self._round.by_experience(self._least), self._round.total()
        details = self._round.details(seen)
        worst, gap = self._stability.look(position, experience, scores, end=end)
        learned = self._learn(experience, scores) if end and experience is not None else {}
        self._round.clear()
        self._row = -1
        classes = details.get("by_class")
        balanced = None if classes is None else mean_of([c["accuracy"] for c in classes.values()])
        height = total[name] if classes is None else balanced
        return {
            "kind": "retention",
            "position": position,
            "after_experience": experience,
            "experience_end": end,
            "sample": self.sample,
            **total,
            **({} if classes is None else {"balanced_accuracy": balanced}),
            f"average_{name}": learned.get("average"),
            "forgetting": learned.get("forgetting"),
            "backward_transfer": learned.get("backward_transfer"),
            "forward_transfer": self._look_ahead(self._ahead if entry is None else entry),
            f"{'min' if self._round.sign > 0 else 'max'}_{name}": worst,
            "stability_gap": gap,
            "area": None if height is None else self._curve.add(position, height),
            **({} if classes is None else {"class_forgetting": self._forget(classes)}),
            **({"probed": self._probed} if self.sample == "probe" else {}),
            **details,
        }

    def _learn(self, i: int, scores: dict[int, float]) -> dict[str, float | None]:
        sign = self._round.sign
        self._matrix[i] = scores
        self._ended[i] = scores.get(i, nan)
        drop_oldest(self._matrix)
        drop_oldest(self._ended, KEPT)
        learned = [j for j in scores if j in self._ended]
        earlier = [j for j in learned if j != i]
        skill = {j: sign * score for j, score in scores.items()}  # more of it is better
        means = {
            "average": mean_of([scores[j] for j in learned]),
            "forgetting": mean_of([self._best[j] - skill[j] for j in earlier if j in self._best]),
            "backward_transfer": mean_of(
                [skill[j] - sign * self._ended[j] for j in earlier if not isnan(self._ended[j])]
            ),
        }
        # until an experience ends, its latest score at the end of another is that before it began
        self._ahead |= {j: score for j, score in scores.items() if j not in self._ended}
        _raise_to(self._best, skill)
        drop_oldest(self._best, KEPT)
        drop_oldest(self._ahead, KEPT)
        return means

    def _look_ahead(self, ahead: Mapping[int, float]) -> float | None:
        """Return the mean score of the experiences, but for the first, before each was learned."""
        return mean_of([ahead[j] for j in list(self._ended)[1:] if j in ahead])

    def _forget(self, by_class: dict[int, dict[str, Any]]) -> float | None:
        enough = {y: each for y, each in by_class.items() if each["rows"] >= self._least}
        accuracy = {y: each["accuracy"] for y, each in enough.items()}
        lost = [self._class_best[y] - accuracy[y] for y in accuracy if y in self._class_best]
        _raise_to(self._class_best, accuracy)
        return mean_of(lost)


def _raise_to(best: dict[int, float], values: dict[int, float]) -> None:
    for key, value in values.items():
        best[key] = max(value, best.get(key, value))
