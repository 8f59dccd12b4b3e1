"""One round over held-out rows, for each thing that can be predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from streamreplay.batch import Objective, Scored
from streamreplay.evaluation.confusion import Confusion
from streamreplay.evaluation.errors import ErrorSums
from streamreplay.evaluation.numberscores import is_number
from streamreplay.evaluation.tally import Tally
from streamreplay.stage import State

__all__ = ["Round", "make_round"]


class Round(Protocol):
    """Tallies held-out rows by their experience.

    Attributes
    ----------
    name : str
        What experiences are compared by.
    sign : int
        1 if more of it is better, -1 if less is.
    """

    name: str
    sign: int

    @property
    def open(self) -> bool:
        """Whether there are rows that were not cleared."""

    def clear(self) -> None:
        """Forget all rows."""

    def add(self, scored: Scored) -> None:
        """Tally some rows, labelled ones only."""

    def by_experience(self) -> dict[int, float]:
        """Return what experiences are compared by, where it is defined; ids ascending."""

    def total(self) -> dict[str, Any]:
        """Return rows and scores over all."""

    def details(self, seen: Callable[[int], bool]) -> dict[str, Any]:
        """Return what goes to the end of a record."""

    def state_dict(self) -> State:
        """Return the round."""

    def load_state_dict(self, state: State) -> None:
        """Take over a round."""


class ClassRound:
    """Rows and hits by class and by experience."""

    name, sign = "accuracy", 1

    def __init__(self) -> None:
        self.classes = Tally()
        self._experiences = Tally()

    @property
    def open(self) -> bool:
        """Whether there are rows that were not cleared."""
        return len(self._experiences) > 0

    def clear(self) -> None:
        """Forget all rows."""
        self.classes.clear()
        self._experiences.clear()

    def add(self, scored: Scored) -> None:
        """Tally some rows."""
        batch = scored.incoming
        labelled = batch.y >= 0
        y = batch.y[labelled]
        hits = y == scored.prediction[labelled]
        self.classes.add(y, hits)
        self._experiences.add(batch.experience[labelled], hits)

    def by_experience(self) -> dict[int, float]:
        """Return the accuracy of each experience."""
        return {j: scores["accuracy"] for j, scores in self._experiences.scores().items()}

    def total(self) -> dict[str, Any]:
        """Return rows and accuracy over all."""
        rows, hits = self._experiences.total
        return {"rows": rows, "accuracy": hits / rows}

    def details(self, seen: Callable[[int], bool]) -> dict[str, Any]:
        """Return the accuracy of each experience, and of each class seen in the stream."""
        scores = self.classes.scores().items()
        return {
            "accuracy_by_experience": self.by_experience(),
            "by_class": {y: each for y, each in scores if seen(y)},
        }

    def state_dict(self) -> State:
        """Return the round."""
        return {
            "classes": self.classes.state_dict(),
            "experiences": self._experiences.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a round."""
        self.classes.load_state_dict(state["classes"])
        self._experiences.load_state_dict(state["experiences"])


class _SumsRound:
    """What numbers and labels share: sums of one kind, over all rows and by experience."""

    def __init__(self, name: str, sign: int, make: Callable[[], Any]) -> None:
        self.name, self.sign, self._make = name, sign, make
        self._experiences: dict[int, Any] = {}
        self._all = make()

    @property
    def open(self) -> bool:
        """Whether there are rows that were not cleared."""
        return len(self._experiences) > 0

    def clear(self) -> None:
        """Forget all rows."""
        self._experiences.clear()
        self._all = self._make()

    def add(self, scored: Scored) -> None:
        """Tally some rows; those for which the model has no prediction count for nothing."""
        batch = scored.incoming
        if batch.target is None:
            return
        known = batch.y >= 0
        for j in np.unique(batch.experience[known]).tolist():
            rows = known & (batch.experience == j)
            sums = self._experiences.setdefault(j, self._make())
            for each in (sums, self._all):
                _add(each, batch.target[rows], scored.prediction[rows])

    def by_experience(self) -> dict[int, float]:
        """Return the score of each experience that is compared."""
        found = {j: sums.scores()[self.name] for j, sums in sorted(self._experiences.items())}
        return {j: score for j, score in found.items() if score is not None}

    def total(self) -> dict[str, Any]:
        """Return rows and scores over all."""
        return {"rows": int(self._all.rows), **self._all.scores()}

    def details(self, _seen: Callable[[int], bool]) -> dict[str, Any]:
        """Return all scores of each experience."""
        return {"by_experience": {j: s.scores() for j, s in sorted(self._experiences.items())}}

    def state_dict(self) -> State:
        """Return the round."""
        return {
            "ids": np.array(list(self._experiences), np.int64),
            "sums": [sums.state_dict() for sums in self._experiences.values()],
            "all": self._all.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Take over a round."""
        self.clear()
        for j, saved in zip(np.asarray(state["ids"]).tolist(), state["sums"], strict=True):
            self._experiences[j] = self._make()
            self._experiences[j].load_state_dict(saved)
        self._all.load_state_dict(state["all"])


def make_round(objective: Objective, outputs: int) -> Round:
    """Return a round for what is predicted: classes, or so many numbers or labels."""
    if objective == "classes":
        return ClassRound()
    if objective == "numbers":
        return _SumsRound("mae", -1, lambda: ErrorSums(outputs))
    return _SumsRound("f1_micro", 1, lambda: Confusion(outputs))


def _add(sums: ErrorSums | Confusion, target: Any, prediction: Any) -> None:
    if isinstance(sums, ErrorSums):
        said = is_number(prediction)[:, 0]
        sums.add(target[said], prediction[said] - target[said])
    else:
        sums.add(target, prediction)
