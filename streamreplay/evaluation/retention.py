"""How well a model still knows what it was taught: scores on rows held out of training."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Objective, Scored
from streamreplay.evaluation.rounds import make_round
from streamreplay.stage import State

__all__ = ["Retention"]


class Retention:
    """Tallies rounds over held-out rows, and compares each with those before it.

    R[i, j] is the accuracy on the held-out rows of experience j when experience i has just ended;
    of numbers it is the mean absolute error, and of labels F1. Ids are any integers. An experience
    counts as learned from its first end on; where it comes again, its next end replaces its row of
    R.

    Parameters
    ----------
    objective : {"classes", "numbers", "labels"}
    outputs : int
        How many numbers or labels.
    """

    def __init__(self, objective: Objective = "classes", outputs: int = 1) -> None:
        self._round = make_round(objective, outputs)
        self._matrix: dict[int, dict[int, float]] = {}  # R, rows in order of first end
        self._best: dict[int, float] = {}  # by test experience, over all ends so far: sign * score
        self._class_best: dict[int, float] = {}  # by class, over all rounds since it was seen

    @property
    def open(self) -> bool:
        """Whether there are held-out rows that no record was made of."""
        return self._round.open

    @property
    def matrix(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """R: experience ids int64[i] in order of first end, test ids int64[j], float64[i, j]."""
        columns = sorted({j for row in self._matrix.values() for j in row})
        values = [[row.get(j, np.nan) for j in columns] for row in self._matrix.values()]
        return (
            np.array(list(self._matrix), np.int64),
            np.array(columns, np.int64),
            np.array(values, np.float64).reshape(len(values), len(columns)),
        )

    def add(self, scored: Scored) -> None:
        """Tally some held-out rows; row 0 of the test set starts the round from zero."""
        batch = scored.incoming
        if not len(batch):
            return
        if batch.t[0] == 0:
            self._round.clear()
        self._round.add(scored)

    def close(
        self, position: int, experience: int | None, *, end: bool, seen: Callable[[int], bool]
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
        """
        name = self._round.name
        scores, total = self._round.by_experience(), self._round.total()
        details = self._round.details(seen)
        learned = self._learn(experience, scores) if end and experience is not None else {}
        self._round.clear()
        classes = details.get("by_class")
        return {
            "kind": "retention",
            "position": position,
            "after_experience": experience,
            "experience_end": end,
            **total,
            f"average_{name}": learned.get("average"),
            "forgetting": learned.get("forgetting"),
            "backward_transfer": learned.get("backward_transfer"),
            **({} if classes is None else {"class_forgetting": self._forget(classes)}),
            **details,
        }

    def state_dict(self) -> State:
        """Return the open round, R, and the best accuracies so far."""
        rows, columns, values = self.matrix
        return {
            **self._round.state_dict(),
            "matrix": {"rows": rows, "columns": columns, "values": values},
            "best": _save(self._best),
            "class_best": _save(self._class_best),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a state."""
        self._round.load_state_dict(state)
        rows, columns, values = (
            np.asarray(state["matrix"][name]).tolist() for name in ("rows", "columns", "values")
        )
        self._matrix = {
            i: {j: value for j, value in zip(columns, row, strict=True) if not isnan(value)}
            for i, row in zip(rows, values, strict=True)
        }
        self._best = _load(state["best"])
        self._class_best = _load(state["class_best"])

    def _learn(self, i: int, scores: dict[int, float]) -> dict[str, float | None]:
        sign = self._round.sign
        self._matrix[i] = scores
        learned = [j for j in scores if j in self._matrix]
        earlier = [j for j in learned if j != i]
        skill = {j: sign * score for j, score in scores.items()}  # more of it is better
        means = {
            "average": _mean([scores[j] for j in learned]),
            "forgetting": _mean([self._best[j] - skill[j] for j in earlier if j in self._best]),
            "backward_transfer": _mean(
                [skill[j] - sign * self._matrix[j][j] for j in earlier if j in self._matrix[j]]
            ),
        }
        _raise_to(self._best, skill)
        return means

    def _forget(self, by_class: dict[int, dict[str, Any]]) -> float | None:
        accuracy = {y: scores["accuracy"] for y, scores in by_class.items()}
        lost = [self._class_best[y] - accuracy[y] for y in accuracy if y in self._class_best]
        _raise_to(self._class_best, accuracy)
        return _mean(lost)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _raise_to(best: dict[int, float], values: dict[int, float]) -> None:
    for key, value in values.items():
        best[key] = max(value, best.get(key, value))


def _save(values: dict[int, float]) -> State:
    return {
        "ids": np.array(list(values), np.int64),
        "values": np.array(list(values.values()), np.float64),
    }


def _load(state: State) -> dict[int, float]:
    ids, values = np.asarray(state["ids"]).tolist(), np.asarray(state["values"]).tolist()
    return dict(zip(ids, values, strict=True))
