"""The score that a learner is judged by, for each kind of target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamreplay.batch import Objective
from streamreplay.log.headline import baselines_of
from streamreplay.reading.number_text import number, percent


@dataclass(frozen=True)
class Score:
    """A score: its fields in the log, and its names on a page.

    Attributes
    ----------
    name : str
        Field in records of kind ``prequential``.
    title : str
    retained : str
        The corresponding field in records of kind ``retention``.
    retained_title : str
    share : bool
        True for a share from 0 to 1, of which more is better; False for an error.
    """

    name: str
    title: str
    retained: str
    retained_title: str
    share: bool

    def baselines_of(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Return the baselines of a prequential record: their fields, and what they predict."""
        return baselines_of(record, self.name)

    def write(self, value: float | None) -> str:
        """Write a value as text."""
        if value is None or not math.isfinite(value):
            return "-"
        return percent(value) if self.share else number(value)

    def better(self, one: float, other: float) -> bool:
        """Return whether one value is better than another."""
        return one > other if self.share else one < other


SCORES: dict[Objective, Score] = {
    "classes": Score("accuracy", "accuracy", "accuracy", "accuracy", share=True),
    "numbers": Score("mae", "mean absolute error", "mae", "mean absolute error", share=False),
    "labels": Score("exact_match", "exact match", "f1_micro", "F1", share=True),
}
"""The score for each kind of target."""


def find_objective(record: Mapping[str, Any]) -> Objective | None:
    """Return the kind of target that a prequential record is about, by the score that it has.

    Examples
    --------
    >>> find_objective({"kind": "prequential", "mae": 0.5})
    'numbers'
    """
    return next((kind for kind, score in SCORES.items() if score.name in record), None)


def sample_name(sample: str) -> str:
    """Return what a sample of rows kept out of learning is called on pages and in the terminal.

    Examples
    --------
    >>> sample_name("test"), sample_name("probe")
    ('test set', 'probe')
    """
    return "test set" if sample == "test" else sample
