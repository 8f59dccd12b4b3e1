"""Scores of one round over held-out rows, for each kind of prediction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreplay.batch import Objective
from streamreplay.evaluation.sums.by_group import Tally
from streamreplay.evaluation.sums.output_sums import ErrorSums, LabelCounts, errors_of
from streamreplay.records import Scored
from streamreplay.state import CREATED, PART, Fields

_LIMITS = 10 ** np.arange(3, 19)


class ClassRoundScores:
    """Count rows and hits by class, by experience and by age.

    Attributes
    ----------
    name : str
        The score by which experiences are compared.
    sign : int
        1 if more of it is better, -1 if less is.
    """

    STATE = Fields(_classes=PART, _experiences=PART, _ages=PART)

    name, sign = "accuracy", 1

    def __init__(self) -> None:
        self._classes = Tally()
        self._experiences = Tally()
        self._ages = Tally()

    @property
    def open(self) -> bool:
        """Whether there are rows since the last `clear`."""
        return len(self._experiences) > 0

    def clear(self) -> None:
        """Remove all rows."""
        self._classes.clear()
        self._experiences.clear()
        self._ages.clear()

    def add(self, scored: Scored, ages: NDArray[np.int64] | None) -> None:
        """Add labelled rows, with their ages in rows if given, int64[n]."""
        batch = scored.incoming
        labelled = batch.y >= 0
        y = batch.y[labelled]
        hits = y == scored.prediction[labelled]
        self._classes.add(y, hits)
        self._experiences.add(batch.experience[labelled], hits)
        if ages is not None:
            self._ages.add(age_limits(ages[labelled]), hits)

    def by_experience(self, least: int = 1) -> dict[int, float]:
        """Return the accuracy of each experience with at least so many rows, ids ascending."""
        found = self._experiences.scores().items()
        return {j: scores["accuracy"] for j, scores in found if scores["rows"] >= least}

    def total(self) -> dict[str, Any]:
        """Return rows and accuracy over all experiences."""
        rows, hits = self._experiences.total
        return {"rows": rows, "accuracy": hits / rows}

    def details(self, seen: Callable[[int], bool]) -> dict[str, Any]:
        """Return the accuracy of each experience, and of each class that the stream has shown."""
        scores = self._classes.scores().items()
        ages = self._ages.scores()
        return {
            "accuracy_by_experience": self.by_experience(),
            "by_class": {y: each for y, each in scores if seen(y)},
            **({"by_age": ages} if ages else {}),
        }


class SumRoundScores:
    """Sum up what scores of numbers or labels are made of, by experience and by age."""

    STATE = Fields(_experiences=CREATED, _ages=CREATED, _all=PART)

    def __init__(self, objective: Objective, outputs: int) -> None:
        numbers = objective == "numbers"
        self.name, self.sign = ("mae", -1) if numbers else ("f1_micro", 1)
        self._make: Callable[[], Any] = partial(ErrorSums if numbers else LabelCounts, outputs)
        self._experiences = defaultdict[int, Any](self._make)
        self._ages = defaultdict[int, Any](self._make)
        self._all = self._make()

    @property
    def open(self) -> bool:
        """Whether there are rows since the last `clear`."""
        return len(self._experiences) > 0

    def clear(self) -> None:
        """Remove all rows."""
        self._experiences.clear()
        self._ages.clear()
        self._all = self._make()

    def add(self, scored: Scored, ages: NDArray[np.int64] | None) -> None:
        """Add labelled rows, with their ages if given; rows without a prediction are left out."""
        batch = scored.incoming
        if batch.target is None:
            return
        target, values = batch.target, scored.prediction
        if scored.objective == "numbers":
            values = errors_of(values, target)
        known = batch.y >= 0
        self._all.add(target[known], values[known])
        groups = [(self._experiences, batch.experience)]
        if ages is not None:
            groups.append((self._ages, age_limits(ages)))
        for sums, ids in groups:
            for j in np.unique(ids[known]).tolist():
                rows = known & (ids == j)
                sums[j].add(target[rows], values[rows])

    def by_experience(self, least: int = 1) -> dict[int, float]:
        """Return the score of each experience with at least so many rows, ids ascending."""
        enough = ((j, s) for j, s in sorted(self._experiences.items()) if s.rows >= least)
        found = {j: sums.scores()[self.name] for j, sums in enough}
        return {j: score for j, score in found.items() if score is not None}

    def total(self) -> dict[str, Any]:
        """Return rows and scores over all experiences."""
        return {"rows": int(self._all.rows), **self._all.scores()}

    def details(self, _seen: Callable[[int], bool]) -> dict[str, Any]:
        """Return all scores of each experience, and by age."""
        found = {"by_experience": {j: s.scores() for j, s in sorted(self._experiences.items())}}
        if self._ages:
            found["by_age"] = {
                age: {"rows": int(s.rows), **s.scores()} for age, s in sorted(self._ages.items())
            }
        return found


def age_limits(ages: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each age in rows the least of 1,000, 10,000, ... that is not below it.

    Examples
    --------
    >>> age_limits(np.array([1, 1000, 1001])).tolist()
    [1000, 1000, 10000]
    """
    limits: NDArray[np.int64] = _LIMITS[np.searchsorted(_LIMITS, ages)]
    return limits
